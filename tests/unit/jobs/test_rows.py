"""Pages to valid rows and faults: the rules of the online inputs, row by row."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from bridge.contract.model import TensorSpec, ValueRules
from bridge.jobs.columns import input_columns
from bridge.jobs.errors import BadInput
from bridge.jobs.page import Cells, Page
from bridge.jobs.rows import CheckedRows, RowCheck

TYPES: dict[str, str] = {"FP32": "f", "FP64": "d", "INT32": "i", "UINT8": "u", "BOOL": "?"}


def spec(datatype: str, *row_shape: int, **rules: Any) -> TensorSpec:
    return TensorSpec(
        name="x", datatype=datatype, shape=(-1, *row_shape), rules=ValueRules(**rules)
    )


def checked(tensor: TensorSpec, column: Any, *, is_text: bool = False) -> list[CheckedRows]:
    """The column `x` of a page, checked."""
    types = {"x": None if isinstance(column, Cells) else column.type}
    inputs = input_columns([tensor], types, {}, "t")
    check = RowCheck(inputs, types, "t", is_text=is_text)
    return list(check.check(Page(0, len(column), {"x": column})))


def outcome(
    tensor: TensorSpec, column: Any, *, is_text: bool = False
) -> tuple[list[Any], dict[int, str]]:
    """The valid values, and the code of each row with a fault."""
    (rows,) = checked(tensor, column, is_text=is_text)
    faults = {row: str(fault.code) for row, fault in rows.faults.items()}
    assert [*rows.valid.tolist()] == [row for row in range(len(column)) if row not in faults]
    return rows.tensors["x"].tolist(), faults


def text(*cells: bytes | None) -> pa.Array:
    return pa.array(cells, pa.binary())


def test_numbers_become_the_inputs_datatype() -> None:
    values, faults = outcome(spec("FP32"), pa.array([1, 2, 3], pa.int64()))
    assert (values, faults) == ([1.0, 2.0, 3.0], {})


def test_a_missing_value_is_a_fault_unless_the_contract_allows_it() -> None:
    column = pa.array([1.0, None])
    assert outcome(spec("FP64"), column) == ([1.0], {1: "null_value"})
    values, faults = outcome(spec("FP64", nulls="allow"), column)
    assert (np.isnan(values[1]), faults) == (True, {})


@pytest.mark.parametrize(
    ("datatype", "default", "column"),
    [
        ("FP32", 6.5, pa.array([1.0, None, float("nan")])),
        ("INT32", 7, pa.array([1, None, None], pa.int64())),
        ("INT32", 7, Cells([1, None, None])),
        ("BYTES", "maize", pa.array(["rice", None, None])),
        ("BOOL", True, pa.array([False, None, None])),
    ],
)
def test_a_missing_value_is_the_contracts_default(datatype: str, default: Any, column: Any) -> None:
    values, faults = outcome(spec(datatype, nulls="default", default=default), column)
    assert (values[1:], faults) == ([default, default], {})


def test_nan_passes_where_binary_online_inputs_pass_it_and_is_a_fault_where_nulls_are_refused() -> (
    None
):
    column = pa.array([1.0, float("nan")])
    assert outcome(spec("FP64"), column)[1] == {}
    assert outcome(spec("FP64", nulls="refuse"), column)[1] == {1: "null_value"}


def test_a_value_outside_its_range_is_a_fault_of_its_row_only() -> None:
    column = pa.array([1.0, 99.0, 2.0, -1.0])
    assert outcome(spec("FP64", range=(0.0, 10.0)), column) == (
        [1.0, 2.0],
        {1: "value_range", 3: "value_range"},
    )


def test_a_number_too_large_for_the_datatype_is_not_silently_infinite() -> None:
    assert outcome(spec("FP32"), pa.array([1e300, 1.0])) == ([1.0], {0: "number_range"})
    assert outcome(spec("UINT8"), pa.array([256, -1, 255])) == (
        [255],
        {0: "number_range", 1: "number_range"},
    )


def test_whole_numbers_that_pandas_made_floating_are_whole_and_others_are_faults() -> None:
    column = pa.array([1.0, 2.5, 3.0])
    assert outcome(spec("INT32"), column) == ([1, 3], {1: "wrong_type"})


@pytest.mark.parametrize(
    ("datatype", "column"),
    [
        ("FP32", pa.array(["1.5"])),
        ("FP32", pa.array([True])),
        ("BOOL", pa.array([1])),
        ("BYTES", pa.array([1])),
        ("INT32", pa.array([0], pa.timestamp("s"))),
    ],
)
def test_a_column_of_a_type_that_can_never_fit_is_refused_before_any_row(
    datatype: str, column: pa.Array
) -> None:
    with pytest.raises(BadInput, match="the input x takes"):
        checked(spec(datatype), column)


def test_cells_of_csv_are_parsed_and_what_is_no_value_is_a_fault() -> None:
    cells = text(b"1.5", b" 2 ", b"x", None, b"nan", b"1e400", b"\xff")
    values, faults = outcome(spec("FP64"), cells, is_text=True)
    assert (values[:2], np.isnan(values[2])) == ([1.5, 2.0], True)
    assert faults == {2: "wrong_type", 3: "null_value", 5: "number_range", 6: "wrong_type"}


def test_whole_numbers_and_truths_of_csv() -> None:
    cells = text(b"7", b"3.0", b"2.5", b"9223372036854775808")
    assert outcome(spec("INT32"), cells, is_text=True) == (
        [7, 3],
        {2: "wrong_type", 3: "wrong_type"},
    )
    truths = text(b"True", b"0", b"maybe")
    assert outcome(spec("BOOL"), truths, is_text=True) == ([True, False], {2: "wrong_type"})


def test_json_values_of_another_type_are_faults() -> None:
    cells = Cells([1, 2.5, "3", True, None, 10**400])
    assert outcome(spec("FP64"), cells) == (
        [1.0, 2.5],
        {2: "wrong_type", 3: "wrong_type", 4: "null_value", 5: "number_range"},
    )
    assert outcome(spec("BYTES"), Cells(["a", 1])) == (["a"], {1: "wrong_type"})


def test_lists_of_any_nesting_are_rows_of_the_contracts_shape() -> None:
    tensor = spec("FP32", 2, 2)
    for column in (
        pa.array([[1, 2, 3, 4]], pa.list_(pa.float32(), 4)),
        pa.array([[[1, 2], [3, 4]]], pa.list_(pa.list_(pa.float32()))),
        Cells([[[1, 2], [3, 4]]]),
    ):
        assert outcome(tensor, column) == ([[[1.0, 2.0], [3.0, 4.0]]], {})


def test_a_list_of_another_length_is_a_fault_of_its_row_only() -> None:
    column = pa.array([[1, 2], [3], None, [4, 5]], pa.list_(pa.float64()))
    assert outcome(spec("FP64", 2), column) == (
        [[1.0, 2.0], [4.0, 5.0]],
        {1: "wrong_shape", 2: "wrong_shape"},
    )


def test_rows_whose_length_varies_are_cut_where_it_changes() -> None:
    column = pa.array([[1, 2], [3, 4], [5], [6, 7]], pa.list_(pa.float64()))
    pieces = checked(spec("FP64", -1), column)
    assert [piece.tensors["x"].tolist() for piece in pieces] == [
        [[1.0, 2.0], [3.0, 4.0]],
        [[5.0]],
        [[6.0, 7.0]],
    ]
    assert [(piece.start, piece.end) for piece in pieces] == [(0, 2), (2, 3), (3, 4)]


def test_a_dictionary_of_texts_is_read_as_its_texts() -> None:
    column = pa.array(["a", "b", "a"]).dictionary_encode()
    assert outcome(spec("BYTES", categories=("a",)), column) == (
        ["a", "a"],
        {1: "unknown_category"},
    )


def test_the_reason_names_the_column_and_not_a_row_of_the_chunk() -> None:
    (rows,) = checked(spec("FP64", range=(0.0, 1.0)), pa.array([0.5, 7.0]))
    assert rows.faults[1].reason == "input x: 7.0 is outside [0, 1]"


def test_columns_that_are_not_there_hold_their_defaults_in_every_row() -> None:
    crop = TensorSpec(name="crop", datatype="BYTES", shape=(-1,), rules=ValueRules(default="maize"))
    field = TensorSpec(
        name="field",
        datatype="INT64",
        shape=(-1, 2),
        columns=("age", "size"),
        column_rules={"age": ValueRules(default=7)},
    )
    types = {"size": pa.int64()}
    check = RowCheck(input_columns([crop, field], types, {}, "t"), types, "t", is_text=False)
    (rows,) = check.check(Page(0, 2, {"size": pa.array([1, 2])}))
    assert rows.faults == {}
    assert rows.tensors["field"].tolist() == [[7, 1], [7, 2]]
    assert rows.tensors["crop"].tolist() == ["maize", "maize"]


@pytest.mark.parametrize("column", [pa.array([1.0, 2.0**53]), pa.array([1.0, -(2.0**60)])])
def test_floating_whole_numbers_that_may_stand_for_others_are_refused(column: pa.Array) -> None:
    (rows,) = checked(spec("INT64"), column)
    assert (rows.tensors["x"].tolist(), str(rows.faults[1].code)) == ([1], "number_range")
    assert f"{column[1].as_py()} is floating and beyond 2^53" in rows.faults[1].reason


def test_large_whole_numbers_are_exact_however_they_are_written() -> None:
    wanted = ([2**53 + 1, 2**62 + 1], {})
    cells = text(b"9007199254740993.0", b"4611686018427387905.00")
    assert outcome(spec("INT64"), cells, is_text=True) == wanted
    decimals = [Decimal(2**53 + 1), Decimal(2**62 + 1)]
    assert outcome(spec("INT64"), pa.array(decimals, pa.decimal128(20, 0))) == wanted
