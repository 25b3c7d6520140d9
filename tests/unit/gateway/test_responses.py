"""Responses: the error body, its headers, request ids, timings."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from bridge.contract.invalid import InvalidCode, InvalidInput
from bridge.gateway.dialects.call import Body
from bridge.gateway.launch import Timings
from bridge.gateway.problem import Problem, ProblemCode, overloaded
from bridge.gateway.reply import ERROR_BYTES_MAX, answer_reply
from bridge.gateway.responses import (
    invalid_response,
    json_response,
    problem_response,
    request_id_of,
    response_of,
)


def document(response: web.Response) -> dict[str, Any]:
    assert isinstance(response.body, bytes)
    decoded: dict[str, Any] = json.loads(response.body)
    return decoded


def refusal(message: str, code: ProblemCode = ProblemCode.INTERNAL) -> web.Response:
    return problem_response(Problem(code, message), "id-1")


def test_an_error_body_says_what_code_and_which_request() -> None:
    response = refusal("no such model", ProblemCode.UNKNOWN_MODEL)
    assert response.status == 404
    assert document(response) == {
        "error": "no such model",
        "code": "unknown_model",
        "request_id": "id-1",
    }


def test_an_error_is_json_without_a_charset_as_one_client_demands() -> None:
    assert refusal("no").headers["Content-Type"] == "application/json"


def test_an_error_names_the_request_in_its_header_too() -> None:
    assert refusal("no").headers["X-Request-Id"] == "id-1"


def test_a_refused_input_has_the_same_body() -> None:
    response = invalid_response(InvalidInput(InvalidCode.TOO_MANY_ROWS, "too many"), "id-2")
    assert response.status == 413
    assert document(response) == {
        "error": "too many",
        "code": "too_many_rows",
        "request_id": "id-2",
    }


@given(st.text(max_size=3000) | st.text('"\\\n\x00\U0001f600é', max_size=3000))
def test_an_error_body_is_short_and_parses_whatever_the_message(message: str) -> None:
    response = problem_response(Problem(ProblemCode.INTERNAL, message), "a" * 64)
    assert isinstance(response.body, bytes)
    assert len(response.body) <= ERROR_BYTES_MAX
    shown = document(response)["error"]
    assert shown == message or (shown.endswith("...") and message.startswith(shown[:-3]))


@pytest.mark.parametrize(
    ("retry_after_s", "seconds", "milliseconds"),
    [
        (0.0, "1", "1"),
        (0.0001, "1", "1"),
        (0.25, "1", "250"),
        (1.0, "1", "1000"),
        (1.0001, "2", "1001"),
        (59.2, "60", "59200"),
    ],
)
def test_retry_after_is_rounded_up_to_whole_seconds(
    retry_after_s: float, seconds: str, milliseconds: str
) -> None:
    headers = problem_response(overloaded(retry_after_s), "id").headers
    assert (headers["Retry-After"], headers["retry-after-ms"]) == (seconds, milliseconds)


def test_what_cannot_be_tried_again_has_no_retry_after() -> None:
    headers = refusal("no").headers
    assert "Retry-After" not in headers
    assert "retry-after-ms" not in headers


def test_a_wrong_method_names_the_right_ones() -> None:
    problem = Problem(ProblemCode.METHOD_NOT_ALLOWED, "no", allow="GET, HEAD")
    assert problem_response(problem, "id").headers["Allow"] == "GET, HEAD"


def request_with(request_id: str | None) -> web.Request:
    headers = {} if request_id is None else {"X-Request-Id": request_id}
    return make_mocked_request("GET", "/", headers=headers)


@pytest.mark.parametrize("sent", ["a", "A-9_b.c:d", "0" * 64])
def test_a_plain_request_id_is_kept(sent: str) -> None:
    assert request_id_of(request_with(sent)) == sent


@pytest.mark.parametrize(
    "sent",
    [
        None,
        "",
        "0" * 65,
        "a b",
        "a\tb",
        "é",
        "\u202eabc",
        'a"b',
        "a/b",
        "<script>",
        "a,b",
    ],
)
def test_any_other_request_id_is_replaced_by_a_random_one(sent: str | None) -> None:
    first, second = request_id_of(request_with(sent)), request_id_of(request_with(sent))
    assert re.fullmatch("[0-9a-f]{16}", first)
    assert first != second


def test_a_request_keeps_the_id_that_it_was_given() -> None:
    request = request_with("not plain")
    assert request_id_of(request) == request_id_of(request)


def test_an_answer_says_where_its_time_went_in_milliseconds() -> None:
    body = Body("application/json", (), b"{}")
    reply = answer_reply(body, Timings(0.001, 0.0025, 1.5), "id-1", None)
    timing = response_of(reply).headers["Server-Timing"]
    assert timing == "queue;dur=1.000, batch;dur=2.500, run;dur=1500.000"


def test_an_answer_keeps_the_headers_of_its_dialect_and_of_the_route() -> None:
    body = Body("application/octet-stream", (("Inference-Header-Content-Length", "5"),), b"12345")
    response = response_of(answer_reply(body, Timings(0, 0, 0), "id-1", 3600.0))
    assert list(response.headers.items())[:4] == [
        ("X-Request-Id", "id-1"),
        ("X-Request-Timeout-Ms", "3600000"),
        ("Content-Type", "application/octet-stream"),
        ("Inference-Header-Content-Length", "5"),
    ]


def test_json_is_json_with_the_status_asked_for() -> None:
    response = json_response({"ready": False}, 503)
    assert (response.status, document(response)) == (503, {"ready": False})
