"""Chunks of jobs in a worker: only bad rows fail, and one result holds all that have run."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bridge.wire.block import from_block
from bridge.wire.chunk import ChunkAddress, ChunkResult, decode_chunk_result
from bridge.wire.frame import ResultStatus
from tests.unit.workers.taken import Recorded, entry, predicting, slices_of, taken
from workers.hand import TakenFrame
from workers.isolation import Run, run_isolated
from workers.open_chunks import OpenChunks

JOB = "ab12"
BATCH_ROWS = 64


def chunk(*rows: int, first: float = 0.0) -> TakenFrame:
    """A frame of a job's chunk, with requests of so many rows."""
    address = ChunkAddress(JOB, 0, 0, sum(rows), 2)
    return taken(*map(entry, rows), gateway=str(address), lane="batch", first=first)


def result_of(frame: TakenFrame, runs: list[Run]) -> ChunkResult:
    """The result of a chunk of which all has run."""
    chunks = OpenChunks()
    for run in runs:
        chunks.take_in(run)
    (finished,) = chunks.finished("w", [frame], BATCH_ROWS)
    assert str(finished.address) == frame.frame.gateway
    return decode_chunk_result(finished.result)


def values(result: ChunkResult) -> list[float]:
    rows = result.rows - len(result.failed)
    return from_block(result.tensors[0], rows)[:, 0].tolist() if rows else []


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=12),
    st.sets(st.integers(0, 60), max_size=8),
)
def test_of_a_chunk_exactly_the_bad_rows_fail_whatever_its_requests(
    sizes: list[int], picked: set[int]
) -> None:
    frame = chunk(*sizes)
    bad = {row for row in picked if row < sum(sizes)}
    model = Recorded(frozenset(map(float, bad))).model()
    result = result_of(frame, list(run_isolated(model, slices_of(frame), lambda _: False)))
    assert {item.row for item in result.failed} == bad
    assert values(result) == [2.0 * row + 1 for row in range(sum(sizes)) if row not in bad]


def test_a_callers_request_that_shares_the_batch_fails_as_a_whole_as_ever() -> None:
    frame = chunk(4)
    caller = taken(entry(3), first=100.0)
    model = Recorded(frozenset({101.0, 2.0})).model()
    slices = [*slices_of(caller), *slices_of(frame)]
    runs = list(run_isolated(model, slices, lambda _: False))
    told = [run.status for run in runs if run.slices[0].taken is caller]
    assert told == [ResultStatus.ROWS_FAILED]
    assert [item.row for item in result_of(frame, runs).failed] == [2]


def test_a_row_that_makes_the_outputs_too_few_fails_alone_in_a_chunk_and_for_all_callers() -> None:
    def forgets(inputs: Any) -> Any:
        x = inputs["x"]
        return {"y": x[:-1] if (x == 2.0).any() else x * 2 + 1}

    frame, caller = chunk(2, 2), taken(entry(1), first=100.0)
    slices = [*slices_of(caller), *slices_of(frame)]
    runs = list(run_isolated(predicting(forgets), slices, lambda _: False))
    assert (runs[0].status, runs[0].slices[0].taken) == (ResultStatus.BAD_OUTPUT, caller)
    result = result_of(frame, runs)
    assert [(item.row, item.status) for item in result.failed] == [(2, ResultStatus.BAD_OUTPUT)]
    assert values(result) == [1.0, 3.0, 7.0]


def test_a_result_says_what_was_raised_and_how_large_batches_are() -> None:
    frame = chunk(1, 1)
    model = Recorded(frozenset({1.0})).model()
    result = result_of(frame, list(run_isolated(model, slices_of(frame), lambda _: False)))
    assert result.batch_rows == BATCH_ROWS
    assert result.failed[0].reason.startswith("ValueError at taken.py:")


def test_requests_that_ran_in_any_order_are_in_the_chunks_order() -> None:
    frame = chunk(2, 2, 2)
    slices = slices_of(frame)
    model = Recorded().model()
    runs = [
        run for piece in reversed(slices) for run in run_isolated(model, [piece], lambda _: False)
    ]
    assert values(result_of(frame, runs)) == [1.0, 3.0, 5.0, 7.0, 9.0, 11.0]


def test_outputs_whose_shape_differs_from_run_to_run_send_the_chunk_back() -> None:
    def widening(inputs: Any) -> Any:
        x = inputs["x"]
        return {"y": np.zeros((len(x), 1 + int(x[0, 0])))}

    frame = chunk(1, 1)
    runs = [
        run
        for piece in slices_of(frame)
        for run in run_isolated(predicting(widening), [piece], lambda _: False)
    ]
    result = result_of(frame, runs)
    assert result.returned == "outputs whose row shapes differ from run to run"


def test_a_chunk_of_which_rows_are_missing_goes_back_rather_than_shift_the_others() -> None:
    frame = chunk(1, 1)
    runs = list(run_isolated(Recorded().model(), slices_of(frame)[:1], lambda _: False))
    assert result_of(frame, runs).returned == "not all of its rows were kept"
