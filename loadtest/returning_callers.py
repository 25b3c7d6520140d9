"""Callers who take the server at its word: refused, they come back after the hinted time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import uvloop

from loadtest.http_connection import HttpConnection
from loadtest.traffic import Floats

HINT_HEADER = b"retry-after-ms"
REFUSED = 429
CALLERS_MAX = 4_000
ANSWER_S_MAX = 30.0


@dataclass(frozen=True, slots=True)
class Returned:
    """How many were asked, refused and came back, and how many of these were let in."""

    asked: int
    returned: int
    let_in: int


def burst_and_return(host: str, port: int, request: bytes, callers: int) -> Returned:
    """Let so many callers ask at once, and those who are refused once more."""
    return uvloop.run(_run(host, port, request, [0.0] * min(callers, CALLERS_MAX)))


def offer_and_return(host: str, port: int, request: bytes, times_s: Floats) -> Returned:
    """Ask at these times, in seconds from now; who is refused asks once more."""
    return uvloop.run(_run(host, port, request, times_s.tolist()))


async def _run(host: str, port: int, request: bytes, times_s: Sequence[float]) -> Returned:
    callers = _Callers(host, port, request)
    return await callers.run(times_s)


class _HintedConnection(HttpConnection):
    """Keeps the hint of the last answer, in seconds."""

    hint_s: float | None = None

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == HINT_HEADER:
            self.hint_s = float(value) / 1e3


class _Callers:
    """Connections that are used again, opened when there are too few."""

    def __init__(self, host: str, port: int, request: bytes) -> None:
        self._host = host
        self._port = port
        self._request = request
        self._free: list[_HintedConnection] = []
        self._unanswered = 0
        self._returned = 0
        self._let_in = 0
        self._done = asyncio.Event()

    async def run(self, times_s: Sequence[float]) -> Returned:
        loop = asyncio.get_running_loop()
        wanted = min(len(times_s), CALLERS_MAX)
        for _ in range(wanted):
            connection = _HintedConnection(self)
            await loop.create_connection(partial(_same, connection), self._host, self._port)
            self._free.append(connection)
        self._unanswered = len(times_s)
        start_s = loop.time()
        for at_s in times_s:
            loop.call_at(start_s + at_s, self._ask, False)
        async with asyncio.timeout((times_s[-1] if times_s else 0.0) + ANSWER_S_MAX):
            await self._done.wait()
        for connection in self._free:
            connection.close()
        return Returned(len(times_s), self._returned, self._let_in)

    def _ask(self, again: bool) -> None:
        if not self._free:
            raise RuntimeError(f"more than {CALLERS_MAX} callers wait")
        connection = self._free.pop()
        connection.hint_s = None
        connection.send(int(again), self._request)

    def on_answer(self, connection: HttpConnection, status: int, body: bytes) -> None:
        """Count an answer; a refusal of the first try brings its caller back."""
        assert isinstance(connection, _HintedConnection)
        is_return, connection.request = bool(connection.request), None
        self._free.append(connection)
        if status == REFUSED and not is_return and connection.hint_s is not None:
            self._returned += 1
            asyncio.get_running_loop().call_later(connection.hint_s, self._ask, True)
            return
        self._let_in += is_return and status != REFUSED
        self._unanswered -= 1
        if not self._unanswered:
            self._done.set()

    def on_lost(self, connection: HttpConnection, request: int | None) -> None:
        """The server closed a connection in use: nothing may be concluded from such a run."""
        if request is not None:
            raise RuntimeError("the server closed a connection with a request on it")


def _same(connection: _HintedConnection) -> _HintedConnection:
    return connection
