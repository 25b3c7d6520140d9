"""HTTP responses: answers, refusals and their headers."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

from bridge.contract.invalid import InvalidInput
from bridge.gateway.dialects.call import Body
from bridge.gateway.flight import Timings
from bridge.gateway.problem import Problem, invalid_status

REQUEST_ID_HEADER = "X-Request-Id"
ERROR_BYTES_MAX = 512
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_REQUEST_ID_KEY = "batchbridge_request_id"
# Exactly this: KServe's client reads the error text only without a charset.
_JSON = "application/json"


def request_id_of(request: web.BaseRequest) -> str:
    """Return the caller's X-Request-Id if it is short and plain, else a new random one."""
    known = request.get(_REQUEST_ID_KEY)
    if known is not None:
        return str(known)
    sent = request.headers.get(REQUEST_ID_HEADER, "")
    # Not from `secrets`: the id is for logs, and a system call each cost 4 % of a request.
    request_id = sent if _REQUEST_ID.fullmatch(sent) else f"{random.getrandbits(64):016x}"
    request[_REQUEST_ID_KEY] = request_id
    return request_id


def json_response(document: Any, status: int = 200) -> web.Response:
    """Return a JSON response."""
    return web.Response(body=orjson.dumps(document), status=status, content_type=_JSON)


def body_response(body: Body, timings: Timings, headers: Mapping[str, str]) -> web.Response:
    """Return the answer to an inference request, with `Server-Timing` in milliseconds."""
    response = web.Response(body=body.data, headers=headers)
    response.headers["Content-Type"] = body.content_type
    for name, value in body.headers:
        response.headers[name] = value
    response.headers["Server-Timing"] = (
        f"queue;dur={timings.queue_s * 1e3:.3f}, "
        f"batch;dur={timings.batch_s * 1e3:.3f}, "
        f"run;dur={timings.run_s * 1e3:.3f}"
    )
    return response


def problem_response(problem: Problem, request_id: str) -> web.Response:
    """Return the refusal that a problem stands for."""
    response = _error(problem.status, problem.message, problem.code.value, request_id)
    if problem.retry_after_s is not None:
        response.headers["Retry-After"] = str(max(1, math.ceil(problem.retry_after_s)))
        response.headers["retry-after-ms"] = str(max(1, math.ceil(problem.retry_after_s * 1e3)))
    if problem.allow is not None:
        response.headers["Allow"] = problem.allow
    return response


def invalid_response(error: InvalidInput, request_id: str) -> web.Response:
    """Return the refusal of an input that the contract does not accept."""
    return _error(invalid_status(error), error.message, error.code.value, request_id)


def _error(status: int, message: str, code: str, request_id: str) -> web.Response:
    document = {"error": message, "code": code, "request_id": request_id}
    body = orjson.dumps(document)
    if len(body) > ERROR_BYTES_MAX:
        room = max(0, len(message) - (len(body) - ERROR_BYTES_MAX) - 3)
        document["error"] = f"{message[:room]}..."
        body = orjson.dumps(document)
    response = web.Response(body=body, status=status, content_type=_JSON)
    response.headers[REQUEST_ID_HEADER] = request_id
    return response
