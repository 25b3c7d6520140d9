"""Every failure that a gateway can answer with is one exception of the client."""

from __future__ import annotations

import pytest

from bridge.client.errors import (
    ClientError,
    DeadlineExceeded,
    Failed,
    Failure,
    Interrupted,
    InvalidRequest,
    Overloaded,
    Refused,
    Unavailable,
    UnknownModel,
    error_of,
)
from bridge.contract.invalid import InvalidCode, InvalidInput
from bridge.gateway.problem import STATUS, ProblemCode, invalid_status

# What nothing was started for, by status, and what may have been.
EXPECTED: dict[int, tuple[type[ClientError], type[ClientError]]] = {
    400: (InvalidRequest, InvalidRequest),
    404: (UnknownModel, UnknownModel),
    405: (InvalidRequest, InvalidRequest),
    408: (Unavailable, Interrupted),
    409: (InvalidRequest, InvalidRequest),
    413: (InvalidRequest, InvalidRequest),
    415: (InvalidRequest, InvalidRequest),
    416: (InvalidRequest, InvalidRequest),
    417: (InvalidRequest, InvalidRequest),
    422: (Failed, Failed),
    429: (Overloaded, Interrupted),
    500: (Failed, Failed),
    503: (Unavailable, Interrupted),
    504: (DeadlineExceeded, DeadlineExceeded),
    507: (Failed, Failed),
}
CODES = [(code.value, STATUS[code]) for code in ProblemCode] + [
    (code.value, invalid_status(InvalidInput(code, ""))) for code in InvalidCode
]


@pytest.mark.parametrize(("code", "status"), CODES)
def test_a_failure_is_the_exception_of_its_status(code: str, status: int) -> None:
    kinds = tuple(
        type(error_of(Failure(status, code, "words", refused=refused))) for refused in (True, False)
    )
    assert kinds == EXPECTED[status]


@pytest.mark.parametrize("status", [302, 418, 451, 502, 599])
def test_a_status_that_no_gateway_answers_with_is_an_exception_too(status: int) -> None:
    expected = InvalidRequest if 400 <= status < 500 else Failed
    assert type(error_of(Failure(status, "http_error", ""))) is expected


@pytest.mark.parametrize(("code", "status"), CODES)
def test_only_what_was_refused_is_safe_to_send_again(code: str, status: int) -> None:
    assert not isinstance(error_of(Failure(status, code, "", refused=False)), Refused)


def test_an_exception_says_what_the_server_said() -> None:
    error = error_of(Failure(429, "overloaded", "come back later", 0.5, refused=True))
    assert (str(error), error.code, error.retry_after_s) == (
        "overloaded: come back later",
        "overloaded",
        0.5,
    )


def test_an_exception_without_a_server_has_neither_code_nor_hint() -> None:
    error = Unavailable("no connection")
    assert (error.code, error.retry_after_s) == (None, None)
