"""Named rows become what tensors become: over generated rows, forms and layouts."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import orjson
from hypothesis import given
from hypothesis import strategies as st

from bridge.contract.invalid import InvalidInput
from bridge.gateway.dialects.call import InferCall
from tests.unit.dialects.doors import spec
from tests.unit.dialects.named import FIELDS, INPUTS, named_door, read

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["value", "unit", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)
names = st.sampled_from([name for one in INPUTS for name in (one.name, *one.columns)] + ["other"])
rows_of_fields = st.lists(
    st.fixed_dictionaries(
        {
            "crop": st.sampled_from(["maize", "wheat", "rice"]),
            "rain": st.none() | st.floats(0, 4000) | st.integers(0, 4000),
            "heat": st.floats(-5, 100),
            "day": st.integers(1, 366),
            "wet": st.booleans(),
            "ph": st.floats(3, 10, width=32) | st.none(),
            "clay": st.floats(0, 100, width=32),
            "image": st.lists(st.integers(0, 255), min_size=4, max_size=4),
            "before": st.floats(-1e9, 1e9),
        }
    ),
    min_size=1,
    max_size=6,
)


def v2(rows: list[dict[str, Any]]) -> InferCall:
    """The same rows as tensors."""
    inputs = []
    for one in INPUTS:
        data = [row[name] for row in rows for name in (one.columns or (one.name,))]
        flat = [item for cell in data for item in (cell if isinstance(cell, list) else [cell])]
        shape = [len(rows), *one.row_shape]
        inputs.append({"name": one.name, "datatype": one.datatype, "shape": shape, "data": flat})
    return FIELDS.parse(None, None, orjson.dumps({"inputs": inputs}))


def assert_same(one: InferCall, other: InferCall) -> None:
    assert list(one.tensors) == list(other.tensors)
    for name, array in one.tensors.items():
        np.testing.assert_array_equal(array, other.tensors[name])
        assert array.dtype == other.tensors[name].dtype


@given(rows_of_fields)
def test_named_rows_are_the_tensors_of_the_same_values(rows: list[dict[str, Any]]) -> None:
    assert_same(read({"rows": rows}), v2(rows))


@given(rows_of_fields)
def test_columns_are_the_same_rows(rows: list[dict[str, Any]]) -> None:
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    assert_same(read({"columns": columns}), read({"rows": rows}))


@given(rows_of_fields, st.randoms(use_true_random=False))
def test_the_order_of_keys_means_nothing(rows: list[dict[str, Any]], random: Any) -> None:
    shuffled = [dict(random.sample(list(row.items()), len(row))) for row in rows]
    assert_same(read({"rows": shuffled}), read({"rows": rows}))


@given(st.lists(st.dictionaries(names, json_values, max_size=6), max_size=3))
def test_any_rows_are_read_or_refused(rows: list[dict[str, Any]]) -> None:
    _read_or_refused(json.dumps({"rows": rows}).encode())


@given(st.dictionaries(names, st.lists(json_values, max_size=3), max_size=6))
def test_any_columns_are_read_or_refused(columns: dict[str, Any]) -> None:
    _read_or_refused(json.dumps({"columns": columns}).encode())


@given(
    st.dictionaries(
        st.sampled_from(["rows", "columns", "units", "outputs", "output_units"]), json_values
    )
)
def test_any_request_is_read_or_refused(document: dict[str, Any]) -> None:
    _read_or_refused(json.dumps(document).encode())


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    _read_or_refused(body)


@given(st.text(max_size=20), st.text(max_size=20))
def test_text_comes_through_as_it_is(one: str, other: str) -> None:
    at = named_door(spec("text", "BYTES", -1))
    rows = [{"text": text} for text in (one, other)]
    assert read({"rows": rows}, at).tensors["text"].tolist() == [one, other]


def _read_or_refused(body: bytes) -> None:
    try:
        FIELDS.parse_named(None, body)
    except InvalidInput as error:
        assert error.message
