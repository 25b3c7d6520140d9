"""`batchbridge score` as a person runs it: a file in, a file out, clear words when it cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.command import Ended, run_to_end
from tests.sample_models import MODELS, example_tensors, predict
from tests.score_files import (
    FORGETS,
    RAISES,
    answers,
    read_rejected,
    read_table,
    write_marked_model,
    write_numbers,
    write_table,
)

VALUES = [n for n in range(5_000) if n not in (RAISES, FORGETS, 666)]
REJECTED, GIVEN_UP = 3, 4
FORMATS = ["parquet", "csv", "ndjson", "arrow"]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    write_marked_model(tmp_path / "models")
    return tmp_path / "models"


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def score(models: Path, source: Path, output: Path, *more: str) -> Ended:
    """Score with `marked`, on a queue and a worker of its own."""
    words = ["score", "marked", str(source), str(output), "--models", str(models), *more]
    return await run_to_end(*words)


@pytest.mark.parametrize("suffix", FORMATS)
async def test_every_row_is_scored_in_order_beside_its_key_in_every_format(
    models: Path, tmp_path: Path, suffix: str
) -> None:
    source = write_numbers(tmp_path / f"in.{suffix}", VALUES)
    output = tmp_path / f"out.{suffix}"
    ended = await score(models, source, output, "--key", "id")
    assert (ended.code, read_table(output)) == (0, answers(VALUES))
    assert f"{len(VALUES):,} rows scored" in ended.out
    assert names_in(tmp_path) == sorted(["models", source.name, output.name])


async def test_without_a_key_the_row_numbers_stand_beside_the_outputs(
    models: Path, tmp_path: Path
) -> None:
    source = write_numbers(tmp_path / "in.csv", [5, 6])
    await score(models, source, tmp_path / "out.csv")
    assert read_table(tmp_path / "out.csv") == [{"row": 0, "y": 11}, {"row": 1, "y": 13}]


async def test_rows_that_do_not_fit_or_break_the_model_are_rejected_and_the_rest_is_scored(
    models: Path, tmp_path: Path
) -> None:
    source, output = tmp_path / "in.csv", tmp_path / "out.parquet"
    cells = [str(n) for n in range(3_000)]
    cells[100], cells[101], cells[102], cells[666] = "-1", "1.5", "", "2"
    lines = [f"a{n},{cell}" for n, cell in enumerate(cells)]
    lines[103] = "a103"
    source.write_text("id,x\n" + "\n".join(lines) + "\n")
    ended = await score(models, source, output, "--key", "id")
    rejected = read_rejected(output)
    assert ended.code == REJECTED
    assert [(row["row"], row["key"], row["code"]) for row in rejected] == [
        (RAISES, "a13", "rows_failed"),
        (FORGETS, "a17", "bad_output"),
        (100, "a100", "value_range"),
        (101, "a101", "wrong_type"),
        (102, "a102", "null_value"),
        (103, None, "schema"),
    ]
    assert rejected[2]["reason"] == "input x: -1 is outside [0, 1e+09]"
    lost = {row["row"] for row in rejected}
    assert read_table(output) == [
        {"id": f"a{n}", "y": 2 * int(cell) + 1} for n, cell in enumerate(cells) if n not in lost
    ]


async def test_too_many_rejected_rows_end_the_job_which_can_go_on_with_more(
    models: Path, tmp_path: Path
) -> None:
    source, output = tmp_path / "in.csv", tmp_path / "out.csv"
    values = [-1 if n % 1_000 == 7 else n + 1_000 for n in range(5_000)]
    write_numbers(source, values)
    ended = await score(models, source, output, "--max-rejected", "2")
    assert (ended.code, output.exists(), len(read_rejected(output))) == (GIVEN_UP, False, 3)
    assert ended.said == [
        f"batchbridge: 3 rows were rejected, --max-rejected is 2; they are in "
        f"{tmp_path / 'out.rejected.ndjson'}"
    ]
    again = await score(models, source, output, "--max-rejected", "5")
    assert (again.code, len(read_table(output)), len(read_rejected(output))) == (
        REJECTED,
        4_995,
        5,
    )
    assert "gone on at row" in again.out


# An NDJSON file without a line has no columns: it is refused.
@pytest.mark.parametrize("suffix", ["parquet", "csv", "arrow"])
async def test_a_file_without_rows_gives_an_output_without_rows(
    models: Path, tmp_path: Path, suffix: str
) -> None:
    source = write_table(
        tmp_path / f"in.{suffix}", pa.table({"id": pa.array([], pa.string()), "x": [0][:0]})
    )
    output = tmp_path / f"out.{suffix}"
    ended = await score(models, source, output, "--key", "id")
    assert (ended.code, read_table(output)) == (0, [])


@pytest.mark.parametrize(
    ("name", "content", "words", "said"),
    [
        ("in.csv", "id,z\n1,2\n", [], "no column x for the input x"),
        ("in.csv", "id,x\n1,2\n", ["--key", "no"], "no column no for --key"),
        ("in.csv", "id,x\n1,2\n", ["--columns", "q=x"], "no input or column q"),
        ("in.csv", "id,x\n1,2\n", ["--columns", "x"], "is not NAME=COLUMN"),
        ("in.csv", "", [], "Empty CSV file"),
        ("in.parquet", "PAR1", [], "in.parquet"),
        ("in.csv", "id,x\n1,2\n", ["--chunk-rows", "0"], "--chunk-rows"),
        ("in.xml", "", [], "its name ends in none of"),
    ],
)
async def test_what_cannot_be_scored_is_said_in_one_line_and_nothing_is_left(
    models: Path, tmp_path: Path, name: str, content: str, words: list[str], said: str
) -> None:
    source, output = tmp_path / name, tmp_path / "out.csv"
    source.write_text(content)
    ended = await score(models, source, output, *words)
    assert (ended.code, output.exists(), len(ended.said)) == (2, False, 1)
    assert said in ended.said[0]


async def test_an_output_in_a_folder_that_is_not_there_is_refused(
    models: Path, tmp_path: Path
) -> None:
    source = write_numbers(tmp_path / "in.csv", [1])
    ended = await score(models, source, tmp_path / "none" / "out.csv")
    assert (ended.code, "there is no folder" in ended.said[0]) == (2, True)


async def test_a_model_that_nobody_serves_is_said(models: Path, tmp_path: Path) -> None:
    source = write_numbers(tmp_path / "in.csv", [1])
    words = ["score", "other", str(source), str(tmp_path / "out.csv"), "--models", str(models)]
    ended = await run_to_end(*words)
    assert (ended.code, ended.said) == (75, ["batchbridge: no worker serves other"])


async def test_columns_that_are_called_otherwise_are_named(models: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("x,amount\n99,1\n98,2\n")
    output = tmp_path / "out.ndjson"
    ended = await score(models, source, output, "--columns", "x=amount", "--key", "x")
    assert (ended.code, read_table(output)) == (0, [{"x": "99", "y": 3}, {"x": "98", "y": 5}])


# All of them, without a start of workers for each: test_parity.py.
@pytest.mark.parametrize("model", ["crop_yield"])
async def test_a_sample_model_answers_in_a_file_as_it_answers_online(
    tmp_path: Path, model: str
) -> None:
    rows = 32
    example = example_tensors(model)
    inputs = {name: np.repeat(array, rows, axis=0) for name, array in example.items()}
    source = write_table(tmp_path / "in.parquet", as_table(inputs))
    output = tmp_path / "out.parquet"
    ended = await run_to_end("score", model, str(source), str(output), "--models", str(MODELS))
    assert (ended.code, ended.said) == (0, [])
    expected = predict(model, inputs)
    columns: dict[str, list[Any]] = {}
    for row in read_table(output):
        for column, value in row.items():
            columns.setdefault(column.split(".")[0], []).append(value)
    for name, array in expected.items():
        given = np.array(columns[name], dtype=array.dtype).reshape(array.shape)
        np.testing.assert_allclose(given, array, rtol=1e-5, atol=1e-7)


def as_table(inputs: dict[str, np.ndarray[Any, Any]]) -> pa.Table:
    """Inputs as a table: lists where a row has several values."""
    columns = {}
    for name, array in inputs.items():
        flat = array.reshape(len(array), -1)
        is_single = array.ndim == 1
        columns[name] = pa.array(flat[:, 0].tolist() if is_single else flat.tolist())
    return pa.table(columns)
