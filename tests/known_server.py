"""An HTTP server whose every answer is known: what a load tester is held to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
OK_AND_CLOSE = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"
REFUSED = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n"
REFUSED_AND_CLOSE = (
    b"HTTP/1.1 429 Too Many Requests\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
)
DROP = b""
"""Instead of an answer: the connection is closed."""


@dataclass
class KnownServer:
    """Answers request number n (from 0) with `answer(n)`, `delay_s` after its last byte.

    An answer that would fall between `stall_from_s` and `stall_until_s` (of the loop's clock) comes
    at `stall_until_s`: the server stands still. None: no answer at all. `answers_early`: the answer
    comes when the headers are there, before the body.
    """

    answer: Callable[[int], bytes | None] = lambda number: OK
    delay_s: float = 0.0
    stall_from_s: float = float("inf")
    stall_until_s: float = float("inf")
    answers_early: bool = False
    closes_at_once: bool = False
    port: int = 0
    bodies: list[bytes] = field(default_factory=list)
    connections: list[asyncio.Transport] = field(default_factory=list)
    server: asyncio.Server | None = None

    @property
    def requests(self) -> int:
        """The number of whole requests that have come."""
        return len(self.bodies)

    def answer_at_s(self, now_s: float) -> float:
        """Return when a request that comes now is answered."""
        due_s = now_s + self.delay_s
        return self.stall_until_s if self.stall_from_s <= due_s < self.stall_until_s else due_s

    def go_away(self) -> None:
        """Listen no more, and close every connection."""
        assert self.server is not None
        self.server.close()
        for connection in self.connections:
            connection.abort()


class _Connection(asyncio.Protocol):
    def __init__(self, server: KnownServer) -> None:
        self._server = server
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.connections.append(transport)
        if self._server.closes_at_once:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, rest = self._received.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
        if end and (len(rest) >= length or self._server.answers_early):
            self._received = rest[length:]
            self._server.bodies.append(rest[:length])
            self._answer(self._server.answer(self._server.requests - 1))

    def _answer(self, answer: bytes | None) -> None:
        loop = asyncio.get_running_loop()
        if answer is not None:
            loop.call_at(self._server.answer_at_s(loop.time()), self._write, answer)

    def _write(self, answer: bytes) -> None:
        if answer == DROP:
            self._transport.abort()
        elif not self._transport.is_closing():
            self._transport.write(answer)


@asynccontextmanager
async def known_server(server: KnownServer) -> AsyncIterator[KnownServer]:
    """The server on a free port of loopback; it ends with the block."""
    loop = asyncio.get_running_loop()
    server.server = await loop.create_server(lambda: _Connection(server), "127.0.0.1", 0)
    server.port = server.server.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        server.go_away()
