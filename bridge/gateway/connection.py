"""One HTTP connection: what aiohttp leaves open, closed. Caps, header deadline, error bodies.

aiohttp's parser refuses bad framing by itself; here such a refusal gets the error body of every
other refusal, connections are counted, and the pure-Python parser is refused at start.
"""

from __future__ import annotations

import asyncio
from typing import Any

import structlog
from aiohttp import http_parser, web

from bridge.gateway.problem import Problem, ProblemCode
from bridge.gateway.responses import problem_response, request_id_of

log = structlog.get_logger(__name__)

CONNECTIONS_MAX = 10_000
# Also the time within which a request's headers must be complete.
KEEPALIVE_S = 10.0
# How long a refused body is still read, so that the client sees the answer and not a reset.
LINGERING_S = 1.0
HEADER_LINE_BYTES_MAX = 8_190
HEADERS_MAX = 128
READ_BUFFER_BYTES = 2**18


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


class Connections:
    """The open connections of one gateway, bounded."""

    def __init__(self, connections_max: int = CONNECTIONS_MAX) -> None:
        self._connections_max = connections_max
        self._open = 0
        self._none_left = asyncio.Event()
        self._none_left.set()

    def enter(self) -> bool:
        """Count a new connection; return whether there was room for it."""
        self._open += 1
        self._none_left.clear()
        return self._open <= self._connections_max

    def leave(self) -> None:
        """Count a connection that has gone."""
        self._open -= 1
        if not self._open:
            self._none_left.set()

    async def wait_none(self) -> None:
        """Return when no connection is open."""
        await self._none_left.wait()


class GatewayConnection(web.RequestHandler):
    """aiohttp's protocol with our caps and error bodies."""

    __slots__ = ("_connections", "_is_counted")

    def __init__(self, manager: web.Server, connections: Connections) -> None:
        super().__init__(
            manager,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=KEEPALIVE_S,
            lingering_time=LINGERING_S,
            max_line_size=HEADER_LINE_BYTES_MAX,
            max_field_size=HEADER_LINE_BYTES_MAX,
            max_headers=HEADERS_MAX,
            read_bufsize=READ_BUFFER_BYTES,
            # A body is refused with 415 when it is compressed: nothing is ever inflated.
            auto_decompress=False,
            access_log=None,  # type: ignore[arg-type]
        )
        self._connections = connections
        self._is_counted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection, and close it at once when there are too many."""
        super().connection_made(transport)
        self._is_counted = True
        if not self._connections.enter():
            self.force_close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Give the connection's place back."""
        if self._is_counted:
            self._is_counted = False
            self._connections.leave()
        super().connection_lost(exc)

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
            problem = Problem(ProblemCode.BAD_FRAMING, "the bytes are not a valid HTTP request")
        else:
            problem = Problem(ProblemCode.INTERNAL, "internal error")
            log.error("handler_failed", request_id=request_id_of(request), exc_info=exc)
        response = problem_response(problem, request_id_of(request))
        response.force_close()
        return response

    def log_exception(self, *args: Any, **kwargs: Any) -> None:
        """Log through the process's JSON log."""
        log.error("connection_failed", reason=str(args[0])[:80], exc_info=kwargs.get("exc_info"))
