"""One bad row hurts only itself."""

from __future__ import annotations

import re

import numpy as np
import pytest

from bridge.wire.frame import ResultStatus
from tests.unit.workers.taken import Arrays, Recorded, entry, predicting, slices_of, taken
from workers.hand import Slice
from workers.isolation import Run, run_isolated


def never_late(_: Slice) -> bool:
    return False


def statuses(runs: list[Run]) -> list[tuple[ResultStatus, list[int]]]:
    """Each run's status and the first rows of its slices."""
    return [(run.status, [piece.start for piece in run.slices]) for run in runs]


def test_a_batch_without_bad_rows_runs_once() -> None:
    recorded = Recorded()
    slices = slices_of(taken(entry(), entry(), entry()))
    runs = list(run_isolated(recorded.model(), slices, never_late))
    assert statuses(runs) == [(ResultStatus.OK, [0, 1, 2])]
    assert recorded.runs == [[0, 1, 2]]


def test_the_bad_request_fails_alone_and_its_neighbours_get_their_rows() -> None:
    recorded = Recorded(bad=frozenset({2.0}))
    slices = slices_of(taken(entry(), entry(), entry(), entry()))
    runs = list(run_isolated(recorded.model(), slices, never_late))
    assert statuses(runs) == [
        (ResultStatus.OK, [0, 1]),
        (ResultStatus.ROWS_FAILED, [2]),
        (ResultStatus.OK, [3]),
    ]
    assert runs[0].outputs["y"][:, 0].tolist() == [1, 3]
    assert runs[2].outputs["y"][:, 0].tolist() == [7]


def test_a_request_fails_as_a_whole_when_one_of_its_rows_is_bad() -> None:
    recorded = Recorded(bad=frozenset({1.0}))
    runs = list(run_isolated(recorded.model(), slices_of(taken(entry(3), entry(1))), never_late))
    assert statuses(runs) == [(ResultStatus.ROWS_FAILED, [0]), (ResultStatus.OK, [3])]


def test_a_lone_bad_request_is_not_run_again() -> None:
    recorded = Recorded(bad=frozenset({0.0}))
    runs = list(run_isolated(recorded.model(), slices_of(taken(entry())), never_late))
    assert statuses(runs) == [(ResultStatus.ROWS_FAILED, [0])]
    assert len(recorded.runs) == 1


def test_the_log_hears_what_was_raised_and_where_but_no_values() -> None:
    recorded = Recorded(bad=frozenset({0.0}))
    (run,) = run_isolated(recorded.model(), slices_of(taken(entry())), never_late)
    assert re.fullmatch(r"ValueError at \w+\.py:\d+", run.reason)


def test_a_batch_with_a_wrong_number_of_rows_is_refused_as_a_whole() -> None:
    model = predicting(lambda inputs: {"y": inputs["x"][:-1]})
    runs = list(run_isolated(model, slices_of(taken(entry(), entry())), never_late))
    assert statuses(runs) == [(ResultStatus.BAD_OUTPUT, [0, 1])]


def test_late_requests_are_not_run_again() -> None:
    recorded = Recorded(bad=frozenset({3.0}))
    slices = slices_of(taken(entry(), entry(), entry(), entry()))
    runs = list(run_isolated(recorded.model(), slices, lambda piece: piece.start == 1))
    assert runs[0].status is ResultStatus.EXPIRED
    assert [piece.start for piece in runs[0].slices] == [1]
    assert all(1.0 not in rows for rows in recorded.runs[1:])


def test_a_request_that_becomes_late_meanwhile_is_still_answered() -> None:
    recorded = Recorded(bad=frozenset({0.0}))
    slices = slices_of(taken(entry(), entry()))
    asked: list[Slice] = []

    def late_from_the_second_question_on(piece: Slice) -> bool:
        asked.append(piece)
        return len(asked) > len(slices)

    runs = list(run_isolated(recorded.model(), slices, late_from_the_second_question_on))
    assert sorted(piece.start for run in runs for piece in run.slices) == [0, 1]


def test_a_model_that_writes_into_its_input_spoils_no_second_run() -> None:
    bad = [5.0]

    def predict(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
        x = inputs["x"]
        is_bad = bad[0] in x
        x += 100
        if is_bad:
            raise ValueError("after it wrote into its input")
        return {"y": x - 100}

    slices = slices_of(taken(entry(), entry(), entry(), first=4))
    runs = list(run_isolated(predicting(predict), slices, never_late))
    assert [(run.status, run.outputs.get("y", np.empty(0)).ravel().tolist()) for run in runs] == [
        (ResultStatus.OK, [4]),
        (ResultStatus.ROWS_FAILED, []),
        (ResultStatus.OK, [6]),
    ]


@pytest.mark.parametrize("error", [MemoryError(), RecursionError(), SystemExit(1)])
def test_whatever_a_model_raises_fails_only_its_rows(error: BaseException) -> None:
    def predict(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
        if 1.0 in inputs["x"]:
            raise error
        return {"y": inputs["x"]}

    slices = slices_of(taken(entry(), entry()))
    runs = list(run_isolated(predicting(predict), slices, never_late))
    assert statuses(runs) == [(ResultStatus.OK, [0]), (ResultStatus.ROWS_FAILED, [1])]


def test_batch_lane_requests_that_lost_a_row_together_are_run_again_apart() -> None:
    """Online callers hear at once that the run was no good; those of the batch lane can wait."""

    def forgetting(inputs: Arrays) -> Arrays:
        x = inputs["x"]
        return {"y": x[:-1] if (x == 2.0).any() else x}

    slices = slices_of(taken(entry(), entry(), entry(), entry(), lane="batch"))
    runs = list(run_isolated(predicting(forgetting), slices, never_late))
    assert statuses(runs) == [
        (ResultStatus.OK, [0, 1]),
        (ResultStatus.BAD_OUTPUT, [2]),
        (ResultStatus.OK, [3]),
    ]
