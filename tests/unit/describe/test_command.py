"""`batchbridge describe` writes what a worker can load, and nothing over what a person wrote."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bridge.contract.repository import scan
from bridge.contract.statistics import read_statistics
from bridge.describe.command import DescribeOptions, run_describe
from bridge.describe.suggested_rules import widened
from tests.tiny_models import affine, identity, tensors, write_version
from workers.loading import load_models, open_model

# A script as a team has it: of a table's columns it takes three.
SCRIPT = """
import numpy as np


def predict(inputs):
    known = np.nan_to_num(inputs["rain"], nan=300.0)
    bonus = np.where(inputs["crop"] == "maize", 2.0, 1.0)
    return {"yield": known * bonus + inputs["day"], "crop": inputs["crop"]}
"""


def describe(folder: Path, data: Path | None = None, **more: Any) -> int:
    """Run the command in this process; return its exit code."""
    return run_describe(
        DescribeOptions(
            model=folder,
            data="" if data is None else str(data),
            ignore=more.get("ignore", []),
            force=more.get("force", False),
            statistics_only=more.get("statistics_only", False),
        )
    )


def contract(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "contract.toml").read_text())


@pytest.fixture
def fields(tmp_path: Path) -> Path:
    rain = np.linspace(100, 500, 41).round(1).tolist()
    lines = [
        f"{number},{'' if number % 10 == 0 else value},{'maize' if number % 3 else 'soya'},"
        f"{number % 9 + 1},2.5"
        for number, value in enumerate(rain)
    ]
    path = tmp_path / "fields.csv"
    path.write_text("\n".join(["id,rain,crop,day,harvest", *lines]) + "\n")
    return path


@pytest.fixture
def script(tmp_path: Path) -> Path:
    return write_version(tmp_path / "models", "yields", pipeline=SCRIPT)


def test_a_script_is_described_by_the_columns_that_it_asks_for(script: Path, fields: Path) -> None:
    assert describe(script, fields) == 0
    inputs = contract(script)["inputs"]
    assert {name: one["datatype"] for name, one in inputs.items()} == {
        "rain": "FP64",
        "crop": "BYTES",
        "day": "INT64",
    }


def test_values_are_described_by_the_data(script: Path, fields: Path) -> None:
    describe(script, fields)
    inputs = contract(script)["inputs"]
    assert (inputs["rain"]["range"], inputs["rain"]["nulls"]) == ([0.0, 680.0], "allow")
    assert (inputs["crop"]["categories"], inputs["day"]["range"]) == (["maize", "soya"], [1, 9])


def test_outputs_are_what_the_script_answers(script: Path, fields: Path) -> None:
    describe(script, fields)
    outputs = contract(script)["outputs"]
    assert {name: one["datatype"] for name, one in outputs.items()} == {
        "yield": "FP64",
        "crop": "BYTES",
    }


def test_a_worker_loads_what_was_described(script: Path, fields: Path) -> None:
    describe(script, fields)
    (loaded,) = load_models(script.parents[1], threads=1)
    assert (loaded.has_answered, loaded.model.contract.key) == (True, "yields@1")


def test_a_graph_alone_is_described_without_data(tmp_path: Path) -> None:
    folder = write_version(tmp_path, "m", graph=affine(2, 1, width=3))
    assert describe(folder) == 0
    assert contract(folder)["inputs"]["x"] == {
        "datatype": "FP64",
        "shape": [-1, 3],
        "description": "",
    }


def test_the_columns_of_a_graphs_only_input_are_named_by_the_file(tmp_path: Path) -> None:
    folder = write_version(tmp_path, "m", graph=affine(2, 1, width=2))
    data = tmp_path / "rows.csv"
    data.write_text("id,a b,c.d\n1,5,6\n2,7,9\n")
    assert describe(folder, data, ignore=["id"]) == 0
    (only,) = open_model(scan(tmp_path)[0], threads=1).contract.inputs
    assert (only.columns, list(only.column_rules)) == (("a b", "c.d"), ["a b", "c.d"])


def test_columns_of_another_number_are_refused_with_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_version(tmp_path, "m", graph=affine(2, 1, width=2))
    data = tmp_path / "rows.csv"
    data.write_text("a,b,target\n1,2,3\n")
    assert describe(folder, data) == 2
    said = capsys.readouterr().err
    assert "has 3 columns (a, b, target), the input x takes 2: --ignore leaves out" in said


def test_a_script_without_data_is_refused_with_what_to_do(
    script: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert describe(script) == 2
    assert "--data: what the functions of pipeline.py take" in capsys.readouterr().err


def test_a_contract_that_is_there_is_not_written_over(
    script: Path, fields: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (script / "contract.toml").write_text("# mine\n")
    assert describe(script, fields) == 2
    assert "--force writes it anew, --statistics-only leaves it" in capsys.readouterr().err
    assert (script / "contract.toml").read_text() == "# mine\n"


def test_with_force_it_is(script: Path, fields: Path) -> None:
    (script / "contract.toml").write_text("# mine\n")
    assert describe(script, fields, force=True) == 0
    assert "rain" in contract(script)["inputs"]


def test_statistics_alone_leave_the_contract_as_it_is(tmp_path: Path) -> None:
    folder = write_version(tmp_path, "m", graph=identity("FP64"), contract="# mine\n")
    data = tmp_path / "rows.ndjson"
    data.write_text('{"x": 1.5}\n{"x": null}\n{"x": "text"}\n')
    assert describe(folder, data, statistics_only=True) == 0
    statistics = read_statistics(scan(tmp_path)[0])
    assert statistics is not None
    assert (statistics.rows, statistics.rows_left_out) == (3, 1)
    assert statistics.features[0].null_share == 0.5
    assert (folder / "contract.toml").read_text() == "# mine\n"


def test_a_script_that_fails_on_the_rows_is_told_with_its_error(
    tmp_path: Path, fields: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = "def predict(inputs):\n    return {'y': inputs['no such column']}\n"
    folder = write_version(tmp_path, "m", pipeline=script)
    assert describe(folder, fields) == 2
    assert "cannot be run: KeyError: 'no such column'" in capsys.readouterr().err


def test_data_without_a_row_that_can_be_read_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_version(tmp_path, "m", graph=identity("FP64"))
    data = tmp_path / "rows.ndjson"
    data.write_text('{"x": "a"}\n')
    assert describe(folder, data) == 2
    assert "rows.ndjson holds no row that the model could take" in capsys.readouterr().err


def test_one_of_several_versions_must_be_chosen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for version in (1, 2):
        write_version(tmp_path, "m", version, graph=affine(2, 1), contract=tensors())
    assert describe(tmp_path / "m", force=True) == 2
    assert "holds m@1, m@2: choose the folder of one" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seen", "range_"),
    [
        ((6.981, 28.11), (0.0, 39.0)),
        ((-40.0, -10.0), (-55.0, 0.0)),
        ((-1.0, 1.0), (-2.0, 2.0)),
        ((0.0, 0.4268), (0.0, 0.65)),
        ((20.0, 21.0), (19.5, 21.5)),
        ((-1e308, 1e308), (-1e308, 1e308)),
    ],
)
def test_a_range_is_widened_by_half_its_length_but_not_beyond_zero(
    seen: tuple[float, float], range_: tuple[float, float]
) -> None:
    assert widened(*seen) == range_


@pytest.mark.parametrize("statistics_only", [True, False])
def test_statistics_that_are_there_are_written_over_only_with_a_word(
    script: Path, fields: Path, capsys: pytest.CaptureFixture[str], *, statistics_only: bool
) -> None:
    describe(script, fields)
    if not statistics_only:
        (script / "contract.toml").unlink()
    path = script / "statistics.json"
    path.write_text("mine", "utf-8")
    assert describe(script, fields, statistics_only=statistics_only) == 2
    assert path.read_text("utf-8") == "mine"
    assert f"{path} is there: --force writes it anew" in capsys.readouterr().err
    assert describe(script, fields, statistics_only=statistics_only, force=True) == 0
    assert path.read_text("utf-8") != "mine"
