"""A chunk under way: what is sent next, and what its results add up to."""

from __future__ import annotations

import numpy as np
import pytest

from bridge.contract.model import TensorSpec
from bridge.jobs.chunks import Chunk
from bridge.jobs.errors import BadResult
from bridge.jobs.pending_chunk import PendingChunk
from bridge.wire.block import to_block
from bridge.wire.chunk import ChunkResult, FailedRow
from bridge.wire.frame import ResultStatus

SPEC = TensorSpec(name="y", datatype="INT64", shape=(-1,))


def pending(rows: int) -> PendingChunk:
    """A chunk of input rows 100, 101 and so on, with x = 0, 1 and so on."""
    x = np.arange(rows)
    chunk = Chunk(3, 100, 100 + rows, {"x": x}, x + 100, None, ())
    return PendingChunk(chunk, "ab", [SPEC])


def answer(item: PendingChunk, *failed: int) -> None:
    """What the model y = x + 1 makes of the part that is under way."""
    assert item.out is not None
    x = np.delete(item.tensors(item.out)["x"], failed)
    faults = [FailedRow(row, ResultStatus.ROWS_FAILED, "no") for row in failed]
    tensors = [to_block("y", [x + 1])] if len(x) else []
    item.take(ChunkResult("w", item.out.rows, faults, tensors))


def give_back(item: PendingChunk) -> None:
    assert item.out is not None
    item.take(ChunkResult("w", item.out.rows, [], [], returned="two deaths"))


def outcome(item: PendingChunk) -> tuple[dict[int, int], list[int]]:
    """The outputs by input row, and the rejected input rows."""
    places, tensors = item.outputs()
    rows = item.chunk.row_numbers[places].tolist()
    scored = dict(zip(rows, tensors["y"].tolist(), strict=True)) if tensors else {}
    return scored, [row.row for row in item.rejected()]


def test_a_chunk_is_sent_whole_and_is_done_with_its_result() -> None:
    item = pending(3)
    address = item.send_next()
    assert address is not None
    assert (address.part, item.send_next()) == ("3:0-3", None)
    answer(item, 1)
    assert (item.is_done, outcome(item)) == (True, ({100: 1, 102: 3}, [101]))


def test_a_chunk_that_comes_back_is_tried_in_parts_until_the_guilty_row_stands_alone() -> None:
    item = pending(100)
    item.send_next()
    give_back(item)
    while (address := item.send_next()) is not None:
        if address.start <= 42 < address.end:
            give_back(item)
        else:
            answer(item)
    expected = {100 + row: row + 1 for row in range(100) if row != 42}
    assert (item.is_done, outcome(item)) == (True, (expected, [142]))
    assert item.rejected()[0].code == "kills_workers"


def test_a_lone_row_that_comes_back_is_rejected() -> None:
    item = pending(1)
    item.send_next()
    give_back(item)
    assert (item.is_done, outcome(item)) == (True, ({}, [100]))


def test_a_chunk_without_valid_rows_is_done_at_once() -> None:
    assert pending(0).is_done


@pytest.mark.parametrize(
    "result",
    [
        ChunkResult("w", 2, [], [to_block("y", [np.arange(2)])]),
        ChunkResult("w", 3, [], [to_block("y", [np.arange(2)])]),
        ChunkResult("w", 3, [], [to_block("z", [np.arange(3)])]),
        ChunkResult("w", 3, [], [to_block("y", [np.arange(3.0)])]),
        ChunkResult("w", 3, [], []),
        ChunkResult("w", 3, [FailedRow(3, ResultStatus.OK, "")], [to_block("y", [np.arange(2)])]),
    ],
)
def test_a_result_that_does_not_add_up_is_refused(result: ChunkResult) -> None:
    item = pending(3)
    item.send_next()
    with pytest.raises(BadResult):
        item.take(result)
