"""Rows of different lengths in one chunk: which travel together, and why one does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from bridge.contract.model import ModelContract, Padding, TensorSpec, ValueRules
from bridge.contract.padding import Padder
from bridge.jobs.chunks import Chunk, Chunking
from bridge.jobs.columns import input_columns
from bridge.jobs.errors import BadResult
from bridge.jobs.outputs import OutputTable
from bridge.jobs.padded_rows import BLOCK_ROWS, PaddedRowCheck
from bridge.jobs.page import Cells, Page
from bridge.jobs.rows import RowCheck
from bridge.jobs.tables import MemoryTable

X = TensorSpec(name="x", datatype="FP32", shape=(-1, -1), rules=ValueRules(range=(1, 9)))
MASK = TensorSpec(name="mask", datatype="FP32", shape=(-1, -1))
Y = TensorSpec(name="y", datatype="FP32", shape=(-1, 2, -1))
CONTRACT = ModelContract(
    name="m",
    version="1",
    platform="x",
    inputs=(X,),
    outputs=(Y,),
    padding=Padding(buckets=(4, 8), values={"x": 0.0}, mask=MASK),
)
TYPE = pa.list_(pa.float32())


def chunks(
    rows: list[Any], chunk_rows: int = 1_024, number: int = 0, first: int = 0
) -> list[Chunk]:
    """The chunks of a column `x`, from chunk `number` on, which begins at row `first`."""
    batch = pa.RecordBatch.from_arrays([pa.array(rows, TYPE)], ["x"])
    table = MemoryTable([batch], batch.schema)
    made = Chunking(table, CONTRACT, key=None, columns={}, chunk_rows=chunk_rows)
    return list(made.chunks(number, first))


def of_length(length: int, value: float = 1.0) -> list[float]:
    return [value] * length


def test_neighbours_of_different_lengths_share_a_chunk() -> None:
    (chunk,) = chunks([of_length(n, n) for n in (1, 3, 2, 4)])
    assert chunk.tensors["x"].tolist() == [[1, 0, 0, 0], [3, 3, 3, 0], [2, 2, 0, 0], [4, 4, 4, 4]]
    assert chunk.tensors["mask"].tolist() == (chunk.tensors["x"] > 0).tolist()
    assert chunk.lengths is not None
    assert chunk.lengths.tolist() == [1, 3, 2, 4]


def test_a_longer_row_takes_its_block_along_and_no_other() -> None:
    rows = [of_length(2)] * (3 * BLOCK_ROWS)
    rows[BLOCK_ROWS] = of_length(7)
    found = [(item.first_row, item.end_row, item.tensors["x"].shape) for item in chunks(rows)]
    assert found == [
        (0, BLOCK_ROWS, (BLOCK_ROWS, 4)),
        (BLOCK_ROWS, 2 * BLOCK_ROWS, (BLOCK_ROWS, 8)),
        (2 * BLOCK_ROWS, 3 * BLOCK_ROWS, (BLOCK_ROWS, 4)),
    ]


def test_chunks_are_the_same_after_a_break() -> None:
    rows = [of_length(1 + n // BLOCK_ROWS % 8) for n in range(10 * BLOCK_ROWS)]
    whole = chunks(rows, 300)
    (place,) = [n for n, chunk in enumerate(whole) if chunk.first_row == 4 * BLOCK_ROWS]
    rest = chunks(rows, 300, place, whole[place].first_row)
    assert [(c.number, c.first_row, c.end_row) for c in rest] == [
        (c.number, c.first_row, c.end_row) for c in whole[place:]
    ]


@pytest.mark.parametrize(
    ("row", "code"),
    [(of_length(9), "too_long"), ([], "empty"), (None, "empty"), ([1.0, 0.0], "value_range")],
)
def test_a_row_that_cannot_be_padded_is_rejected_alone(row: Any, code: str) -> None:
    (chunk,) = chunks([of_length(3), row, of_length(2)])
    assert [(item.row, item.code) for item in chunk.rejected] == [(1, code)]
    assert chunk.row_numbers.tolist() == [0, 2]


def test_a_chunk_may_hold_no_valid_row() -> None:
    (chunk,) = chunks([of_length(9), []])
    assert (chunk.rows, [item.row for item in chunk.rejected]) == (0, [0, 1])


def test_rows_of_json_are_padded_too() -> None:
    cells, types = Cells([[1, 2], [3]]), {"x": None}
    check = RowCheck(input_columns([X], types, {}, "t"), types, "t", is_text=False)
    (found,) = PaddedRowCheck(check, Padder(CONTRACT)).check(Page(0, 2, {"x": cells}))
    assert found.tensors["x"].tolist() == [[1, 2, 0, 0], [3, 0, 0, 0]]


def test_outputs_are_cut_to_each_rows_length_in_nested_lists() -> None:
    array = np.arange(16, dtype=np.float32).reshape(2, 2, 4)
    batch = OutputTable((Y,), None, None).batch(
        {"y": array}, np.array([0, 1]), None, np.array([1, 3])
    )
    assert batch.column("y").to_pylist() == [[[0], [4]], [[8, 9, 10], [12, 13, 14]]]


def test_an_output_shorter_than_its_row_is_no_result() -> None:
    table = OutputTable((Y,), None, None)
    with pytest.raises(BadResult):
        table.batch({"y": np.zeros((1, 2, 2), np.float32)}, np.array([0]), None, np.array([3]))
