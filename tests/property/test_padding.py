"""Whatever the rows: padded and cut they are what they were, and only the padding is new."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from bridge.contract.model import ModelContract, Padding, TensorSpec
from bridge.contract.padding import Padder
from bridge.jobs.columns import input_columns
from bridge.jobs.outputs import OutputTable
from bridge.jobs.padded_rows import PaddedRowCheck
from bridge.jobs.page import Page
from bridge.jobs.rows import RowCheck

X = TensorSpec(name="x", datatype="INT64", shape=(-1, -1, 2))
SAME = TensorSpec(name="y", datatype="INT64", shape=(-1, -1, 2))
MASK = TensorSpec(name="mask", datatype="BOOL", shape=(-1, -1))
LENGTH = TensorSpec(name="length", datatype="INT32", shape=(-1,))

buckets = st.sets(st.integers(1, 12), min_size=1, max_size=4).map(lambda s: tuple(sorted(s)))
cell = st.integers(-(2**40), 2**40)


def contract(sizes: tuple[int, ...], pad: int) -> ModelContract:
    padding = Padding(buckets=sizes, values={"x": pad}, mask=MASK, length=LENGTH)
    return ModelContract(
        name="m", version="1", platform="x", inputs=(X,), outputs=(SAME,), padding=padding
    )


@st.composite
def rows_of_lengths(draw: st.DrawFn, longest: int) -> list[list[list[int]]]:
    """Rows of two values a step, some longer than the longest bucket."""
    lengths = draw(st.lists(st.integers(0, longest + 2), max_size=150))
    values = st.integers(-9, 9)
    seed = draw(values)
    return [[[seed + row, step] for step in range(n)] for row, n in enumerate(lengths)]


@given(buckets, st.integers(1, 5), cell, st.data())
def test_a_request_is_cut_back_to_what_it_was(
    sizes: tuple[int, ...], rows: int, pad: int, data: st.DataObject
) -> None:
    length = data.draw(st.integers(1, sizes[-1]))
    array = np.array(
        data.draw(st.lists(cell, min_size=rows * length * 2, max_size=rows * length * 2))
    )
    given_rows = {"x": array.reshape(rows, length, 2)}
    padder = Padder(contract(sizes, pad))
    padded = padder.padded(given_rows)
    x, mask = padded.tensors["x"], padded.tensors["mask"]
    assert padded.bucket in sizes
    assert mask.sum() == rows * length
    assert (x[~mask] == pad).all()
    assert padder.cut({"y": x}, padded)["y"].tolist() == given_rows["x"].tolist()


@given(buckets, st.integers(-3, 3), st.data())
def test_a_jobs_rows_come_out_with_their_own_lengths_in_their_order(
    sizes: tuple[int, ...], pad: int, data: st.DataObject
) -> None:
    model = contract(sizes, pad)
    rows = data.draw(rows_of_lengths(sizes[-1]))
    column = pa.array(rows, pa.list_(pa.list_(pa.int64())))
    types: dict[str, Any] = {"x": column.type}
    check = RowCheck(input_columns((X,), types, {}, "t"), types, "t", is_text=False)
    table = OutputTable(model.outputs, None, None)
    found: dict[int, Any] = {}
    refused: set[int] = set()
    at = 0
    for piece in PaddedRowCheck(check, Padder(model)).check(Page(0, len(rows), {"x": column})):
        assert piece.start == at
        at = piece.end
        refused |= set(piece.faults)
        if not len(piece.valid):
            continue
        assert piece.tensors["x"].shape[1] in sizes
        outputs = {"y": piece.tensors["x"]}
        batch = table.batch(outputs, piece.valid, None, piece.lengths).to_pydict()
        found |= dict(zip(batch["row"], batch["y"], strict=True))
    fitting = {n: row for n, row in enumerate(rows) if 1 <= len(row) <= sizes[-1]}
    assert (at, found, refused) == (len(rows), fitting, set(range(len(rows))) - set(fitting))
