"""Thresholds found on golden rows, written, served, and refused when the model is another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bridge.contract.decision import parse_threshold
from bridge.contract.repository import VersionFolder
from bridge.golden.decision_check import DecisionCheck, check_decision, next_version
from bridge.golden.golden import GoldenError
from bridge.golden.golden_check import check_golden
from tests.tiny_models import identity, write_version
from tests.unit.golden.golden_models import recorded
from workers.loading import LoadError, load_models, open_model
from workers.model import Model, RowsFailed

CONTRACT = """
[decision]
output = "y"
positive = "ill"
label_column = "diagnosis"
cost_false_negative = 50
cost_false_positive = 1
"""
# The ill are above 0.3, but for one at 0.12; of the well two are above that.
ROWS = "".join(
    f"{score},{diagnosis}\n"
    for score, diagnosis in [
        *((0.3 + step / 100, "ill") for step in range(40)),
        (0.12, "ill"),
        (0.2, "well"),
        (0.25, "well"),
        *((step / 1000, "well") for step in range(100)),
    ]
)


@pytest.fixture
def folder(tmp_path: Path) -> VersionFolder:
    """A model whose answer is the score that it is given."""
    path = write_version(tmp_path, "scores", graph=identity("FP64"), contract=CONTRACT)
    folder = VersionFolder("scores", "1", path)
    data = tmp_path / "rows.csv"
    data.write_text("x,diagnosis\n" + ROWS, "utf-8")
    recorded(folder, data)
    return folder


def checked(folder: VersionFolder, *, writes: bool = False) -> DecisionCheck:
    model = open_model(folder, 1)
    golden, recomputed = check_golden(folder, model, threads=1, left_out="a test", environment={})
    assert golden.is_passed
    found = check_decision(folder, model.contract, golden.golden, recomputed, writes=writes)
    assert found is not None
    return found


def loaded(folder: VersionFolder) -> Model:
    (one,) = load_models(folder.path.parent.parent, 1)
    return one.model


def test_the_threshold_of_least_cost_is_found(folder: VersionFolder) -> None:
    found = checked(folder)
    assert found.choice is not None
    assert (found.choice.positives, found.choice.missed, found.choice.false_alarms) == (41, 0, 2)
    assert 0.099 < found.choice.threshold <= 0.12


def test_without_a_threshold_a_model_decides_nothing(folder: VersionFolder) -> None:
    assert [spec.name for spec in loaded(folder).contract.outputs] == ["y"]


def test_a_check_alone_writes_nothing(folder: VersionFolder) -> None:
    found = checked(folder)
    assert (found.is_passed, found.written) == (True, None)
    assert not (folder.path / "threshold.toml").exists()
    assert "--write-threshold makes one" in next(found.lines())


def test_a_written_threshold_is_served(folder: VersionFolder) -> None:
    written = checked(folder, writes=True).written
    model = loaded(folder)
    outputs = model.run({"x": np.array([0.05, 0.12, 0.5])}, 3)
    assert (written is not None, outputs["decision"].tolist()) == (True, [False, True, True])
    assert model.contract.decision is not None
    assert model.contract.decision.threshold_version == "1"


def test_it_is_not_written_again_if_it_is_the_same(folder: VersionFolder) -> None:
    checked(folder, writes=True)
    assert checked(folder, writes=True).written is None


def test_another_threshold_has_the_next_version(folder: VersionFolder) -> None:
    path = folder.path / "threshold.toml"
    path.write_text('threshold = 0.5\nversion = "7"\n', "utf-8")
    assert "the present threshold, 0.5, costs" in "\n".join(checked(folder).lines())
    checked(folder, writes=True)
    assert parse_threshold(path.read_bytes()).version == "8"


def test_the_threshold_of_another_model_is_not_served(folder: VersionFolder) -> None:
    checked(folder, writes=True)
    # The same function in other bytes: a model that was built anew.
    (folder.path / "model.onnx").write_bytes(identity("FP64", rows="batch").SerializeToString())
    assert not checked(folder).is_passed
    with pytest.raises(LoadError, match=r"threshold\.toml: was found for another model"):
        loaded(folder)
    written = checked(folder, writes=True).written
    assert written is not None
    assert (written.version, loaded(folder).contract.outputs[-1].name) == ("2", "decision")


def test_a_threshold_without_a_decision_is_refused(folder: VersionFolder) -> None:
    (folder.path / "threshold.toml").write_text('threshold = 0.5\nversion = "1"\n', "utf-8")
    (folder.path / "contract.toml").unlink()
    with pytest.raises(LoadError, match=r"no section \[decision\]"):
        open_model(folder, 1)


def test_a_decision_that_does_not_fit_names_the_key(folder: VersionFolder) -> None:
    contract = folder.path / "contract.toml"
    contract.write_text(CONTRACT.replace('"y"', '"none"'), "utf-8")
    with pytest.raises(LoadError, match=r"decision\.output: no output 'none'"):
        open_model(folder, 1)


def test_a_row_of_nan_is_not_decided(folder: VersionFolder) -> None:
    checked(folder, writes=True)
    with pytest.raises(RowsFailed, match="NaN"):
        loaded(folder).run({"x": np.array([np.nan])}, 1)


def test_without_labels_it_is_said_how_to_get_them(folder: VersionFolder) -> None:
    found = check_decision(folder, open_model(folder, 1).contract, None, None, writes=True)
    assert found is not None
    assert (found.written, found.is_passed) == (None, True)
    assert "`batchbridge record` keeps the column 'diagnosis' of --data" in found.reason


def test_few_rows_are_said(folder: VersionFolder) -> None:
    lines = list(checked(folder).lines())
    assert lines[-1].strip().startswith("NOT SURE: fewer than 100 rows of a class")


@pytest.mark.parametrize(("version", "then"), [("", "1"), ("9", "10"), ("may", "may+1")])
def test_versions_count_on(version: str, then: str) -> None:
    assert next_version(version) == then


def relabelled(data: Path, **words: str) -> Path:
    """The same rows under other labels."""
    rows = ROWS
    for label, other in words.items():
        rows = rows.replace(label, other)
    data.write_text("x,diagnosis\n" + rows, "utf-8")
    return data


def test_labels_in_another_case_are_not_recorded_as_negative(
    folder: VersionFolder, tmp_path: Path
) -> None:
    data = relabelled(tmp_path / "other.csv", ill="Ill")
    with pytest.raises(GoldenError, match=r"column diagnosis: labels 'Ill' \(41\) are not exactly"):
        recorded(folder, data, force=True)


def test_a_label_column_without_the_positive_label_names_what_it_holds(
    folder: VersionFolder, tmp_path: Path
) -> None:
    data = relabelled(tmp_path / "other.csv", ill="1", well="0")
    with pytest.raises(GoldenError, match=r"no label is 'ill'.* '0' \(102\), '1' \(41\)"):
        recorded(folder, data, force=True)


def test_labels_recorded_under_another_contract_fail_the_check(folder: VersionFolder) -> None:
    contract = CONTRACT.replace('positive = "ill"', 'positive = "ILL"')
    (folder.path / "contract.toml").write_text(contract, "utf-8")
    found = checked(folder, writes=True)
    assert (found.is_passed, found.written) == (False, None)
    assert found.reason.startswith("labels 'ill' (41) are not exactly 'ILL'")


def test_the_labels_that_count_as_negative_are_named(folder: VersionFolder) -> None:
    assert "  counted as negative: 'well' (102)" in list(checked(folder).lines())
