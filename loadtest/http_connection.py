"""One HTTP/1.1 connection of a load generator: a request out, an answer in, one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Protocol, cast

import httptools


class Answered(Protocol):
    """Who is told what became of a request; called on the event loop."""

    def on_answer(self, connection: HttpConnection, status: int, body: bytes) -> None:
        """The whole answer has arrived; the connection can be used again if it is open."""

    def on_lost(self, connection: HttpConnection, request: int | None) -> None:
        """The connection has gone, and with it the request that was under way, if any."""


class HttpConnection(asyncio.Protocol):
    """Sends prepared bytes and parses answers with llhttp (httptools).

    An answer needs a length or chunks: one that only ends with the connection counts as lost.
    """

    def __init__(self, owner: Answered) -> None:
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []
        self._unsent: list[bytes] = []
        self.request: int | None = None
        """The index of the request that is under way, None while the connection is free."""

    @property
    def is_open(self) -> bool:
        """Whether a request can be written."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, request: int, data: bytes) -> None:
        """Write a request's bytes; its answer, or the loss of the connection, is told the owner."""
        assert self._transport is not None
        self.request = request
        self._transport.write(data)

    def send_slowly(self, request: int, pieces: list[bytes], gap_s: float) -> None:
        """Write a request in pieces, `gap_s` apart."""
        self._unsent = pieces[1:]
        self.send(request, pieces[0])
        self._write_later(gap_s)

    def close(self) -> None:
        """Close, whatever is under way."""
        self._unsent = []
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio.Transport.
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        request, self.request = self.request, None
        self._owner.on_lost(self, request)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:
            return  # 100 Continue is not the answer
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body = []
        # After an answer to half a request the other half would be taken for the next one.
        if self._unsent or not self._parser.should_keep_alive():
            self.close()
        self._owner.on_answer(self, status, body)

    def _write_later(self, gap_s: float) -> None:
        if self._unsent:
            loop = asyncio.get_running_loop()
            loop.call_later(gap_s, self._write_piece, self.request, gap_s)

    def _write_piece(self, request: int | None, gap_s: float) -> None:
        if self._unsent and self.request == request and self.is_open:
            assert self._transport is not None
            self._transport.write(self._unsent.pop(0))
            self._write_later(gap_s)


async def end(tasks: Iterable[asyncio.Task[None]], connections: Iterable[HttpConnection]) -> None:
    """End what a loop has under way, then its connections, whatever is under way there."""
    ended = list(tasks)
    for task in ended:
        task.cancel()
    await asyncio.gather(*ended, return_exceptions=True)
    for connection in list(connections):  # each leaves its owner's set while it closes
        connection.close()
