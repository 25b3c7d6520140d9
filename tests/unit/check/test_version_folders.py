"""Which versions MODEL_DIR stands for."""

from __future__ import annotations

from pathlib import Path

import pytest

from workers.check.command import CheckError, version_folders


def version(root: Path, name: str, number: str) -> Path:
    folder = root / name / number
    folder.mkdir(parents=True)
    (folder / "pipeline.py").touch()
    return folder


def test_a_version_a_model_and_a_repository_are_found(tmp_path: Path) -> None:
    first, _ = version(tmp_path, "m", "1"), version(tmp_path, "n", "2")
    found = [
        [one.key for one in version_folders(path)] for path in (first, tmp_path / "m", tmp_path)
    ]
    assert found == [["m@1"], ["m@1"], ["m@1", "n@2"]]


def test_a_neighbour_that_cannot_be_used_is_not_looked_at(tmp_path: Path) -> None:
    version(tmp_path, "m", "1")
    (tmp_path / "broken" / "1").mkdir(parents=True)
    assert [one.key for one in version_folders(tmp_path / "m")] == ["m@1"]


def test_an_empty_folder_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "broken" / "1").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckError, match="empty holds neither"):
        version_folders(tmp_path / "empty")
