"""The WebSocket connection of one stream, on aiohttp.

Two tasks serve it, however many requests are in flight: one reads, one writes. Whatever ends the
stream but the client's own leaving, what was taken is answered first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from aiohttp import WSMsgType, hdrs, web

from bridge.gateway.connection import GatewayConnection
from bridge.gateway.dialects.messagepack import CONTENT_TYPE
from bridge.gateway.gateway import Gateway
from bridge.gateway.inference import Inference, InferHead
from bridge.gateway.problem import Problem, ProblemCode
from bridge.gateway.reply import REQUEST_ID_HEADER, SERVER
from bridge.gateway.responses import request_id_of
from bridge.gateway.stream.limits import DEFAULT_STREAM_LIMITS, StreamLimits
from bridge.gateway.stream.message import CloseCode, Violation
from bridge.gateway.stream.origin import refuse_cross_site, refuse_subprotocols
from bridge.gateway.stream.stream import Stream
from bridge.gateway.together import Together

_GONE = Violation(CloseCode.NORMAL, "")
_LEAVING = Violation(CloseCode.GOING_AWAY, "going away")
# What aiohttp's parser closes with: it has given up, and discards whatever else arrives.
_PARSER_GAVE_UP = (CloseCode.PROTOCOL_ERROR, CloseCode.TOO_BIG)


class Streams:
    """The streaming route of one gateway."""

    def __init__(
        self,
        gateway: Gateway,
        inference: Inference,
        limits: StreamLimits = DEFAULT_STREAM_LIMITS,
    ) -> None:
        self._gateway = gateway
        self._inference = inference
        self._together = Together(gateway, inference)
        self._limits = limits

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """GET /v2/models/{m}[/versions/{v}]/stream: a WebSocket."""
        refuse_cross_site(request.headers)
        refuse_subprotocols(request.headers)
        info = request.match_info
        head = InferHead(info["model"], info.get("version"), CONTENT_TYPE, None, None, None)
        self._inference.open(head)
        socket = StreamSocket(self._limits)
        if not socket.can_prepare(request):
            raise Problem(ProblemCode.HEADER, "a WebSocket handshake is expected")
        socket.headers[hdrs.SERVER] = SERVER
        socket.headers[REQUEST_ID_HEADER] = request_id_of(request)
        await socket.prepare(request)
        await self._serve(request, head, socket)
        return socket

    async def _serve(self, request: web.Request, head: InferHead, socket: StreamSocket) -> None:
        limits, due = self._limits, asyncio.Event()
        name = request_id_of(request)
        stream = Stream(self._gateway, self._inference, self._together, head, limits, name, due.set)
        connection = StreamConnection(stream, due, socket, limits.unsent_bytes_max)
        with _place(request, connection):
            if self._gateway.is_draining:
                connection.leave()
            await connection.run()


class StreamSocket(web.WebSocketResponse):
    """A WebSocket that sends all answers before it closes.

    aiohttp closes by itself when the client's bytes are not WebSocket frames, or too many.
    """

    def __init__(self, limits: StreamLimits) -> None:
        super().__init__(
            timeout=limits.close_s,
            # Of a message that was inflated the size is known too late.
            compress=False,
            autoclose=False,
            heartbeat=limits.ping_s,
            max_msg_size=limits.message_bytes_max,
            # Text is refused; decoding it first could only fail.
            decode_text=False,
        )
        self._close_s = limits.close_s
        self.answered: Callable[[], Awaitable[None]] | None = None

    async def close(self, *, code: int = 1000, message: bytes = b"", drain: bool = True) -> bool:
        """Close when all is answered."""
        if self.answered is not None and not self.closed:
            await self.answered()
            if code in _PARSER_GAVE_UP:
                await self._linger(code, message)
        return await super().close(code=code, message=message, drain=drain)

    async def _linger(self, code: int, message: bytes) -> None:
        """Say why, and let the client see it: with bytes unread the system would reset instead.

        The wait ends with the client's leaving, which cancels the handler.
        """
        await self.send_frame(code.to_bytes(2, "big") + message, WSMsgType.CLOSE)
        await asyncio.sleep(self._close_s)


class StreamConnection:
    """Reads and writes for one stream, and ends it."""

    def __init__(
        self, stream: Stream, due: asyncio.Event, socket: StreamSocket, unsent_bytes_max: int
    ) -> None:
        """`due` is set when the stream has answers to be sent."""
        self._stream = stream
        self._due = due
        self._socket = socket
        self._unsent_bytes_max = unsent_bytes_max
        self._written = asyncio.Event()
        self._is_leaving = False
        socket.answered = self._answered

    def leave(self) -> None:
        """Begin no more requests; close when those that have begun are answered."""
        self._is_leaving = True
        self._stream.announce_leaving()
        self._due.set()

    async def run(self) -> None:
        """Return when the stream is closed; what its client has left behind is abandoned."""
        try:
            async with asyncio.TaskGroup() as tasks:
                reader = tasks.create_task(self._read(), name="stream-reader")
                writer = tasks.create_task(self._write(reader), name="stream-writer")
                await asyncio.wait([reader])
                ending = _LEAVING if reader.cancelled() else reader.result()
                await self._socket.close(code=ending.code, message=ending.reason.encode())
                writer.cancel()
        finally:
            self._stream.abandon()

    async def _read(self) -> Violation:
        """Take messages until one says that the stream ends; return why it does."""
        loop = asyncio.get_running_loop()
        while True:
            message = await self._socket.receive()
            if message.type is WSMsgType.TEXT:
                return Violation(CloseCode.NOT_BINARY, "messages must be binary")
            if message.type is not WSMsgType.BINARY:
                # Nobody waits any more for what is in flight.
                self._stream.abandon()
                return _GONE
            if self._is_leaving:
                # Not begun, and the client learns it: what is unanswered at code 1001 was not.
                continue
            try:
                self._stream.take(message.data, loop.time())
            except Violation as violation:
                return violation
            if self._stream.due_bytes > self._unsent_bytes_max:
                await self._until(lambda: self._stream.due_bytes <= self._unsent_bytes_max)

    async def _write(self, reader: asyncio.Task[Violation]) -> None:
        """Send what is due, all that is ready in a turn of the loop at once."""
        stream = self._stream
        while True:
            await self._due.wait()
            self._due.clear()
            try:
                while (message := stream.next_message()) is not None:
                    await self._socket.send_bytes(message)
            except ConnectionError:
                # The client has gone, and aiohttp is about to cancel the handler.
                return
            self._written.set()
            if self._is_leaving and stream.is_empty:
                reader.cancel()

    async def _answered(self) -> None:
        await self._until(lambda: self._stream.is_empty)

    async def _until(self, holds: Callable[[], bool]) -> None:
        """Return when something holds that can only begin to hold when answers were written."""
        while not holds():
            self._written.clear()
            await self._written.wait()


class StreamPlace:
    """A stream's place among the open connections, as those see it who close them."""

    def __init__(self, connection: GatewayConnection, stream: StreamConnection) -> None:
        self._connection = connection
        self._stream = stream

    def close_if_idle(self) -> None:
        """Close when all is answered that has begun: an open stream is never idle for good."""
        self._stream.leave()

    def cut_off(self) -> None:
        """Close the connection, whatever is going on."""
        self._connection.cut_off()


@contextmanager
def _place(request: web.Request, stream: StreamConnection) -> Iterator[None]:
    """The block runs while the stream has its connection's place among the open ones."""
    connection = request.protocol
    if not isinstance(connection, GatewayConnection):
        raise TypeError("a stream needs a connection of this gateway")
    connections, place = connection.connections, StreamPlace(connection, stream)
    connections.replace(connection, place)
    try:
        yield
    finally:
        if request.transport is None:
            connections.leave(place)
        else:
            connections.replace(place, connection)
