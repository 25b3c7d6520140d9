"""aiohttp responses, made from replies."""

from __future__ import annotations

from typing import Any

import orjson
from aiohttp import web

from bridge.contract.invalid import InvalidInput
from bridge.gateway.problem import Problem
from bridge.gateway.reply import (
    JSON,
    REQUEST_ID_HEADER,
    Reply,
    invalid_reply,
    problem_reply,
    request_id,
)

_REQUEST_ID_KEY = web.RequestKey("batchbridge_request_id", str)


def request_id_of(request: web.BaseRequest) -> str:
    """Return the request's id, the same each time; see `reply.request_id`."""
    known = request.get(_REQUEST_ID_KEY)
    if known is None:
        known = request[_REQUEST_ID_KEY] = request_id(request.headers.get(REQUEST_ID_HEADER))
    return known


def response_of(reply: Reply) -> web.Response:
    """Return a reply as aiohttp wants it."""
    response = web.Response(body=reply.body, status=reply.status, headers=reply.headers)
    if reply.closes:
        response.force_close()
    return response


def json_response(document: Any, status: int = 200) -> web.Response:
    """Return a JSON response."""
    return web.Response(body=orjson.dumps(document), status=status, content_type=JSON)


def problem_response(problem: Problem, request_id: str) -> web.Response:
    """Return the refusal that a problem stands for."""
    return response_of(problem_reply(problem, request_id))


def invalid_response(error: InvalidInput, request_id: str) -> web.Response:
    """Return the refusal of an input that the contract does not accept."""
    return response_of(invalid_reply(error, request_id))
