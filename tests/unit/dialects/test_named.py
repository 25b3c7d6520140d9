"""Named rows: what is read, and how everything else is refused by row, column and value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bridge.contract.invalid import InvalidCode, InvalidInput
from bridge.contract.model import ValueRules
from bridge.gateway.dialects.call import InputLimits
from bridge.gateway.dialects.door import Door
from bridge.gateway.dialects.named import BRACKETS_MAX, VALUES_MAX
from tests.unit.dialects.doors import spec
from tests.unit.dialects.named import (
    FIELDS,
    ROW,
    UNITS,
    named_contract,
    named_door,
    read,
    refused,
    row,
)

WIDE = named_door(spec("x", "FP64", -1, rules=ValueRules(nulls="allow")))


def test_a_row_becomes_one_row_of_each_tensor() -> None:
    call = read({"rows": [ROW], "id": "a", "parameters": {"timeout": 2_000_000, "priority": 1}})
    assert {name: array.tolist() for name, array in call.tensors.items()} == {
        "rain": [600.0],
        "heat": [21.5],
        "day": [[110]],
        "wet": [True],
        "soil": [[np.float32(6.4).item(), 20.0]],
        "image": [[[1, 2], [3, 4]]],
        "before": [5000.0],
        "crop": ["wheat"],
    }
    assert (call.rows, call.id, call.timeout_s, call.priority) == (1, "a", 2.0, 1)


def test_tensors_have_the_contracts_order_and_types() -> None:
    found = [(name, array.dtype) for name, array in read({"rows": [ROW]}).tensors.items()]
    specs = named_contract().inputs
    assert found == [(one.name, one.type.dtype) for one in specs]


def test_columns_are_the_same_rows() -> None:
    rows = [row(rain=value) for value in (1, 2.5, None)]
    by_row = read({"rows": rows})
    by_column = read({"columns": {name: [one[name] for one in rows] for name in ROW}})
    assert (by_row.layout, by_column.layout) == ("rows", "columns")
    for name, array in by_row.tensors.items():
        np.testing.assert_array_equal(by_column.tensors[name], array)


@pytest.mark.parametrize(
    "changed",
    [
        {"soil": [6.4, 20], "ph": ..., "clay": ...},
        {"soil.ph": 6.4, "soil.clay": 20, "ph": ..., "clay": ...},
        {"soil.ph": 6.4, "ph": ...},
        {"image": [1, 2, 3, 4]},
        {"day": [110]},
    ],
)
def test_a_row_may_be_written_in_other_ways(changed: dict[str, Any]) -> None:
    found, expected = read({"rows": [row(**changed)]}), read({"rows": [ROW]})
    for name, array in expected.tensors.items():
        np.testing.assert_array_equal(found.tensors[name], array)


def test_what_is_not_sent_or_null_is_what_the_contract_says() -> None:
    call = read({"rows": [row(crop=..., rain=..., ph=..., before=...), row(rain=None, ph=None)]})
    assert [call.tensors["crop"].tolist(), call.tensors["before"].tolist()] == [
        ["maize", "wheat"],
        [0.0, 5000.0],
    ]
    assert np.isnan(call.tensors["rain"]).tolist() == [True, True]
    assert call.tensors["soil"][:, 0].tolist() == [6.5, 6.5]


def test_a_vector_of_varying_length_is_a_list() -> None:
    at = named_door(spec("series", "FP32", -1, -1))
    assert read({"rows": [{"series": [1, 2, 3]}] * 2}, at).tensors["series"].shape == (2, 3)


@pytest.mark.parametrize(
    ("rows", "code", "message"),
    [
        ([{}], InvalidCode.MISSING, "row 0, column 'series' is missing, expected a list"),
        (
            [{"series": [1]}, {"series": None}],
            InvalidCode.NULL_VALUE,
            "row 1, column 'series': null, expected a number",
        ),
        (
            [{"series": [1]}, {"series": [1, 2]}],
            InvalidCode.RAGGED,
            "row 1, column 'series': another shape, expected a list of shape [1]",
        ),
    ],
)
def test_rows_of_one_request_have_vectors_of_one_length(
    rows: list[dict[str, Any]], code: InvalidCode, message: str
) -> None:
    at = named_door(spec("series", "FP32", -1, -1, rules=ValueRules(nulls="allow")))
    assert refused({"rows": rows}, at) == (code, message)


def test_half_precision_has_named_values_although_v2_json_has_none() -> None:
    at = named_door(spec("x", "FP16", -1))
    assert read({"rows": [{"x": 0.5}]}, at).tensors["x"].tolist() == [0.5]


def test_columns_of_one_name_in_two_inputs_are_told_apart_by_their_full_names() -> None:
    at = named_door(*(spec(name, "FP32", -1, 1, columns=("mass",)) for name in ("dry", "wet")))
    call = read({"rows": [{"dry.mass": 1, "wet.mass": 2}]}, at)
    assert [call.tensors["dry"].tolist(), call.tensors["wet"].tolist()] == [[[1.0]], [[2.0]]]


def test_a_name_that_two_inputs_have_stands_for_neither_column() -> None:
    at = named_door(*(spec(name, "FP32", -1, 1, columns=("mass",)) for name in ("dry", "wet")))
    assert refused({"rows": [{"mass": 1}]}, at)[0] == InvalidCode.UNKNOWN_NAME


def test_an_inputs_own_name_is_not_that_of_anothers_column() -> None:
    mass = spec("mass", "FP64", -1, rules=ValueRules(unit="kg"))
    dry = spec("dry", "FP64", -1, 1, columns=("mass",), rules=ValueRules(unit="kg"))
    at = named_door(mass, dry)
    call = read({"rows": [{"mass": 1, "dry.mass": 2}], "units": {"mass": "t"}}, at)
    assert [call.tensors["mass"].tolist(), call.tensors["dry"].tolist()] == [[1000.0], [[2.0]]]


REFUSED: dict[str, tuple[Any, InvalidCode, str]] = {
    "an unknown name": (
        {"rows": [ROW, row(rian=1)]},
        InvalidCode.UNKNOWN_NAME,
        "row 1: the model has no column 'rian'; did you mean 'rain'?",
    ),
    "a name in another case": (
        {"rows": [row(Clay=1)]},
        InvalidCode.UNKNOWN_NAME,
        "row 0: the model has no column 'Clay'; did you mean 'clay' or 'soil.clay'?",
    ),
    "a name like no other": (
        {"columns": {"xyzzy": [1]}},
        InvalidCode.UNKNOWN_NAME,
        "the model has no column 'xyzzy'",
    ),
    "a missing value": (
        {"rows": [ROW, row(heat=...)]},
        InvalidCode.MISSING,
        "row 1, column 'heat' is missing, expected a number in [-5, 100] °C",
    ),
    "a missing column": (
        {"columns": {"wet": [True]}},
        InvalidCode.MISSING,
        "row 0, column 'heat' is missing, expected a number in [-5, 100] °C",
    ),
    "a missing list": (
        {"rows": [row(image=...)]},
        InvalidCode.MISSING,
        "row 0, column 'image' is missing, expected a whole number",
    ),
    "a null": (
        {"rows": [row(heat=None)]},
        InvalidCode.NULL_VALUE,
        "row 0, column 'heat': null, expected a number in [-5, 100] °C",
    ),
    "text for a number": (
        {"rows": [ROW, row(clay="much")]},
        InvalidCode.WRONG_TYPE,
        "row 1, column 'clay': 'much', expected a number in [0, 100] %",
    ),
    "a number for text": (
        {"rows": [row(crop=3)]},
        InvalidCode.WRONG_TYPE,
        "row 0, column 'crop': 3, expected text, one of maize, wheat, rice",
    ),
    "a fraction for a whole number": (
        {"rows": [row(day=1.5)]},
        InvalidCode.WRONG_TYPE,
        "row 0, column 'day': 1.5, expected a whole number in [1, 366] day",
    ),
    "a truth value for a number": (
        {"rows": [row(rain=True)]},
        InvalidCode.WRONG_TYPE,
        "row 0, column 'rain': true, expected a number in [0, 4000] mm",
    ),
    "a number for a truth value": (
        {"rows": [row(wet=1)]},
        InvalidCode.WRONG_TYPE,
        "row 0, column 'wet': 1, expected true or false",
    ),
    "a list for a value": (
        {"rows": [row(rain=[1])]},
        InvalidCode.WRONG_TYPE,
        "row 0, column 'rain': a list, expected a number in [0, 4000] mm",
    ),
    "an object for a value": (
        {"rows": [row(rain={"value": 1})]},
        InvalidCode.WRONG_TYPE,
        'row 0, column \'rain\': an object, expected a value or {"value": ..., "unit": "..."}',
    ),
    "a value for a list": (
        {"rows": [row(image=3)]},
        InvalidCode.WRONG_TYPE,
        "row 0, column 'image': 3, expected a list of shape [2, 2]",
    ),
    "a list of another length": (
        {"rows": [ROW, row(image=[1, 2, 3])]},
        InvalidCode.RAGGED,
        "row 1, column 'image': another shape, expected a list of shape [2, 2]",
    ),
    "text in a list": (
        {"rows": [row(soil=[6.4, "x"], ph=..., clay=...)]},
        InvalidCode.WRONG_TYPE,
        "row 0, column 'clay': 'x', expected a number in [0, 100] %",
    ),
    "a value out of its range": (
        {"rows": [ROW, row(clay=101)]},
        InvalidCode.VALUE_RANGE,
        "input soil, row 1, column clay: 101.0 is outside [0, 100] %",
    ),
    "a value out of its datatype": (
        {"rows": [row(image=[1, 2, 3, 256])]},
        InvalidCode.NUMBER_RANGE,
        "row 0, column 'image': 256 is outside UINT8",
    ),
    "a category that is not known": (
        {"rows": [row(crop="rye")]},
        InvalidCode.UNKNOWN_CATEGORY,
        "input crop, row 0: rye is not one of maize, rice, wheat",
    ),
    "an input given twice": (
        {"rows": [row(soil=[6.4, 20])]},
        InvalidCode.DUPLICATE_NAME,
        "'soil' and 'ph' are the same, give one of them",
    ),
    "a column given twice": (
        {"rows": [row(**{"soil.ph": 6.4})]},
        InvalidCode.DUPLICATE_NAME,
        "'soil.ph' and 'ph' are the same, give one of them",
    ),
    "columns of different lengths": (
        {"columns": {"wet": [True], "day": [1, 2]}},
        InvalidCode.WRONG_SHAPE,
        "column 'day' has 2 values, 'wet' has 1",
    ),
    "no rows": ({"rows": []}, InvalidCode.EMPTY, "there are no rows"),
    "no columns": ({"columns": {}}, InvalidCode.EMPTY, "there are no rows"),
    "neither rows nor columns": (
        {},
        InvalidCode.SCHEMA,
        "either 'rows' or 'columns' must be given, and not both",
    ),
    "both rows and columns": (
        {"rows": [ROW], "columns": {}},
        InvalidCode.SCHEMA,
        "either 'rows' or 'columns' must be given, and not both",
    ),
    "another key": ({"rows": [ROW], "unit": {}}, InvalidCode.UNKNOWN_KEY, "unknown key 'unit'"),
    "a row that is no object": (
        {"rows": [1]},
        InvalidCode.SCHEMA,
        "rows[0]: expected 'object', got 'int'",
    ),
    "an unknown output": (
        {"rows": [ROW], "outputs": ["yeild"]},
        InvalidCode.UNKNOWN_NAME,
        "outputs: the model has no output 'yeild'; did you mean 'yield'?",
    ),
    "an output twice": (
        {"rows": [ROW], "outputs": ["yield", "yield"]},
        InvalidCode.DUPLICATE_NAME,
        "outputs: 'yield' is named twice",
    ),
    "a key twice": (
        b'{"rows":[{"wet":true,"wet":false}]}',
        InvalidCode.DUPLICATE_KEY,
        "an object has the same key twice",
    ),
    "a key twice in a value": (
        b'{"rows":[{"rain":{"value":1,"value":2,"unit":"mm"}}]}',
        InvalidCode.DUPLICATE_KEY,
        "an object has the same key twice",
    ),
    "nesting without end": (
        b'{"rows":[{"rain":' + b"[" * 40 + b"]" * 40 + b"}]}",
        InvalidCode.TOO_DEEP,
        "nested deeper than 32",
    ),
    "more rows than a request may have": (
        {"columns": {"wet": [True] * 101}},
        InvalidCode.TOO_MANY_ROWS,
        "101 rows, at most 100 are accepted in one request",
    ),
}


@pytest.mark.parametrize(("document", "code", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_wrong_is_said_with_its_place(
    document: Any, code: InvalidCode, message: str
) -> None:
    assert refused(document) == (code, message)


def test_text_that_looks_like_structure_is_text() -> None:
    at = named_door(spec("text", "BYTES", -1))
    text = 'a: {"value": [1, 2]}, \\ "unit"'
    assert read({"rows": [{"text": text}]}, at).tensors["text"].tolist() == [text]


@pytest.mark.parametrize("content_type", ["application/msgpack", "text/csv"])
def test_named_rows_are_json(content_type: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        FIELDS.parse_named(content_type, b"{}")
    assert raised.value.code == InvalidCode.MEDIA_TYPE


LARGE = {
    "many values": b'{"columns":{"x":[' + b"1," * (VALUES_MAX + 1) + b"1]}}",
    "many objects": b'{"rows":[' + b"{}," * BRACKETS_MAX + b"{}]}",
}


@pytest.mark.parametrize("body", LARGE.values(), ids=LARGE)
def test_too_much_to_be_read_at_once_is_refused_before_it_is(body: bytes) -> None:
    assert refused(body, WIDE)[0] == InvalidCode.TOO_LARGE


def test_many_rows_of_defaults_are_as_large_as_if_they_were_sent() -> None:
    at = Door(
        named_contract(spec("x", "FP64", -1, 100, rules=ValueRules(default=1.0))),
        InputLimits(),
        UNITS,
    )
    rows: list[dict[str, Any]] = [{}] * (VALUES_MAX // 100 + 1)
    assert refused({"rows": rows}, at)[0] == InvalidCode.TOO_LARGE


def test_commas_and_brackets_in_text_are_not_counted() -> None:
    at = named_door(spec("text", "BYTES", -1))
    text = ",[{" * VALUES_MAX
    assert read({"rows": [{"text": text}]}, at).tensors["text"].tolist() == [text]
