"""What goes back to the caller of an inference request: status, headers, body.

Made in one place for both lanes: `responses.py` hands it to aiohttp, `express/reply_bytes.py`
writes it as bytes.
"""

from __future__ import annotations

import math
import random
import re

import msgspec
import orjson

from bridge.contract.invalid import InvalidInput
from bridge.gateway.dialects.call import Body
from bridge.gateway.launch import Timings
from bridge.gateway.problem import Problem, ProblemCode, invalid_status

# Instead of the versions of Python and aiohttp, which help nobody but an attacker.
SERVER = "batchbridge"
REQUEST_ID_HEADER = "X-Request-Id"
TIMEOUT_HEADER = "X-Request-Timeout-Ms"
ERROR_BYTES_MAX = 512
# Exactly this: KServe's client reads the error text only without a charset.
JSON = "application/json"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")

# After these the rest of the connection's bytes cannot be trusted or would only be thrown away.
CLOSING = frozenset(
    {
        ProblemCode.BAD_FRAMING,
        ProblemCode.TOO_LARGE,
        ProblemCode.BODY_TIMEOUT,
        ProblemCode.ENCODING,
    }
)


class Reply(msgspec.Struct, frozen=True, gc=False):
    """An HTTP response without what every response has: Server, Content-Length, Date.

    `closes` says that the connection must not be used after it.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    closes: bool = False


def request_id(sent: str | None) -> str:
    """Return the caller's X-Request-Id if it is short and plain, else a new random one."""
    if sent is not None and _REQUEST_ID.fullmatch(sent):
        return sent
    # Not from `secrets`: the id is for logs, and a system call each cost 4 % of a request.
    return f"{random.getrandbits(64):016x}"


def answer_reply(
    body: Body, timings: Timings, request_id: str, capped_timeout_s: float | None
) -> Reply:
    """Return the answer to an inference request, with `Server-Timing` in milliseconds.

    `capped_timeout_s` is the timeout that was used where the caller asked for more, else None.
    """
    timing = server_timing(timings)
    if capped_timeout_s is None and not body.headers:
        headers: tuple[tuple[str, str], ...] = (
            (REQUEST_ID_HEADER, request_id),
            ("Content-Type", body.content_type),
            ("Server-Timing", timing),
        )
    else:
        capped = () if capped_timeout_s is None else (f"{capped_timeout_s * 1e3:.0f}",)
        headers = (
            (REQUEST_ID_HEADER, request_id),
            *((TIMEOUT_HEADER, text) for text in capped),
            ("Content-Type", body.content_type),
            *body.headers,
            ("Server-Timing", timing),
        )
    return Reply(200, headers, body.data)


def server_timing(timings: Timings) -> str:
    """Return what `Server-Timing` says, in milliseconds."""
    return (
        f"queue;dur={timings.queue_s * 1e3:.3f}, "
        f"batch;dur={timings.batch_s * 1e3:.3f}, "
        f"run;dur={timings.run_s * 1e3:.3f}"
    )


def problem_reply(problem: Problem, request_id: str) -> Reply:
    """Return the refusal that a problem stands for."""
    more: list[tuple[str, str]] = []
    if problem.retry_after_s is not None:
        seconds, milliseconds = retry_after(problem.retry_after_s)
        more.append(("Retry-After", str(seconds)))
        more.append(("retry-after-ms", str(milliseconds)))
    if problem.allow is not None:
        more.append(("Allow", problem.allow))
    body = error_body(problem.message, problem.code.value, request_id)
    return Reply(problem.status, _error_headers(request_id, more), body, problem.code in CLOSING)


def retry_after(retry_after_s: float) -> tuple[int, int]:
    """Return what Retry-After and retry-after-ms say: whole seconds, milliseconds, rounded up."""
    return max(1, math.ceil(retry_after_s)), max(1, math.ceil(retry_after_s * 1e3))


def invalid_reply(error: InvalidInput, request_id: str) -> Reply:
    """Return the refusal of an input that the contract does not accept."""
    body = error_body(error.message, error.code.value, request_id)
    return Reply(invalid_status(error), _error_headers(request_id, ()), body)


def error_body(message: str, code: str, request_id: str) -> bytes:
    """Return the body of every error: at most `ERROR_BYTES_MAX`, the message cut to that."""
    document = {"error": message, "code": code, "request_id": request_id}
    body = orjson.dumps(document)
    if len(body) > ERROR_BYTES_MAX:
        room = max(0, len(message) - (len(body) - ERROR_BYTES_MAX) - 3)
        document["error"] = f"{message[:room]}..."
        body = orjson.dumps(document)
    return body


def _error_headers(
    request_id: str, more: list[tuple[str, str]] | tuple[()]
) -> tuple[tuple[str, str], ...]:
    return (("Content-Type", JSON), (REQUEST_ID_HEADER, request_id), *more)
