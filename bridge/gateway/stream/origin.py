"""Which browsers may open a stream: those that show a page of this server."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import hdrs
from multidict import MultiMapping

from bridge.gateway.problem import Problem, ProblemCode


def refuse_cross_site(headers: MultiMapping[str]) -> None:
    """Refuse a WebSocket handshake that a page of another site makes a browser send.

    Browsers ask nobody before they open a WebSocket to another site, and show that site's page all
    answers (cross-site WebSocket hijacking). They always send Origin; other clients need not.

    Raises:
        Problem: `header`; an Origin whose host and port are not those of the Host header.
    """
    host = headers.get(hdrs.HOST, "").lower()
    for origin in headers.getall(hdrs.ORIGIN, ()):
        if not host or origin.partition("://")[2].lower() != host:
            raise Problem(ProblemCode.HEADER, "pages of other sites may not open a stream")


def refuse_subprotocols(headers: Mapping[str, str]) -> None:
    """Refuse a WebSocket handshake that asks for a subprotocol; aiohttp would log its name.

    Raises:
        Problem: `header`.
    """
    if hdrs.SEC_WEBSOCKET_PROTOCOL in headers:
        raise Problem(ProblemCode.HEADER, "a stream has no subprotocol")
