"""The value rules of a tensor: ranges, categories, nulls."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bridge.contract.invalid import InvalidCode, InvalidInput
from bridge.contract.model import TensorSpec, ValueRules
from bridge.contract.values import ValueCheck

NAN = float("nan")
INF = float("inf")


def spec(datatype: str, *shape: int, **more: Any) -> TensorSpec:
    return TensorSpec(name="x", datatype=datatype, shape=shape, **more)


def refusal(tensor: TensorSpec, values: Any) -> InvalidInput | None:
    try:
        ValueCheck(tensor).check(np.array(values, dtype=tensor.type.dtype))
    except InvalidInput as error:
        return error
    return None


def code(tensor: TensorSpec, values: Any) -> InvalidCode | None:
    refused = refusal(tensor, values)
    return None if refused is None else refused.code


def test_without_rules_nothing_is_checked() -> None:
    assert ValueCheck(spec("FP32", -1, 2)).is_empty


@pytest.mark.parametrize(
    "rules",
    [ValueRules(range=(0, 1)), ValueRules(nulls="refuse")],
)
def test_with_rules_something_is_checked(rules: ValueRules) -> None:
    assert not ValueCheck(spec("FP32", -1, rules=rules)).is_empty


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0, None),
        (-0.0, None),
        (1.0, None),
        (0.1, None),
        (NAN, None),
        (np.nextafter(np.float32(1), np.float32(2)), InvalidCode.VALUE_RANGE),
        (-1e-45, InvalidCode.VALUE_RANGE),
        (INF, InvalidCode.VALUE_RANGE),
        (-INF, InvalidCode.VALUE_RANGE),
    ],
)
def test_a_range_is_inclusive(value: float, expected: InvalidCode | None) -> None:
    assert code(spec("FP32", -1, rules=ValueRules(range=(0, 1))), [value]) is expected


def test_a_bound_means_the_tensors_own_precision() -> None:
    tensor = spec("FP32", -1, rules=ValueRules(range=(0.1, 0.1)))
    assert code(tensor, [0.1]) is None


@pytest.mark.parametrize(
    ("datatype", "bounds", "value", "expected"),
    [
        ("INT64", (0, 9007199254740992), 9007199254740993, InvalidCode.VALUE_RANGE),
        ("INT64", (0, 9007199254740992), 9007199254740992, None),
        ("INT64", (-INF, INF), -(2**63), None),
        ("INT64", (-1e30, 1e30), 2**63 - 1, None),
        ("UINT64", (0, INF), 2**64 - 1, None),
        ("UINT64", (0, 2**63), 2**63 + 1, InvalidCode.VALUE_RANGE),
        ("UINT8", (-5, 300), 255, None),
        ("UINT8", (300, 400), 255, InvalidCode.VALUE_RANGE),
        ("UINT8", (-9, -1), 0, InvalidCode.VALUE_RANGE),
        ("INT32", (0.5, 2.5), 0, InvalidCode.VALUE_RANGE),
        ("INT32", (0.5, 2.5), 1, None),
        ("INT32", (0.5, 2.5), 3, InvalidCode.VALUE_RANGE),
        ("INT32", (0, 10), -1, InvalidCode.VALUE_RANGE),
    ],
)
def test_integer_bounds_are_exact(
    datatype: str, bounds: tuple[float, float], value: int, expected: InvalidCode | None
) -> None:
    assert code(spec(datatype, -1, rules=ValueRules(range=bounds)), [value]) is expected


COLUMNS = spec(
    "FP64",
    -1,
    2,
    columns=("age", "mass"),
    rules=ValueRules(range=(0, 1000), unit="kg"),
    column_rules={"age": ValueRules(range=(0, 120), unit="years", nulls="refuse")},
)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([[120, 1000]], None),
        ([[120, NAN]], None),
        ([[1, 1], [121, 1]], InvalidCode.VALUE_RANGE),
        ([[1, 1001]], InvalidCode.VALUE_RANGE),
        ([[NAN, 1]], InvalidCode.NULL_VALUE),
    ],
)
def test_columns_have_rules_of_their_own_and_else_the_tensors(
    rows: Any, expected: InvalidCode | None
) -> None:
    assert code(COLUMNS, rows) is expected


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[1, 1], [121, 1]], "input x, row 1, column age: 121.0 is outside [0, 120] years"),
        ([[1, 1], [1, -1]], "input x, row 1, column mass: -1.0 is outside [0, 1000] kg"),
        ([[1, 1], [NAN, 1]], "input x, row 1, column age: null (NaN) is not accepted"),
    ],
)
def test_a_message_names_row_column_value_and_rule(rows: Any, message: str) -> None:
    refused = refusal(COLUMNS, rows)
    assert refused is not None
    assert refused.message == message


def test_without_columns_a_message_names_the_element() -> None:
    refused = refusal(spec("FP32", -1, 2, 2, rules=ValueRules(range=(0, 1))), [[[0, 0], [0, 2]]])
    assert refused is not None
    assert refused.message == "input x, row 0, element [1, 1]: 2.0 is outside [0, 1]"


def test_a_signalling_nan_is_compared_without_a_warning() -> None:
    array = np.frombuffer(b"\x01\x00\xa0\x7f", "<f4")
    ValueCheck(spec("FP32", -1, rules=ValueRules(range=(0, 1)))).check(array)


@pytest.mark.parametrize(
    ("tensor", "values", "expected"),
    [
        (spec("BYTES", -1, rules=ValueRules(categories=("a", "b"))), ["a", "b", "a"], None),
        (
            spec("BYTES", -1, rules=ValueRules(categories=("a",))),
            ["a", ""],
            InvalidCode.UNKNOWN_CATEGORY,
        ),
        (spec("INT64", -1, rules=ValueRules(categories=(1, 5))), [5, 1], None),
        (
            spec("INT64", -1, rules=ValueRules(categories=(1, 5))),
            [-1],
            InvalidCode.UNKNOWN_CATEGORY,
        ),
        (
            spec(
                "INT64",
                -1,
                2,
                columns=("a", "b"),
                column_rules={"b": ValueRules(categories=(1,))},
            ),
            [[9, 1], [9, 2]],
            InvalidCode.UNKNOWN_CATEGORY,
        ),
    ],
)
def test_categories_are_the_only_values(
    tensor: TensorSpec, values: Any, expected: InvalidCode | None
) -> None:
    assert code(tensor, values) is expected


def test_an_unknown_category_is_named_with_the_known_ones() -> None:
    refused = refusal(spec("BYTES", -1, rules=ValueRules(categories=("rye", "wheat"))), ["rice\n"])
    assert refused is not None
    assert refused.message == "input x, row 0: rice\\n is not one of rye, wheat"
