"""One WebSocket connection to a gateway, with many calls in flight."""

from __future__ import annotations

import asyncio
import itertools

import aiohttp

from bridge.client.call import Answer, Call, decode_answers, encode_call, join_requests
from bridge.client.errors import BadAnswer, DeadlineExceeded, InvalidRequest
from bridge.client.settings import MESSAGE_REQUESTS_MAX, REQUEST_BYTES_MAX, ClientSettings

_GOING_AWAY = 1001
_ARRAY_HEAD_BYTES_MAX = 5


class NotBegun(Exception):
    """The connection ended before the gateway began with the call: it may go to another one."""


class LinkLost(Exception):
    """The connection ended after the call was sent: it may have run."""


class StreamLink:
    """Calls out, answers in; over when either side closes.

    A gateway that says it is going away and then closes with code 1001 has answered all that it
    has begun. Only then, and for calls that were never sent, does `ask` raise `NotBegun`.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, settings: ClientSettings) -> None:
        self._socket = socket
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._names = map(str, itertools.count())
        self._slots = asyncio.Semaphore(settings.in_flight_max)
        # Not sent yet, by name; and everything without an answer.
        self._unsent: dict[str, Call] = {}
        self._waiting: dict[str, asyncio.Future[Answer]] = {}
        self._due = asyncio.Event()
        self._is_over = False
        self._is_leaving = False
        self.has_answered = False

    @property
    def is_open(self) -> bool:
        """Whether new calls may be sent on it."""
        return not self._is_over and not self._is_leaving

    async def ask(self, call: Call) -> Answer:
        """Send a call and return its answer.

        Raises:
            NotBegun: the connection has ended, and the call was not begun.
            LinkLost: the connection has ended, and the call may have run.
            InvalidRequest: it is larger than what a gateway accepts.
            DeadlineExceeded: its time is up.
        """
        try:
            async with asyncio.timeout_at(call.deadline_s), self._slots:
                return await self._answer(call)
        except TimeoutError:
            raise DeadlineExceeded("no answer before the deadline") from None

    async def _answer(self, call: Call) -> Answer:
        if not self.is_open:
            raise NotBegun
        name = next(self._names)
        answered: asyncio.Future[Answer] = self._loop.create_future()
        self._waiting[name] = answered
        self._unsent[name] = call
        self._due.set()
        try:
            return await answered
        finally:
            self._waiting.pop(name, None)
            self._unsent.pop(name, None)
            if self._is_leaving and not self._waiting:
                self._due.set()

    async def close(self) -> None:
        """Close the connection; nothing happens if it is closed already."""
        await self._socket.close()

    async def run(self) -> None:
        """Send and receive until the connection is over; all calls are then answered."""
        reader = asyncio.create_task(self._read(), name="link-reader")
        writer = asyncio.create_task(self._write(), name="link-writer")
        try:
            await asyncio.wait([reader, writer], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._is_over = True
            for task in (reader, writer):
                task.cancel()
            results = await asyncio.gather(reader, writer, return_exceptions=True)
            await self.close()
            self._end(next((r for r in results if isinstance(r, Exception)), None))

    def _end(self, fault: Exception | None) -> None:
        was_drained = self._is_leaving and self._socket.close_code == _GOING_AWAY
        for name, answered in self._waiting.items():
            if answered.done():
                continue
            if name in self._unsent or was_drained:
                answered.set_exception(NotBegun())
            elif isinstance(fault, BadAnswer):
                answered.set_exception(BadAnswer(str(fault)))
            else:
                reason = f"the connection was lost, close code {self._socket.close_code}"
                lost = LinkLost(reason if fault is None else f"{reason}: {fault!r}")
                answered.set_exception(lost)

    async def _read(self) -> None:
        async for message in self._socket:
            if message.type is aiohttp.WSMsgType.BINARY:
                for answer in decode_answers(message.data):
                    self._land(answer)

    def _land(self, answer: Answer) -> None:
        if answer.going_away:
            self._is_leaving = True
            self._send_elsewhere()
            self._due.set()
            return
        self.has_answered = True
        # Nobody waits for an answer that came after its caller had given up.
        answered = self._waiting.get(answer.id)
        if answered is not None and not answered.done():
            answered.set_result(answer)

    def _send_elsewhere(self) -> None:
        unsent, self._unsent = self._unsent, {}
        for name in unsent:
            if not self._waiting[name].done():
                self._waiting[name].set_exception(NotBegun())

    async def _write(self) -> None:
        """Send what was asked in a turn of the loop in one message."""
        while not self._is_leaving or self._waiting:
            await self._due.wait()
            self._due.clear()
            while message := self._next_message():
                try:
                    await self._socket.send_bytes(message)
                except ConnectionError:
                    return

    def _next_message(self) -> bytes:
        """Return what is not sent yet, or as much of it as one message holds; empty if nothing."""
        requests: list[bytes] = []
        size, now_s = _ARRAY_HEAD_BYTES_MAX, self._loop.time()
        while (
            self._unsent
            and len(requests) < MESSAGE_REQUESTS_MAX
            and size < self._settings.message_bytes
        ):
            name, call = next(iter(self._unsent.items()))
            request = encode_call(call, now_s, name)
            if len(request) > REQUEST_BYTES_MAX:
                self._refuse_too_large(name)
            elif requests and size + len(request) > REQUEST_BYTES_MAX:
                break
            else:
                requests.append(request)
                size += len(request)
            del self._unsent[name]
        return join_requests(requests) if requests else b""

    def _refuse_too_large(self, name: str) -> None:
        answered = self._waiting[name]
        if not answered.done():
            text = f"the request is larger than the {REQUEST_BYTES_MAX} bytes accepted"
            answered.set_exception(InvalidRequest(text))
