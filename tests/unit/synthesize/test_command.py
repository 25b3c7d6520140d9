"""`batchbridge synthesize` writes rows that the contract allows, and says what it refuses."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from bridge.check.reference_rows import reference_rows
from bridge.contract.repository import VersionFolder, scan
from bridge.jobs.columns import input_columns
from bridge.jobs.rows import RowCheck
from bridge.jobs.tables import open_table
from bridge.synthesize.command import SynthesizeOptions, run_synthesize
from tests.sample_models import MODELS, version_folder
from tests.tiny_models import affine, write_version
from workers.loading import open_model

SAMPLES = scan(MODELS)


def synthesize(folder: Path, output: Path, rows: int = 5, seed: int = 0, kinds: str = "") -> int:
    """Run the command in this process; return its exit code."""
    return run_synthesize(
        SynthesizeOptions(
            model=folder,
            rows=rows,
            output=output,
            edge_cases="edge" in kinds,
            unseen="unseen" in kinds,
            seed=seed,
            force="force" in kinds,
        )
    )


def records(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def outcomes(path: Path, folder: Path) -> list[str]:
    """The code with which a job rejects each row of a file, or none."""
    inputs = open_model(VersionFolder("m", "1", folder), threads=1).contract.inputs
    table = open_table(path)
    columns = input_columns(inputs, table.column_types, {}, str(path))
    check = RowCheck(columns, table.column_types, str(path), is_text=table.has_text_cells)
    faults: Mapping[int, str] = {
        page.first_row + row: fault.code
        for page in table.pages(check.columns, 0)
        for checked in check.check(page)
        for row, fault in checked.faults.items()
    }
    rows = sum(page.rows for page in table.pages(check.columns, 0))
    return [faults.get(row, "") for row in range(rows)]


@pytest.mark.parametrize("folder", SAMPLES, ids=[folder.model for folder in SAMPLES])
def test_rows_for_every_sample_are_read_again_and_allowed(
    tmp_path: Path, folder: VersionFolder
) -> None:
    output = tmp_path / "rows.parquet"
    assert synthesize(folder.path, output, rows=40) == 0
    inputs = open_model(folder, threads=1).contract.inputs
    groups = reference_rows(output, inputs, 40)
    assert sum(len(group[inputs[0].name]) for group in groups) == 40


@pytest.mark.parametrize("suffix", ["parquet", "csv", "ndjson", "arrow"])
def test_a_job_rejects_exactly_what_is_expected_in_each_format(tmp_path: Path, suffix: str) -> None:
    folder, output = version_folder("crop_yield"), tmp_path / f"rows.{suffix}"
    again = tmp_path / "again.csv"
    for path in (output, again):
        assert synthesize(folder, path, kinds="edge unseen") == 0
    expected = [record["expected_error"] for record in records(again)]
    assert outcomes(output, folder) == expected
    assert {"", "value_range", "unknown_category", "null_value"} == set(expected)


def test_the_predictable_scenarios_of_a_feature_are_there(tmp_path: Path) -> None:
    output = tmp_path / "rows.csv"
    synthesize(version_folder("crop_yield"), output, rows=0, kinds="unseen")
    found = {record["scenario"]: record["expected_error"] for record in records(output)}
    wanted = {
        "crop unknown": "unknown_category",
        "crop in other letters": "unknown_category",
        "rainfall_mm above its range": "value_range",
        "mean_temperature_c missing": "null_value",
        "mean_temperature_c in Fahrenheit": "value_range",
        "sowing_day below its range": "value_range",
    }
    assert wanted.items() <= found.items()


def test_edge_cases_are_the_ends_of_ranges_alone_and_together(tmp_path: Path) -> None:
    output = tmp_path / "rows.csv"
    synthesize(version_folder("crop_yield"), output, rows=0, kinds="edge")
    found = {record["scenario"]: record for record in records(output)}
    lowest = found["everything at its lowest"]
    assert (lowest["rainfall_mm"], lowest["soil_ph"], lowest["sowing_day"]) == ("0", "3", "1")
    assert found["rainfall_mm at its highest"]["rainfall_mm"] == "4000"
    assert found["everything null that may be"]["soil_ph"] == ""
    assert {record["expected_error"] for record in found.values()} == {""}


def test_the_same_seed_writes_the_same_file_and_another_another(tmp_path: Path) -> None:
    folder = version_folder("crop_yield")
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        synthesize(folder, tmp_path / f"{name}.csv", seed=seed, kinds="edge unseen")
    first, again, other = ((tmp_path / f"{name}.csv").read_bytes() for name in "abc")
    assert (first == again, first == other) == (True, False)


def test_rows_in_several_chunks_are_as_many_as_asked(tmp_path: Path) -> None:
    folder = write_version(tmp_path, "m", graph=affine(2, 1))
    output = tmp_path / "rows.parquet"
    synthesize(folder, output, rows=40_000)
    values = pq.read_table(output)["x"].to_numpy()
    assert (len(values), len(np.unique(values))) == (40_000, 40_000)


@pytest.mark.parametrize(
    ("more", "named"),
    [({"rows": -1}, "--rows"), ({"seed": -1}, "--seed")],
)
def test_a_wrong_option_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: dict[str, int], named: str
) -> None:
    folder = write_version(tmp_path, "m", graph=affine(2, 1))
    assert synthesize(folder, tmp_path / "rows.csv", **more) == 2
    assert named in capsys.readouterr().err


def test_an_unknown_format_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_version(tmp_path, "m", graph=affine(2, 1))
    assert synthesize(folder, tmp_path / "rows.xlsx") == 2
    assert "its name ends in none of" in capsys.readouterr().err


def test_statistics_of_another_model_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_version(tmp_path, "m", graph=affine(2, 1))
    (folder / "statistics.json").write_text('{"source": "a", "rows": 1, "features": []}')
    assert synthesize(folder, tmp_path / "rows.csv") == 2
    assert "not those of the input x: describe it again" in capsys.readouterr().err


def test_a_file_that_is_there_is_written_over_only_with_a_word(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, output = write_version(tmp_path, "m", graph=affine(2, 1)), tmp_path / "rows.csv"
    output.write_text("mine", "utf-8")
    assert (synthesize(folder, output), output.read_text("utf-8")) == (2, "mine")
    said = f"batchbridge: {output} is there already: --force writes it anew\n"
    assert capsys.readouterr().err == said
    assert (synthesize(folder, output, kinds="force"), len(records(output))) == (0, 5)
