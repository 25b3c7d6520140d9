"""A table's columns as inputs, and inputs as a table's columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bridge.contract.model import TensorSpec
from bridge.jobs.errors import BadInput
from bridge.jobs.input_table import InputTable
from bridge.jobs.table_inputs import table_inputs
from bridge.jobs.tables import open_table


def datatypes(path: Path, *left_out: str) -> dict[str, str]:
    return {spec.name: spec.datatype for spec in table_inputs(open_table(path), left_out)}


def test_parquet_says_each_columns_type_itself(tmp_path: Path) -> None:
    table = pa.table(
        {
            "f": pa.array([1.5, None], pa.float32()),
            "i": pa.array([1, 2], pa.int16()),
            "gaps": pa.array([1, None], pa.int64()),
            "t": ["a", None],
            "coded": pa.array(["a", "b"]).dictionary_encode(),
            "b": [True, False],
            "lists": [[1], [2]],
            "day": pa.array([1, 2], pa.date32()),
        }
    )
    pq.write_table(table, tmp_path / "rows.parquet")
    assert datatypes(tmp_path / "rows.parquet") == {
        "f": "FP32",
        "i": "INT16",
        "gaps": "FP64",
        "t": "BYTES",
        "coded": "BYTES",
        "b": "BOOL",
    }


def test_whole_numbers_that_are_written_floating_are_floating(tmp_path: Path) -> None:
    csv, ndjson = tmp_path / "rows.csv", tmp_path / "rows.ndjson"
    csv.write_text("f\n127.0\n100.0\n")
    ndjson.write_text('{"f": 127.0}\n{"f": 100.0}\n')
    assert (datatypes(csv), datatypes(ndjson)) == ({"f": "FP64"}, {"f": "FP64"})


def test_the_cells_of_csv_say_it(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("i,f,gaps,b,zero,t\n1,1.5,1,true,0,a\n2,2,,false,1,\n")
    assert datatypes(path) == {
        "i": "INT64",
        "f": "FP64",
        "gaps": "FP64",
        "b": "BOOL",
        "zero": "INT64",
        "t": "BYTES",
    }


def test_the_values_of_json_say_it(tmp_path: Path) -> None:
    path = tmp_path / "rows.ndjson"
    path.write_text(
        '{"i": 1, "f": 1, "b": true, "t": "1"}\n{"i": 2, "f": 0.5, "b": null, "t": ""}\n'
    )
    assert datatypes(path) == {"i": "INT64", "f": "FP64", "b": "BOOL", "t": "BYTES"}


def test_columns_can_be_left_out(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("id,x\n1,2\n")
    assert datatypes(path, "id") == {"x": "INT64"}


def spec(name: str, *row_shape: int, **more: Any) -> TensorSpec:
    return TensorSpec(name=name, datatype="FP64", shape=(-1, *row_shape), **more)


def test_columns_have_the_contracts_names_and_lists_the_inputs() -> None:
    inputs = [spec("x", 2, columns=("a", "b")), spec("y", 2, 2), spec("z", 1), spec("w", -1)]
    assert InputTable(inputs, ["label"]).schema.names == ["a", "b", "y", "z", "w", "label"]


def test_a_column_that_two_inputs_have_is_named_with_its_input() -> None:
    inputs = [spec("x", 2, columns=("a", "b")), spec("y", 2, columns=("b", "c"))]
    assert InputTable(inputs).schema.names == ["a", "x.b", "y.b", "c"]


def test_nan_and_what_is_missing_are_nulls() -> None:
    table = InputTable([spec("x"), TensorSpec(name="i", datatype="INT64", shape=(-1,))])
    tensors = {"x": np.array([np.nan, 1.0]), "i": np.array([1, 2])}
    batch = table.batch(tensors, {"i": np.array([[False], [True]])}, {})
    assert batch.to_pylist() == [{"x": None, "i": 1}, {"x": 1.0, "i": None}]


def test_a_label_that_the_model_has_as_a_column_is_refused() -> None:
    with pytest.raises(BadInput, match="scenario"):
        InputTable([spec("scenario")], ["scenario"])
