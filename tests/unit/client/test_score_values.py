"""Columns to values of a datatype: what is none is a fault of its row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bridge.client.errors import InvalidRequest
from bridge.client.score_values import values_of
from bridge.contract.datatype import DATATYPES


def objects(*values: Any) -> Any:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def read(datatype: str, given: Any) -> tuple[list[Any], dict[int, str]]:
    values, faults = values_of(np.asarray(given), DATATYPES[datatype])
    assert values.dtype == DATATYPES[datatype].dtype
    return values.tolist(), {row: fault.code for row, fault in faults.items()}


def test_values_of_the_datatype_are_taken_as_they_are() -> None:
    given = np.arange(4, dtype="<f4").reshape(2, 2)
    values, faults = values_of(given, DATATYPES["FP32"])
    assert (values is given, faults) == (True, {})


@pytest.mark.parametrize("given", [[1, 2], np.array([1, 2], "u1"), objects(1, 2.0), [1.0, 2.0]])
def test_whole_numbers_are_whole_numbers_whatever_holds_them(given: Any) -> None:
    assert read("INT32", given) == ([1, 2], {})
    assert read("FP64", given) == ([1.0, 2.0], {})


def test_a_number_that_is_not_whole_is_a_fault() -> None:
    assert read("INT64", [1.0, 1.5, float("inf")]) == (
        [1, 0, 0],
        {1: "wrong_type", 2: "wrong_type"},
    )


def test_a_number_that_does_not_fit_is_a_fault() -> None:
    assert read("INT8", [127, 128, -128, -129]) == (
        [127, 0, -128, 0],
        {1: "number_range", 3: "number_range"},
    )
    assert read("INT64", objects(2**63, 2**63 - 1))[1] == {0: "number_range"}
    assert read("UINT64", np.array([2.0**64, 1.0]))[1] == {0: "number_range"}


def test_a_finite_number_never_becomes_infinite() -> None:
    values, faults = read("FP32", [1e300, float("inf"), 1.0])
    assert (values, faults) == ([0.0, float("inf"), 1.0], {0: "number_range"})


def test_a_missing_number_is_nan_where_numbers_are_floating_and_a_fault_elsewhere() -> None:
    values, faults = read("FP64", objects(1.0, None))
    assert (values[0], np.isnan(values[1]), faults) == (1.0, True, {})
    assert read("INT64", objects(1, None)) == ([1, 0], {1: "null_value"})
    assert read("INT64", [1.0, float("nan")]) == ([1, 0], {1: "null_value"})


def test_truth_is_no_number_and_a_number_no_truth() -> None:
    assert read("BOOL", objects(True, None, 1)) == (
        [True, False, False],
        {1: "null_value", 2: "wrong_type"},
    )
    assert read("INT64", objects(1, True))[1] == {1: "wrong_type"}


def test_text_is_text_in_any_array() -> None:
    expected = (["maize", "Ähre"], {})
    assert read("BYTES", np.array(["maize", "Ähre"])) == expected
    assert read("BYTES", objects("maize", "Ähre".encode())) == expected


def test_what_is_no_text_is_a_fault() -> None:
    assert read("BYTES", objects("a", None, 3, b"\xff")) == (
        ["a", "", "", ""],
        {1: "null_value", 2: "wrong_type", 3: "wrong_type"},
    )


@pytest.mark.parametrize(
    ("datatype", "given"),
    [("FP32", ["a"]), ("INT8", [True]), ("BOOL", [1]), ("BYTES", [1]), ("FP64", [1j])],
)
def test_a_column_that_can_never_fit_is_refused_as_a_whole(datatype: str, given: Any) -> None:
    with pytest.raises(InvalidRequest):
        read(datatype, given)


def test_a_fault_in_any_value_of_a_row_is_a_fault_of_the_row() -> None:
    values, faults = read("INT8", [[1, 2], [3, 300], [500, 4]])
    assert (values, set(faults)) == ([[1, 2], [3, 0], [0, 4]], {1, 2})
