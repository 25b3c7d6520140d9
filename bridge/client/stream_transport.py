"""Calls over WebSocket streams: one connection for each model version, made anew when it ends."""

from __future__ import annotations

import asyncio

import aiohttp

from bridge.client.address import model_path
from bridge.client.call import Answer, Call
from bridge.client.errors import Failure, Interrupted, Unavailable, error_of
from bridge.client.retry import Backoff
from bridge.client.settings import ClientSettings
from bridge.client.stream_link import LinkLost, NotBegun, StreamLink
from bridge.client.transport import chance, hint_s

# With these a gateway, or a proxy before one, says that it may accept later.
_LATER = (429, 502, 503, 504)
_UNKNOWN = 404


class StreamTransport:
    """The streams of one client, by model and version; as many as the caller asks for."""

    def __init__(self, session: aiohttp.ClientSession, url: str, settings: ClientSettings) -> None:
        self._session = session
        self._url = url
        self._settings = settings
        self._streams: dict[tuple[str, str | None], _Stream] = {}

    async def ask(self, call: Call) -> Answer:
        """Return the answer to a call; see `Transport.ask`."""
        key = (call.model, call.version)
        stream = self._streams.get(key)
        if stream is None:
            url = f"{self._url}{model_path(*key)}/stream"
            stream = self._streams[key] = _Stream(self._session, url, self._settings)
        return await stream.ask(call)

    async def close(self) -> None:
        """Close all streams."""
        for stream in self._streams.values():
            await stream.close()
        self._streams.clear()


class _Stream:
    """The present connection of one model version, and those before it that still answer."""

    def __init__(self, session: aiohttp.ClientSession, url: str, settings: ClientSettings) -> None:
        self._session = session
        self._url = url
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._backoff = Backoff(settings.backoff_first_s, settings.backoff_s_max)
        self._link: StreamLink | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._links: dict[asyncio.Task[None], StreamLink] = {}
        self._refusal: Failure | None = None
        self._was_served = False
        self._reason = "not tried"

    async def ask(self, call: Call) -> Answer:
        while True:
            link = await self._open_link(call.deadline_s)
            try:
                return await link.ask(call)
            except NotBegun:
                # Not a retry: no gateway has seen it.
                continue
            except LinkLost as lost:
                raise Interrupted(str(lost)) from None

    async def close(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])
        links = dict(self._links)
        for task in links:
            task.cancel()
        await asyncio.gather(*links, return_exceptions=True)
        for link in links.values():
            # Its task may have been cancelled before it began.
            await link.close()

    async def _open_link(self, deadline_s: float) -> StreamLink:
        """Return a connection that takes calls; one attempt to make one serves all who wait."""
        while (link := self._link) is None or not link.is_open:
            if link is not None:
                self._note_ended(link)
            if self._connecting is None:
                self._connecting = asyncio.create_task(self._connect(), name="stream-connect")
            left_s = deadline_s - self._loop.time()
            if left_s <= 0:
                raise Unavailable(f"no stream to {self._url} before the deadline: {self._reason}")
            attempt = self._connecting
            await asyncio.wait([attempt], timeout=left_s)
            if attempt.done():
                attempt.result()
                if self._refusal is not None:
                    raise error_of(self._refusal)
        return link

    async def _connect(self) -> None:
        """Make one attempt, when the next one is due."""
        try:
            await asyncio.sleep(self._backoff.wait_s(self._loop.time()))
            self._refusal = None
            async with asyncio.timeout(self._settings.connect_s):
                socket = await self._handshake()
        except aiohttp.WSServerHandshakeError as error:
            self._note_refused(error)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self._note_failed(f"{type(error).__name__}: {error}", None)
        else:
            self._was_served = True
            self._link = link = StreamLink(socket, self._settings)
            task = asyncio.create_task(link.run(), name="stream-link")
            self._links[task] = link
            task.add_done_callback(self._links.pop)
        finally:
            self._connecting = None

    def _note_ended(self, link: StreamLink) -> None:
        self._link = None
        if link.has_answered:
            self._backoff.succeed()
        else:
            # A gateway that takes connections and ends them is as good as none.
            self._note_failed("the gateway ended the stream", None)

    async def _handshake(self) -> aiohttp.ClientWebSocketResponse:
        settings = self._settings
        return await self._session.ws_connect(
            self._url,
            timeout=aiohttp.ClientWSTimeout(ws_close=settings.close_s),
            heartbeat=settings.ping_s,
            max_msg_size=settings.answer_bytes_max,
        )

    def _note_refused(self, error: aiohttp.WSServerHandshakeError) -> None:
        reason = f"the gateway answered {error.status}"
        # A gateway that has just been started does not know the models yet.
        is_early = error.status == _UNKNOWN and self._was_served
        if error.status in _LATER or is_early:
            self._note_failed(reason, hint_s(error.headers or {}))
            return
        code = "unknown_model" if error.status == _UNKNOWN else "stream_refused"
        # Not for ever: the next call asks again.
        self._refusal = Failure(error.status, code, reason)

    def _note_failed(self, reason: str, hint: float | None) -> None:
        self._reason = reason
        self._backoff.fail(self._loop.time(), chance(), hint)
