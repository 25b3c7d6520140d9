"""What the metadata of any V2 server says, and what is refused in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from loadtest.errors import ModelUnknown
from loadtest.server_model import Rules, parse_model, read_model
from tests.unit.loadtest.models import model, tensor

TRITON: dict[str, Any] = {
    "name": "simple",
    "versions": ["1"],
    "platform": "tensorflow_graphdef",
    "inputs": [{"name": "INPUT0", "datatype": "INT32", "shape": [-1, 16]}],
    "outputs": [{"name": "OUTPUT0", "datatype": "INT32", "shape": [-1, 16]}],
}
MLSERVER: dict[str, Any] = {
    "name": "iris",
    "versions": [],
    "platform": "",
    "inputs": [
        {"name": "x", "datatype": "FP64", "shape": [-1, 4], "parameters": {"content_type": "np"}}
    ],
    "outputs": None,
    "parameters": {},
}


@pytest.mark.parametrize("document", [TRITON, MLSERVER])
def test_the_metadata_of_other_servers_is_read(document: dict[str, Any]) -> None:
    read = parse_model(json.dumps(document).encode(), "metadata")
    assert (read.name, read.inputs[0].rules) == (document["name"], Rules())


def test_ranges_categories_nulls_units_and_columns_are_read() -> None:
    known = model(
        tensor(
            "x",
            "FP32",
            [-1, 2],
            unit="mm",
            range=[0, 1],
            nulls="allow",
            columns=["a", "b"],
            column_rules={"b": {"categories": [1, 2], "description": "said to people"}},
        )
    )
    (found,) = known.inputs
    assert (found.rules, found.columns, found.column_rules) == (
        Rules(range=(0, 1), unit="mm", nulls="allow"),
        ("a", "b"),
        {"b": Rules(categories=(1, 2))},
    )


@pytest.mark.parametrize(
    ("shapes", "rows"),
    [([[-1, 3]], None), ([[-1], [-1, 2]], None), ([[4, 2]], 4), ([[1], [-1, 2]], 1)],
)
def test_a_fixed_first_dimension_is_the_only_number_of_rows(
    shapes: list[list[int]], rows: int | None
) -> None:
    inputs = [tensor(f"x{index}", "FP32", shape) for index, shape in enumerate(shapes)]
    assert model(*inputs).rows_fixed == rows


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (b"<html>", "not V2 model metadata"),
        (b"[]", "not V2 model metadata"),
        (b'{"name":"a"}', "says nothing about the model's inputs"),
        (b'{"name":"a","inputs":[]}', "says nothing about the model's inputs"),
        (b'{"name":"a","inputs":[{"name":"x"}]}', "missing required field `datatype`"),
    ],
)
def test_a_document_that_is_no_metadata_is_refused(document: bytes, why: str) -> None:
    with pytest.raises(ModelUnknown, match=f"http://h/v2/models/a: .*{why}"):
        parse_model(document, "http://h/v2/models/a")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (tensor("x", "BF16", [-1]), "input 'x': datatype 'BF16' is not known here"),
        (tensor("x", "FP32", [-1, 0]), "holds no values"),
        (tensor("x", "FP32", [-2]), "holds no values"),
        (tensor("x", "FP32", []), "has no dimension for rows"),
        (tensor("x", "FP32", [-1, 3], columns=["a", "b"]), "2 columns for shape"),
        (tensor("x", "FP32", [-1, 1], columns=["a"], column_rules={"b": {}}), "rules for columns"),
        (tensor("x", "FP32", [-1], range="wide"), "not V2 model metadata"),
    ],
)
def test_an_input_that_rows_cannot_be_made_for_is_named(given: dict[str, Any], why: str) -> None:
    with pytest.raises(ModelUnknown, match=why):
        model(given)


def test_inputs_of_different_fixed_rows_are_refused() -> None:
    with pytest.raises(ModelUnknown, match=r"inputs have \[2, 3\] of them"):
        model(tensor("x", "FP32", [2]), tensor("y", "FP32", [3]))


def test_a_server_without_metadata_is_described_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "contract.json"
    file.write_text(json.dumps(TRITON))
    assert read_model(file) == parse_model(json.dumps(TRITON).encode(), "")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelUnknown, match=r"contract\.json: No such file"):
        read_model(tmp_path / "contract.json")
