"""The client for programs on an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Literal, Self
from urllib.parse import urlsplit

import aiohttp
import numpy as np

from bridge.client.call import Answer, Call, Priority
from bridge.client.errors import (
    BadAnswer,
    ClientClosed,
    ClientError,
    InvalidRequest,
    Refused,
    error_of,
)
from bridge.client.http_transport import HttpTransport
from bridge.client.retry import RetryBudget, backoff_s, retry_s
from bridge.client.settings import DEFAULT_SETTINGS, ClientSettings
from bridge.client.stream_transport import StreamTransport
from bridge.client.tensors import Array, decode_outputs, encode_inputs
from bridge.client.transport import Transport, chance

TransportName = Literal["stream", "http"]
# Below the gateway's 10 s: a connection that it is just closing is not used for a request.
_KEPT_S = 5.0


class AsyncClient:
    """Asks a gateway at `url` for predictions; to be made, used and closed on one event loop.

    Any number of calls may wait at once. `transport` "stream" sends them over one WebSocket for
    each model version, "http" each in a request of its own. `headers` go with every handshake and
    request.

    Raises:
        ValueError: `url` is not an address of a gateway.
    """

    def __init__(
        self,
        url: str,
        *,
        transport: TransportName = "stream",
        settings: ClientSettings = DEFAULT_SETTINGS,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ValueError(f"url: '{url}' is not http://host:port")
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=settings.http_connections_max, keepalive_timeout=_KEPT_S
            ),
            headers=headers,
        )
        url = url.rstrip("/")
        self._http = HttpTransport(self._session, url, settings)
        self._transport: Transport = (
            self._http if transport == "http" else StreamTransport(self._session, url, settings)
        )
        self._budget = RetryBudget(settings.retry_ratio, settings.retry_reserve)
        self._only_inputs: dict[tuple[str, str | None], str] = {}
        self._callers: set[asyncio.Task[object]] = set()
        self._none_waits = asyncio.Event()
        self._is_closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def infer(
        self,
        model: str,
        inputs: Mapping[str, Array] | Array,
        *,
        version: str | int | None = None,
        timeout_s: float | None = None,
        priority: Priority | None = None,
    ) -> dict[str, Array]:
        """Return the model's outputs, by name, each of shape (rows, ...).

        `inputs` are arrays of shape (rows, ...), in exactly the dtypes of the model; text as str
        or object arrays. A single array stands for the only input of a model that has one.
        `timeout_s` is for everything, retries included; without it the model's own target holds.
        `priority` is "critical", "default", "sheddable" or Triton's number.

        Raises:
            ClientError: see `errors` for which, and which of them may have run.
            ValueError: `timeout_s` is not above 0.
        """
        if timeout_s is not None and not timeout_s > 0:
            raise ValueError(f"timeout_s: {timeout_s} is not above 0")
        task = asyncio.current_task()
        if self._is_closed or task is None:
            raise ClientClosed("the client is closed")
        deadline_s = self._loop.time() + (timeout_s or self._settings.timeout_s)
        key = (model, None if version is None else str(version))
        self._callers.add(task)
        try:
            if not isinstance(inputs, Mapping):
                inputs = {await self._only_input(key, deadline_s): np.asarray(inputs)}
            raw = encode_inputs(inputs)
            return await self._outputs(Call(*key, raw, deadline_s, timeout_s is not None, priority))
        except asyncio.CancelledError:
            # By `close`, or by somebody else as well, whose cancellation goes on.
            if self._closes() and task.uncancel() == 0:
                raise ClientClosed("the client was closed") from None
            raise
        finally:
            self._callers.discard(task)
            if not self._callers:
                self._none_waits.set()

    async def close(self) -> None:
        """Close all connections; calls that still wait end with `ClientClosed`."""
        self._is_closed = True
        for task in self._callers:
            task.cancel()
        while self._callers:
            self._none_waits.clear()
            await self._none_waits.wait()
        await self._transport.close()
        await self._session.close()

    def _closes(self) -> bool:
        return self._is_closed

    async def _outputs(self, call: Call) -> dict[str, Array]:
        """Ask until there is an answer that is not a refusal, or no time or budget is left."""
        self._budget.earn()
        tries = 0
        while True:
            answer = await self._transport.ask(call)
            if answer.outputs is not None:
                return decode_outputs(answer.outputs)
            error = _error(answer)
            if not isinstance(error, Refused):
                self._forget(call, error)
                raise error
            wait_s = self._retry_wait_s(error, tries)
            if self._loop.time() + wait_s >= call.deadline_s or not self._budget.spend():
                raise error
            await asyncio.sleep(wait_s)
            tries += 1

    def _retry_wait_s(self, refused: Refused, tries: int) -> float:
        luck = chance()
        if refused.retry_after_s is not None:
            return retry_s(refused.retry_after_s, luck)
        settings = self._settings
        return backoff_s(tries, luck, settings.backoff_first_s, settings.backoff_s_max)

    async def _only_input(self, key: tuple[str, str | None], deadline_s: float) -> str:
        """Return the name of the input of a model that has one, asked once."""
        name = self._only_inputs.get(key)
        if name is None:
            names = await self._http.input_names(*key, deadline_s)
            if len(names) != 1:
                text = f"{key[0]} has the inputs {', '.join(names)}: give them by name"
                raise InvalidRequest(text)
            name = self._only_inputs[key] = names[0]
        return name

    def _forget(self, call: Call, error: ClientError) -> None:
        """Another version may be served by now, whose input has another name."""
        if isinstance(error, InvalidRequest):
            self._only_inputs.pop((call.model, call.version), None)


def _error(answer: Answer) -> ClientError:
    if not answer.status:
        return BadAnswer("neither outputs nor an error")
    return error_of(answer.failure)
