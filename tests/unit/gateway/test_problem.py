"""The one border between what goes wrong and HTTP: nothing falls through it."""

from __future__ import annotations

import pytest

from bridge.contract.invalid import InvalidCode, InvalidInput
from bridge.gateway.problem import (
    STATUS,
    Problem,
    ProblemCode,
    bad_result,
    expired,
    invalid_status,
    no_worker,
    of_result,
    overloaded,
    queue_unavailable,
)
from bridge.wire.frame import ResultStatus

INVALID_STATUS = {
    InvalidCode.TOO_LARGE: 413,
    InvalidCode.TOO_MANY_ROWS: 413,
    InvalidCode.MEDIA_TYPE: 415,
}


def test_every_problem_has_a_status() -> None:
    assert set(STATUS) == set(ProblemCode)


def test_every_status_is_an_error() -> None:
    assert {status // 100 for status in STATUS.values()} == {4, 5}


@pytest.mark.parametrize("code", InvalidCode)
def test_every_refused_input_has_its_status(code: InvalidCode) -> None:
    assert invalid_status(InvalidInput(code, "")) == INVALID_STATUS.get(code, 400)


@pytest.mark.parametrize("status", [status for status in ResultStatus if status != "ok"])
def test_every_failure_of_a_worker_is_a_problem(status: ResultStatus) -> None:
    assert of_result(status).message


def test_success_is_no_problem() -> None:
    with pytest.raises(KeyError):
        of_result(ResultStatus.OK)


def test_codes_of_problems_and_inputs_mean_the_same_where_they_are_the_same() -> None:
    shared = {code.value for code in ProblemCode} & {code.value for code in InvalidCode}
    for value in shared:
        status = invalid_status(InvalidInput(InvalidCode(value), ""))
        assert status == STATUS[ProblemCode(value)]


@pytest.mark.parametrize(
    ("problem", "status", "retry_after_s"),
    [
        (overloaded(2.5), 429, 2.5),
        (queue_unavailable(), 503, 1.0),
        (no_worker(), 503, 1.0),
        (of_result(ResultStatus.UNSERVED), 503, 1.0),
        (expired(), 504, None),
        (of_result(ResultStatus.EXPIRED), 504, None),
        (of_result(ResultStatus.ROWS_FAILED), 422, None),
        (of_result(ResultStatus.MODEL_FAILED), 500, None),
        (of_result(ResultStatus.BAD_OUTPUT), 500, None),
        (bad_result(), 500, None),
    ],
)
def test_what_may_be_tried_again_says_when(
    problem: Problem, status: int, retry_after_s: float | None
) -> None:
    assert (problem.status, problem.retry_after_s) == (status, retry_after_s)
