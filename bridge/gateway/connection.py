"""One HTTP connection: what aiohttp leaves open, closed. Caps, deadlines, error bodies.

aiohttp's parser refuses bad framing by itself; here such a refusal gets the error body of every
other refusal and reaches the request whose body it is in, connections are counted, those that
send or take nothing are closed, and the pure-Python parser is refused at start.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from aiohttp import hdrs, http_exceptions, http_parser, web

from bridge.gateway.problem import Problem, ProblemCode
from bridge.gateway.reply import SERVER
from bridge.gateway.responses import problem_response, request_id_of
from bridge.gateway.sending import SendingWatch

log = structlog.get_logger(__name__)

HEADER_LINE_BYTES_MAX = 8_190
HEADERS_MAX = 128
READ_BUFFER_BYTES = 2**18


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """How many connections may be open, and how long each may do nothing.

    `keepalive_s` is also the time within which a request's headers must be complete.
    `lingering_s` is how long a refused body is still read, so that the client sees the answer
    and not a reset. A client that takes not one byte of its answer for `send_s` is cut off.
    """

    connections_max: int = 10_000
    keepalive_s: float = 10.0
    lingering_s: float = 1.0
    send_s: float = 10.0


DEFAULT_LIMITS = ConnectionLimits()


class UnsafeParserError(Exception):
    """aiohttp runs without its C parser, whose framing checks this server relies on."""


def require_strict_parser() -> None:
    """Check that aiohttp's C parser (llhttp) is in use.

    Raises:
        UnsafeParserError: it is not.
    """
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        raise UnsafeParserError(
            "aiohttp was installed without its C extensions, or AIOHTTP_NO_EXTENSIONS is set"
        )


class OpenConnection(Protocol):
    """A connection of either lane, as those who close connections see it."""

    def close_if_idle(self) -> None:
        """Close the connection unless a request on it has begun and is not answered."""

    def cut_off(self) -> None:
        """Close the connection, whatever is going on."""


class Connections:
    """The open connections of one gateway, bounded."""

    def __init__(self, limits: ConnectionLimits = DEFAULT_LIMITS) -> None:
        self.limits = limits
        self._open: set[OpenConnection] = set()
        self._none_left = asyncio.Event()
        self._none_left.set()

    def __len__(self) -> int:
        return len(self._open)

    def enter(self, connection: OpenConnection) -> bool:
        """Take in a new connection; return whether there was room for it."""
        self._open.add(connection)
        self._none_left.clear()
        return len(self._open) <= self.limits.connections_max

    def replace(self, before: OpenConnection, after: OpenConnection) -> None:
        """Let another protocol have a connection's place."""
        self._open.discard(before)
        self._open.add(after)

    def leave(self, connection: OpenConnection) -> None:
        """Note that a connection has gone."""
        self._open.discard(connection)
        if not self._open:
            self._none_left.set()

    def close_idle(self) -> None:
        """Close the connections on which no request has begun."""
        for connection in list(self._open):
            connection.close_if_idle()

    def cut_off(self) -> None:
        """Close all that are left."""
        for connection in list(self._open):
            connection.cut_off()

    async def wait_none(self) -> None:
        """Return when no connection is open."""
        await self._none_left.wait()


class GatewayConnection(web.RequestHandler):
    """aiohttp's protocol with our caps, deadlines and error bodies."""

    __slots__ = ("_application", "_connections", "_sending")

    def __init__(self, manager: web.Server, connections: Connections) -> None:
        super().__init__(
            manager,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=connections.limits.keepalive_s,
            lingering_time=connections.limits.lingering_s,
            max_line_size=HEADER_LINE_BYTES_MAX,
            max_field_size=HEADER_LINE_BYTES_MAX,
            max_headers=HEADERS_MAX,
            read_bufsize=READ_BUFFER_BYTES,
            # A body is refused with 415 when it is compressed: nothing is ever inflated.
            auto_decompress=False,
            access_log=None,  # type: ignore[arg-type]
        )
        self._application = manager.request_handler
        self._request_handler = self._handle
        self._connections = connections
        self._sending = SendingWatch(connections.limits.send_s)

    @property
    def connections(self) -> Connections:
        """The open connections among which this one is."""
        return self._connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection in, and close it at once when there are too many."""
        super().connection_made(transport)
        if not self._connections.enter(self):
            self.force_close()

    def take_over(
        self,
        before: OpenConnection,
        transport: asyncio.Transport,
        received: bytes,
        headers_by_s: float,
    ) -> None:
        """Continue a connection that another protocol began.

        `received` begins where a request begins; its headers must be complete by `headers_by_s`,
        an instant of the loop's clock. Nothing that was answered may still wait to be sent.
        """
        self._connections.replace(before, self)
        transport.set_protocol(self)
        super().connection_made(transport)
        if self._keepalive_handle is not None:
            self._keepalive_handle.cancel()
        self._next_keepalive_close_time = headers_by_s
        self._keepalive_handle = self._loop.call_at(headers_by_s, self._process_keepalive)
        self.data_received(received)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Give the connection's place back."""
        self._connections.leave(self)
        self._sending.stop()
        super().connection_lost(exc)

    def cut_off(self) -> None:
        """Close the connection, whatever is going on."""
        self.force_close()

    def close_if_idle(self) -> None:
        """Close the connection unless a request on it has begun and is not answered."""
        # aiohttp waits on this future for a request's headers to be complete.
        if self._waiter is not None:
            self.force_close()

    def data_received(self, data: bytes) -> None:
        """Parse; a body found to be badly framed fails at once."""
        super().data_received(data)
        if self._messages and not isinstance(self._messages[-1][0], http_parser.RawRequestMessage):
            self._fail_unfinished_body()

    def _fail_unfinished_body(self) -> None:
        """Tell who reads the body that the parser has given up.

        aiohttp 3.14's C parser tells nobody: the reader would wait until its own deadline.
        """
        request = self._current_request
        if len(self._messages) > 1:
            payload = self._messages[-2][1]
        elif request is not None:
            payload = request.content
        else:
            return
        if not payload.is_eof():
            payload.set_exception(web.RequestPayloadError("bad framing"))

    def pause_writing(self) -> None:
        """The client takes its answer more slowly than it is written: watch it."""
        super().pause_writing()
        if self.transport is not None:
            self._sending.start(self.transport)

    def resume_writing(self) -> None:
        """The client has taken what was written."""
        self._sending.stop()
        super().resume_writing()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request.

        An unknown expectation is refused here: on a path or method that is not served aiohttp 3.14
        would answer it itself, as text/plain, and with 500 where the value is not UTF-8.
        """
        expectation = request.headers.get(hdrs.EXPECT)
        if expectation is not None and expectation.lower() != "100-continue":
            problem = Problem(ProblemCode.EXPECTATION, "the only expectation known is 100-continue")
            response: web.StreamResponse = problem_response(problem, request_id_of(request))
            response.force_close()
        else:
            response = await self._application(request)
        response.headers[hdrs.SERVER] = SERVER
        return response

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what never became a request, or a handler that failed, without internals."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer was already begun")
        if status == 400:
            problem = _refusal(exc)
        else:
            problem = Problem(ProblemCode.INTERNAL, "internal error")
            log.error("handler_failed", request_id=request_id_of(request), exc_info=exc)
        response = problem_response(problem, request_id_of(request))
        response.headers[hdrs.SERVER] = SERVER
        response.force_close()
        return response

    def log_exception(self, *args: Any, **kwargs: Any) -> None:
        """Log through the process's JSON log; a client's bad framing is no news."""
        error = kwargs.get("exc_info")
        if not isinstance(error, web.RequestPayloadError):
            log.error("connection_failed", reason=str(args[0])[:80], exc_info=error)


def _refusal(error: BaseException | None) -> Problem:
    """Return the refusal of bytes that never became a request."""
    if isinstance(error, http_exceptions.LineTooLong) or "Too many headers" in str(error):
        return Problem(
            ProblemCode.HEADER,
            f"a line is longer than {HEADER_LINE_BYTES_MAX} bytes or there are more than "
            f"{HEADERS_MAX} headers",
        )
    return Problem(ProblemCode.BAD_FRAMING, "the bytes are not a valid HTTP request")
