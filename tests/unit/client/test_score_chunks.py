"""What is given to be scored, in pieces of tensors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from bridge.client.errors import InvalidRequest
from bridge.client.score_chunks import Chunk, Chunks, chunks_of
from bridge.contract.model import TensorSpec

X = TensorSpec(name="x", datatype="FP32", shape=(-1, 2), columns=("width", "height"))
CROP = TensorSpec(name="crop", datatype="BYTES", shape=(-1,))
IMAGE = TensorSpec(name="pixels", datatype="INT64", shape=(-1, 2, 2))
WORDS = TensorSpec(name="words", datatype="INT64", shape=(-1, -1))


def cut(*specs: TensorSpec, rows: Any, **options: Any) -> list[Chunk]:
    settings: dict[str, Any] = {"rows_max": 3, "bytes_max": 2**20, **options}
    return list(chunks_of(rows, Chunks(specs, settings.pop("renamed", {}), **settings)))


def sizes(chunks: list[Chunk]) -> list[int]:
    return [chunk.end_row - chunk.first_row for chunk in chunks]


def tensor(chunks: list[Chunk], name: str) -> list[Any]:
    return [row for chunk in chunks for row in chunk.tensors[name].tolist()]


def test_named_columns_make_an_input() -> None:
    rows = {"height": [2, 4], "width": [1, 3], "id": ["a", "b"]}
    assert tensor(cut(X, rows=rows), "x") == [[1, 2], [3, 4]]


def test_a_column_of_lists_is_a_whole_input() -> None:
    rows = {"x": [[1, 2], [3, 4]]}
    assert tensor(cut(X, rows=rows), "x") == [[1, 2], [3, 4]]


def test_several_inputs_stand_side_by_side() -> None:
    chunks = cut(X, CROP, rows={"width": [1], "height": [2], "crop": ["maize"]})
    assert {name: array.tolist() for name, array in chunks[0].tensors.items()} == {
        "x": [[1, 2]],
        "crop": ["maize"],
    }


@pytest.mark.parametrize(
    "column",
    [
        [[[1, 2], [3, 4]]] * 2,
        [[1, 2, 3, 4]] * 2,
        np.array([[[1, 2], [3, 4]]] * 2),
        pa.array([[[1, 2], [3, 4]]] * 2),
        pa.array([[1, 2, 3, 4]] * 2, pa.list_(pa.int64(), 4)),
    ],
)
def test_rows_of_several_dimensions_may_be_nested_or_flat(column: Any) -> None:
    table = pa.table({"pixels": column}) if isinstance(column, pa.Array) else {"pixels": column}
    assert tensor(cut(IMAGE, rows=table), "pixels") == [[[1, 2], [3, 4]]] * 2


def test_chunks_are_of_so_many_rows() -> None:
    chunks = cut(CROP, rows={"crop": [str(n) for n in range(7)]})
    assert sizes(chunks) == [3, 3, 1]
    assert [chunk.row_numbers.tolist() for chunk in chunks] == [[0, 1, 2], [3, 4, 5], [6]]


def test_chunks_are_of_so_many_bytes() -> None:
    rows = {"pixels": np.zeros((4, 2, 2), "i8")}
    assert sizes(cut(IMAGE, rows=rows, bytes_max=64)) == [2, 2]
    assert sizes(cut(IMAGE, rows=rows, bytes_max=1)) == [1, 1, 1, 1]


def test_records_are_gathered_over_what_they_came_in() -> None:
    records = ({"crop": "maize", "x": [n, n]} for n in range(5))
    chunks = cut(X, CROP, rows=records)
    assert (sizes(chunks), tensor(chunks, "x")) == ([3, 2], [[n, n] for n in range(5)])


def test_rows_are_counted_over_everything_given() -> None:
    def parts() -> Iterator[Any]:
        yield {"crop": np.array(["a", "b"])}
        yield {"crop": "c"}
        yield pa.table({"crop": ["d", None]})

    chunks = cut(CROP, rows=parts())
    assert [(chunk.first_row, chunk.end_row) for chunk in chunks] == [(0, 2), (2, 3), (3, 5)]
    assert [(row.row, row.code) for chunk in chunks for row in chunk.rejected] == [
        (4, "null_value")
    ]


def test_a_row_of_another_length_is_rejected() -> None:
    (chunk,) = cut(X, rows={"x": [[1, 2], [3], None]})
    assert chunk.tensors["x"].tolist() == [[1, 2]]
    assert [(row.row, row.code) for row in chunk.rejected] == [
        (1, "wrong_shape"),
        (2, "null_value"),
    ]


def test_rows_of_varying_length_travel_with_neighbours_of_the_same() -> None:
    chunks = cut(WORDS, rows={"words": [[1], [2], [3, 4], [5, 6], [7]]})
    assert [chunk.tensors["words"].tolist() for chunk in chunks] == [
        [[1], [2]],
        [[3, 4], [5, 6]],
        [[7]],
    ]


def test_the_callers_names_are_found() -> None:
    rows = {"b": [1], "h": [2]}
    chunks = cut(X, rows=rows, renamed={"width": "b", "height": "h"})
    assert tensor(chunks, "x") == [[1, 2]]


def test_nothing_at_all_makes_no_chunk() -> None:
    assert cut(CROP, rows=[]) == cut(CROP, rows={"crop": []}) == []


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ({"width": [1]}, "no column height"),
        ({"width": [1, 2], "height": [1]}, "columns of different lengths"),
        ({"x": np.zeros((2, 3))}, "rows of shape"),
        ({"width": 1, "height": 2}, "a single value"),
        (3, "neither a table nor an iterator"),
    ],
)
def test_what_cannot_be_the_models_rows_is_said(rows: Any, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        cut(X, rows=rows)
