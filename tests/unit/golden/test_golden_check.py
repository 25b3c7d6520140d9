"""Golden rows: recorded, replayed in this process, and what is told when an answer has changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bridge.contract.repository import VersionFolder, model_digest
from bridge.golden.blame import Recomputed, Stage
from bridge.golden.comparison import Compared
from bridge.golden.expectation import Expectation
from bridge.golden.golden import GoldenError, read
from bridge.jobs.errors import BadInput
from tests.tiny_models import affine, tensors, write_version
from tests.unit.golden.golden_models import (
    ROWS,
    checked,
    recorded,
    staged,
    staged_rows,
)
from workers.check.stages import Stages
from workers.loading import open_model


@pytest.fixture
def folder(tmp_path: Path) -> VersionFolder:
    folder = staged(tmp_path)
    recorded(folder, staged_rows(tmp_path / "rows.ndjson"))
    return folder


def edit(folder: VersionFolder, name: str, old: str, new: str) -> None:
    path = folder.path / name
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def drift(folder: VersionFolder, stage: str) -> None:
    if stage == "preprocess":
        edit(folder, "pipeline.py", '["raw"] + 1', '["raw"] + [1.01, 1]')
    elif stage == "postprocess":
        edit(folder, "pipeline.py", "* 10", "* [10.01, 10]")
    else:
        (folder.path / "model.onnx").write_bytes(affine(2.01, 1, width=2).SerializeToString())


def test_a_model_that_has_not_changed_gives_what_was_recorded(folder: VersionFolder) -> None:
    found = checked(folder)
    assert (found.is_passed, found.golden.rows, found.is_same_model) == (True, ROWS, True)
    assert next(found.lines()) == (
        "staged@1: passed: 20 golden rows get the answers that are expected."
    )


@pytest.mark.parametrize("stage", ["preprocess", "model", "postprocess"])
def test_drift_in_a_stage_is_found_and_the_stage_named(folder: VersionFolder, stage: str) -> None:
    drift(folder, stage)
    found = checked(folder)
    assert (found.is_passed, found.is_same_model) == (False, False)
    assert found.blame is not None
    assert found.blame.stage.value == stage


@pytest.mark.parametrize(
    ("stage", "where"),
    [
        ("preprocess", ("x", "0", "1.0", "1.01")),
        ("model", ("y", "1", "3.0", "3.01")),
        ("postprocess", ("z", "port", "30.0", "30.03")),
    ],
)
def test_the_first_row_is_shown_with_what_changed_there(
    folder: VersionFolder, stage: str, where: tuple[str, str, str, str]
) -> None:
    drift(folder, stage)
    found = checked(folder)
    assert found.blame is not None
    first = found.blame.difference
    assert first is not None
    assert (first.row, first.tensor, first.column, first.expected) == (0, *where[:3])
    assert float(first.got) == pytest.approx(float(where[3]))


def test_the_page_names_row_column_and_stage(folder: VersionFolder) -> None:
    edit(folder, "pipeline.py", '["raw"] + 1', '["raw"] * [1, 2] + 1')
    assert list(checked(folder).lines()) == [
        "staged@1: FAILED: 19 of 20 golden rows do not get the answers that are expected.",
        "  recorded with another model.onnx or pipeline.py than these",
        "  in this process, all rows at once: 20 rows, 19 DIFFERENT",
        "  the first is row 1, in this process, all rows at once:",
        "    output z, column starboard: -10.0 instead of 10.0",
        "    stage: preprocess, already with all rows in one batch",
        "    preprocess x, column 1: -1.0 instead of 0.0",
        "  not sent through gateway, queue and worker: a test",
    ]


def test_the_report_for_programs_says_the_same(folder: VersionFolder) -> None:
    edit(folder, "pipeline.py", "* 10", "* [11, 10]")
    document = json.loads(json.dumps(checked(folder).document()))
    first = document["first"]
    assert (document["passed"], first["row"], first["stage"]) == (False, 0, "postprocess")
    assert first["difference"] == {
        "tensor": "z",
        "column": "port",
        "expected": "30.0",
        "got": "33.0",
    }


def test_a_row_that_the_contract_does_not_accept_any_more_is_told(folder: VersionFolder) -> None:
    edit(folder, "contract.toml", "range = [-1000, 1000]", "range = [-1000, 17]")
    found = checked(folder)
    assert (found.is_passed, found.failed_rows) == (False, [18, 19])
    assert "18.0 is outside [-1000, 17]" in found.golden.refused[18]


def test_a_model_that_fails_on_golden_rows_is_told(folder: VersionFolder) -> None:
    edit(folder, "pipeline.py", "* 10", "* undefined")
    found = checked(folder)
    assert len(found.failed_rows) == ROWS
    assert found.blame is not None
    assert "NameError at pipeline.py" in found.blame.when


def test_a_golden_file_of_another_output_is_refused(folder: VersionFolder) -> None:
    edit(folder, "contract.toml", "[outputs.z]", "[outputs.other]")
    edit(folder, "pipeline.py", '"z"', '"other"')
    with pytest.raises(GoldenError, match="no output z any more"):
        checked(folder)


def test_a_parquet_file_of_somebody_else_is_refused(folder: VersionFolder, tmp_path: Path) -> None:
    (folder.path / "golden.parquet").write_bytes(b"PAR1")
    with pytest.raises(GoldenError, match=r"golden\.parquet"):
        checked(folder)


def test_a_golden_file_is_not_written_over_by_chance(folder: VersionFolder, tmp_path: Path) -> None:
    with pytest.raises(GoldenError, match="--force"):
        recorded(folder, tmp_path / "rows.ndjson")
    assert recorded(folder, tmp_path / "rows.ndjson", force=True).rows == ROWS


def test_rows_that_the_contract_refuses_are_left_out_and_said(tmp_path: Path) -> None:
    rows = tmp_path / "rows.ndjson"
    rows.write_text('{"left": 1, "right": 2}\n{"left": 1e6, "right": 2}\n', "utf-8")
    found = recorded(staged(tmp_path), rows)
    assert (found.rows, found.left_out) == (1, 1)
    assert "1000000.0 is outside" in found.reason


def test_a_file_without_the_columns_is_refused(tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("a\n1\n", "utf-8")
    with pytest.raises(BadInput, match="no column"):
        recorded(staged(tmp_path), rows)


def test_outputs_of_the_team_that_the_model_does_not_give_are_told(tmp_path: Path) -> None:
    folder, data = staged(tmp_path), staged_rows(tmp_path / "rows.ndjson")
    outputs = tmp_path / "outputs.csv"
    lines = [f"{10 * (2 * row + 3)},{10 * (3 - 2 * row)}" for row in range(ROWS)]
    lines[7] = "171,-110"
    outputs.write_text("port,starboard\n" + "\n".join(lines), "utf-8")
    found = recorded(folder, data, outputs_from=str(outputs))
    assert found.compared is not None
    assert list(found.compared.differences) == [7]
    replayed = checked(folder)
    assert replayed.failed_rows == [7]
    assert replayed.blame is not None
    assert replayed.blame.stage is Stage.RECORDED


def test_of_outputs_that_the_team_does_not_have_the_batch_run_is_kept(tmp_path: Path) -> None:
    pipeline = 'def predict(inputs):\n    return {"y": inputs["x"] + 1, "z": inputs["x"] * 2}\n'
    contract = tensors() + "\n[outputs.z]\ndatatype = 'FP64'\nshape = [-1]\n"
    path = write_version(tmp_path, "m", pipeline=pipeline, contract=contract)
    folder = VersionFolder("m", "1", path)
    rows, outputs = tmp_path / "rows.csv", tmp_path / "outputs.csv"
    rows.write_text("x\n1\n2\n", "utf-8")
    outputs.write_text("y\n2\n3\n", "utf-8")
    found = recorded(folder, rows, outputs_from=str(outputs))
    assert found.compared is not None
    assert (found.compared.is_passed, checked(folder).is_passed) == (True, True)


def test_an_output_of_the_team_that_is_there_in_part_is_refused(tmp_path: Path) -> None:
    outputs = tmp_path / "outputs.csv"
    outputs.write_text("port\n30\n", "utf-8")
    data = staged_rows(tmp_path / "rows.ndjson")
    with pytest.raises(BadInput, match="no column starboard"):
        recorded(staged(tmp_path), data, outputs_from=str(outputs))


def test_outputs_of_the_team_without_any_of_the_model_are_refused(tmp_path: Path) -> None:
    outputs = tmp_path / "outputs.csv"
    outputs.write_text("row\n1\n", "utf-8")
    data = staged_rows(tmp_path / "rows.ndjson")
    with pytest.raises(BadInput, match="no column for any of"):
        recorded(staged(tmp_path), data, outputs_from=str(outputs))


def test_more_outputs_of_the_team_than_rows_are_refused(tmp_path: Path) -> None:
    data, outputs = staged_rows(tmp_path / "rows.ndjson"), tmp_path / "outputs.csv"
    outputs.write_text("port,starboard\n" + "1,1\n" * (ROWS + 1), "utf-8")
    with pytest.raises(GoldenError, match=f"{ROWS + 1} rows for the {ROWS} of the data"):
        recorded(staged(tmp_path), data, outputs_from=str(outputs))


def test_too_few_outputs_of_the_team_are_refused(tmp_path: Path) -> None:
    outputs = tmp_path / "outputs.csv"
    outputs.write_text("port,starboard\n30,30\n", "utf-8")
    data = staged_rows(tmp_path / "rows.ndjson")
    with pytest.raises(GoldenError, match="row 1: missing"):
        recorded(staged(tmp_path), data, outputs_from=str(outputs))


def test_a_row_that_is_other_alone_than_in_the_batch_is_told(tmp_path: Path) -> None:
    pipeline = 'def predict(inputs):\n    x = inputs["x"]\n    return {"y": x - x.mean()}\n'
    path = write_version(tmp_path, "m", pipeline=pipeline, contract=tensors())
    folder = VersionFolder("m", "1", path)
    rows = tmp_path / "rows.csv"
    rows.write_text("x\n1\n2\n6\n", "utf-8")
    recorded(folder, rows)
    # In this process all rows are one batch again, as they were when they were recorded.
    assert checked(folder).is_passed


def test_rows_of_several_lengths_and_texts_are_kept(tmp_path: Path) -> None:
    pipeline = 'def predict(inputs):\n    return {"y": inputs["x"], "t": inputs["t"]}\n'
    contract = (
        '[inputs.x]\ndatatype = "FP32"\nshape = [-1, -1]\nnulls = "allow"\n'
        '[inputs.t]\ndatatype = "BYTES"\n'
        '[outputs.y]\ndatatype = "FP32"\nshape = [-1, -1]\n[outputs.t]\ndatatype = "BYTES"\n'
    )
    path = write_version(tmp_path, "m", pipeline=pipeline, contract=contract)
    folder = VersionFolder("m", "1", path)
    rows = tmp_path / "rows.ndjson"
    rows.write_text(
        '{"x": [1, null, 3], "t": "ä"}\n{"x": [4], "t": ""}\n{"x": [5, 6, 7], "t": "b"}\n', "utf-8"
    )
    recorded(folder, rows)
    found = checked(folder)
    assert (found.is_passed, found.golden.rows) == (True, 3)
    assert [len(part.numbers) for part in found.golden.parts] == [2, 1]


def test_an_answer_that_changes_on_the_way_is_not_blamed_on_the_model(
    folder: VersionFolder,
) -> None:
    model = open_model(folder, 1)
    stages = Stages(folder, model, 1)
    golden = read(folder.path / "golden.parquet", model.contract)
    expectation = Expectation(golden, model.contract, stages, model_digest(folder))
    way = Compared("JSON, one row at a time")
    third = expectation.places[3]
    answers = {
        place: {"z": expectation.expected(0)["z"][place.place : place.place + 1].copy()}
        for place in expectation.places
    }
    answers[third]["z"][0, 1] += 1
    expectation.compare(way, answers)
    assert list(way.differences) == [3]
    assert Recomputed(expectation, stages).blame(third).stage is Stage.WAY


def test_an_answer_without_an_output_is_none(folder: VersionFolder) -> None:
    model = open_model(folder, 1)
    golden = read(folder.path / "golden.parquet", model.contract)
    expectation = Expectation(golden, model.contract, Stages(folder, model, 1), "")
    way = Compared("job")
    expectation.compare(way, {expectation.places[0]: {}})
    assert way.unanswered == {0: "no output z"}
