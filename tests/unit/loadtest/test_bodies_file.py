"""Rows from CSV and NDJSON files: how columns meet tensors, and what is refused."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadtest.datatypes import Rows
from loadtest.errors import BadRows
from loadtest.row_file import RowFile, read_rows
from loadtest.server_model import ServerModel
from tests.unit.loadtest.models import model, tensor

FIELDS = model(
    tensor("crop", "BYTES", [-1]),
    tensor("rain", "FP64", [-1], nulls="allow"),
    tensor("day", "INT64", [-1]),
    tensor("wet", "BOOL", [-1]),
    outputs=[tensor("yield", "FP32", [-1]), tensor("label", "INT64", [-1])],
)
TABLE = model(tensor("x", "FP32", [-1, 2], columns=["width", "height"]))
IMAGE = model(tensor("pixels", "UINT8", [-1, 2, 2]))


def written(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def rows(known: ServerModel, file: Path, **columns: str) -> dict[str, Any]:
    read, _ = read_rows(file, known.inputs, columns)
    return {name: array.tolist() for name, array in read.items()}


def test_a_csv_file_has_one_column_per_input(tmp_path: Path) -> None:
    text = 'wet,crop,rain,day,note\nTrue,"ri,ce",1.5,3,x\n0,maïs,,4.0,\n'
    found = rows(FIELDS, written(tmp_path, "rows.csv", text))
    assert np.isnan(found["rain"].pop())
    assert found == {
        "crop": ["ri,ce", "maïs"],
        "rain": [1.5],
        "day": [3, 4],
        "wet": [True, False],
    }


def test_a_csv_file_may_begin_with_a_mark_and_hold_line_ends_in_a_cell(tmp_path: Path) -> None:
    known = model(tensor("crop", "BYTES", [-1]))
    text = '\ufeffcrop\r\n"a\u2028b\nc"\r\n'
    assert rows(known, written(tmp_path, "rows.csv", text)) == {"crop": ["a\u2028b\nc"]}


def test_named_columns_become_one_input_in_the_contracts_order(tmp_path: Path) -> None:
    file = written(tmp_path, "rows.csv", "height,width\n2,1\n4,3\n")
    assert rows(TABLE, file) == {"x": [[1, 2], [3, 4]]}


def test_an_ndjson_file_has_objects_with_inputs_or_columns(tmp_path: Path) -> None:
    file = written(tmp_path, "a.ndjson", '{"x":[1,2]}\n\n{"x":[3,4]}\n')
    other = written(tmp_path, "b.jsonl", '{"width":1,"height":2}\n{"height":4,"width":3}')
    assert rows(TABLE, file) == rows(TABLE, other) == {"x": [[1, 2], [3, 4]]}


def test_an_image_is_a_nested_or_a_flat_list_or_json_in_a_csv_cell(tmp_path: Path) -> None:
    nested = written(tmp_path, "a.ndjson", '{"pixels":[[1,2],[3,4]]}')
    flat = written(tmp_path, "b.ndjson", '{"pixels":[1,2,3,4]}')
    cell = written(tmp_path, "c.csv", 'pixels\n"[1,2,3,4]"\n')
    expected = {"pixels": [[[1, 2], [3, 4]]]}
    assert [rows(IMAGE, file) for file in (nested, flat, cell)] == [expected] * 3


def test_columns_of_other_names_can_be_said(tmp_path: Path) -> None:
    file = written(tmp_path, "rows.csv", "w,height\n1,2\n")
    assert rows(TABLE, file, width="w") == {"x": [[1, 2]]}


def test_every_row_is_sampled_once_before_one_comes_again(tmp_path: Path) -> None:
    lines = "\n".join(f"{number},0" for number in range(20))
    source = RowFile(TABLE, written(tmp_path, "rows.csv", f"width,height\n{lines}"), seed=3)
    batches = [source.draw(count).rows["x"][:, 0].tolist() for count in (7, 13, 20)]
    assert [sorted(batches[0] + batches[1]), sorted(batches[2])] == [[*range(20)], [*range(20)]]


def test_the_same_seed_samples_the_same_rows(tmp_path: Path) -> None:
    lines = "\n".join(f"{number},0" for number in range(20))
    file = written(tmp_path, "rows.csv", f"width,height\n{lines}")

    def sampled(seed: int) -> list[float]:
        picked: list[float] = RowFile(TABLE, file, seed=seed).draw(50).rows["x"][:, 0].tolist()
        return picked

    assert (sampled(1) == sampled(1), sampled(1) == sampled(2)) == (True, False)


def outputs_of(folder: Path, expected: str, known: ServerModel = FIELDS) -> tuple[Rows, Rows]:
    lines = "\n".join(f"rice,1,{number},1" for number in range(5))
    inputs = written(folder, "rows.csv", f"crop,rain,day,wet\n{lines}")
    answers = written(folder, "answers.csv", expected)
    drawn = RowFile(known, inputs, expected=answers, seed=9).draw(5)
    assert drawn.expected is not None
    return drawn.rows, drawn.expected


def test_expected_outputs_go_with_their_rows(tmp_path: Path) -> None:
    lines = "\n".join(str(number / 2) for number in range(5))
    inputs, expected = outputs_of(tmp_path, f"yield\n{lines}")
    assert (expected["yield"] * 2).tolist() == inputs["day"].tolist()


@pytest.mark.parametrize(
    ("expected", "why"),
    [
        ("yield\n1\n2", "2 rows for 5 rows of input"),
        ("harvest\n1\n2\n3\n4\n5", "none of the outputs yield, label"),
        ("yield\n1\n2\nmuch\n4\n5", "answers.csv, row 3, 'yield'"),
    ],
)
def test_expected_outputs_that_do_not_fit_are_refused(
    tmp_path: Path, expected: str, why: str
) -> None:
    with pytest.raises(BadRows, match=why):
        outputs_of(tmp_path, expected)


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("a.csv", "crop,rain,day\nrice,1,2", "no column wet for the input 'wet'"),
        ("a.csv", "crop,rain,day,wet\nrice,much,2,1", "row 1, 'rain'.*much"),
        ("a.csv", "crop,rain,day,wet\nrice,1,2.5,1", "row 1, 'day'.*not a whole number"),
        ("a.csv", "crop,rain,day,wet\nrice,1,,1", "row 1, 'day'.*is empty"),
        ("a.csv", "crop,rain,day,wet\nrice,1,2,maybe", "row 1, 'wet'.*neither true nor false"),
        ("a.csv", "crop,rain,day,wet\nrice,1,2", "line 2: another number of values"),
        ("a.csv", "crop,rain,day,wet\n", "0 rows"),
        ("a.csv", 'crop,rain,day,wet\n"rice', "not CSV"),
        ("a.ndjson", '{"crop":"rice"', "line 1: not a JSON object"),
        ("a.ndjson", "[1]", "line 1: not a JSON object"),
        ("a.ndjson", '{"crop":"a","rain":1,"day":true,"wet":1}', "row 1, 'day'"),
        ("a.xlsx", "", "neither .csv"),
        ("a.parquet", "", "arquet"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_place(
    tmp_path: Path, name: str, text: str, why: str
) -> None:
    with pytest.raises(BadRows, match=f"{name}.*{why}"):
        rows(FIELDS, written(tmp_path, name, text))


@pytest.mark.parametrize("cell", ["[1,2,3]", "[1,2,3,4,5]", "[1,2,3,300]", '[1,2,3,"x"]', "[1,"])
def test_an_image_that_does_not_fit_is_refused(tmp_path: Path, cell: str) -> None:
    file = written(tmp_path, "a.ndjson", f'{{"pixels":{cell}}}')
    with pytest.raises(BadRows, match=r"a\.ndjson"):
        rows(IMAGE, file)


def test_a_column_that_is_missing_in_a_later_row_is_named(tmp_path: Path) -> None:
    file = written(tmp_path, "a.ndjson", '{"width":1,"height":2}\n{"width":1}')
    with pytest.raises(BadRows, match="row 2, 'x': the column is missing in this row"):
        rows(TABLE, file)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadRows, match=r"gone\.csv: No such file"):
        RowFile(TABLE, tmp_path / "gone.csv")


@pytest.mark.skipif(importlib.util.find_spec("pyarrow") is None, reason="pyarrow is not installed")
def test_a_parquet_file_is_read_like_the_others(tmp_path: Path) -> None:
    arrow, parquet = (importlib.import_module(f"pyarrow{part}") for part in ("", ".parquet"))
    file = tmp_path / "rows.parquet"
    parquet.write_table(arrow.table({"width": [1, 3], "height": [2.0, 4.0]}), file)
    assert rows(TABLE, file) == {"x": [[1, 2], [3, 4]]}
