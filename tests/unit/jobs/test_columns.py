"""Which columns of a table are a model's inputs."""

from __future__ import annotations

import pytest

from bridge.contract.model import TensorSpec, ValueRules
from bridge.jobs.columns import input_columns
from bridge.jobs.errors import BadInput

SCALAR = TensorSpec(name="crop", datatype="BYTES", shape=(-1,))
NAMED = TensorSpec(name="features", datatype="FP32", shape=(-1, 2), columns=("width", "height"))
IMAGE = TensorSpec(name="pixels", datatype="FP32", shape=(-1, 2, 2))


def found(spec: TensorSpec, *names: str, **renamed: str) -> tuple[str, ...]:
    (columns,) = input_columns([spec], names, renamed, "rows.csv")
    return columns.columns


def test_a_scalar_input_is_the_column_of_its_name() -> None:
    assert found(SCALAR, "id", "crop") == ("crop",)


def test_named_columns_of_the_contract_are_found_whatever_their_order_in_the_file() -> None:
    assert found(NAMED, "height", "id", "width") == ("width", "height")


def test_a_list_column_of_the_inputs_name_holds_the_whole_row() -> None:
    (columns,) = input_columns([IMAGE], ["pixels"], {}, "rows.parquet")
    assert (columns.columns, columns.is_whole, columns.elements) == (("pixels",), True, 4)


def test_elements_without_names_are_numbered_columns() -> None:
    names = [f"pixels.{index}" for index in range(4)]
    assert found(IMAGE, *names) == tuple(names)


def test_a_column_that_is_called_otherwise_in_the_file_is_said() -> None:
    assert found(NAMED, "w", "height", width="w") == ("w", "height")
    assert found(SCALAR, "plant", crop="plant") == ("plant",)


def test_a_column_is_told_from_one_of_another_input_by_the_inputs_name() -> None:
    names = ["features.width", "features.height", "width"]
    assert found(NAMED, *names) == ("features.width", "features.height")


def test_a_missing_column_is_named_with_its_input_and_file() -> None:
    with pytest.raises(BadInput, match=r"rows\.csv: no column height for the input features"):
        found(NAMED, "width")


def test_a_file_with_none_of_the_columns_says_what_was_looked_for() -> None:
    with pytest.raises(BadInput, match="no column features, nor columns width, height"):
        found(NAMED, "id")


def test_a_name_that_the_model_does_not_have_is_refused() -> None:
    with pytest.raises(BadInput, match="no input or column depth"):
        found(NAMED, "width", "height", depth="d")


TWO = (
    TensorSpec(name="left", datatype="FP32", shape=(-1, 2), columns=("width", "height")),
    TensorSpec(name="right", datatype="FP32", shape=(-1, 2), columns=("width", "depth")),
)


def test_a_column_that_fits_two_inputs_is_refused_with_both_names() -> None:
    with pytest.raises(BadInput, match=r"column width fits left\.width and right\.width: give"):
        input_columns(TWO, ["width", "height", "depth"], {}, "rows.csv")


def test_a_column_of_an_inputs_own_name_is_not_taken_for_anothers_element() -> None:
    inputs = [TensorSpec(name="width", datatype="FP32", shape=(-1,)), TWO[0]]
    with pytest.raises(BadInput, match=r"column width fits width and left\.width"):
        input_columns(inputs, ["width", "height"], {}, "rows.csv")


def test_two_inputs_are_told_apart_by_full_names_in_the_file() -> None:
    names = ["left.width", "right.width", "height", "depth"]
    left, right = input_columns(TWO, names, {}, "rows.csv")
    assert (left.columns, right.columns) == (("left.width", "height"), ("right.width", "depth"))


def test_one_column_stands_for_two_elements_where_the_caller_says_so_of_both() -> None:
    renamed = {"left.width": "width", "right.width": "width"}
    left, right = input_columns(TWO, ["width", "height", "depth"], renamed, "rows.csv")
    assert (left.columns, right.columns) == (("width", "height"), ("width", "depth"))


DEFAULTED = TensorSpec(
    name="features",
    datatype="FP32",
    shape=(-1, 2),
    columns=("width", "height"),
    column_rules={"height": ValueRules(default=1.5)},
)


def test_a_column_that_is_not_there_is_left_to_its_default() -> None:
    (columns,) = input_columns([DEFAULTED], ["width"], {}, "rows.csv")
    assert (columns.columns, columns.defaults) == (("width",), {1: 1.5})


def test_a_column_that_the_caller_spoke_of_is_not_left_to_its_default() -> None:
    with pytest.raises(BadInput, match="no column h for the input features"):
        input_columns([DEFAULTED], ["width"], {"height": "h"}, "rows.csv")


def test_a_table_with_none_of_the_columns_is_refused_whatever_the_defaults() -> None:
    spec = TensorSpec(
        name="depth", datatype="FP32", shape=(-1,), rules=ValueRules(nulls="default", default=2.0)
    )
    with pytest.raises(BadInput, match="no column depth for the input depth"):
        input_columns([spec], ["id"], {}, "rows.csv")
