"""The model repository on disk: what counts as a version, and which links are refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bridge.contract.repository import RepositoryError, VersionFolder, digest, scan


def add(root: Path, model: str, version: str, name: str = "model.onnx", data: bytes = b"x") -> Path:
    folder = root / model / version
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)
    return folder


def keys(root: Path) -> list[str]:
    return [folder.key for folder in scan(root)]


def test_versions_are_ordered_by_number_and_models_by_name(tmp_path: Path) -> None:
    for version in ("10", "9", "100", "1"):
        add(tmp_path, "b", version)
    add(tmp_path, "a", "2")
    assert keys(tmp_path) == ["a@2", "b@1", "b@9", "b@10", "b@100"]


def test_a_pipeline_alone_is_a_version(tmp_path: Path) -> None:
    add(tmp_path, "m", "1", "pipeline.py")
    assert keys(tmp_path) == ["m@1"]


def test_version_zero_is_a_version(tmp_path: Path) -> None:
    add(tmp_path, "m", "0")
    assert keys(tmp_path) == ["m@0"]


@pytest.mark.parametrize("name", ["01", "v1", "1.0", "-1", "1234567890", "training", "１"])
def test_a_folder_that_is_no_number_is_no_version(tmp_path: Path, name: str) -> None:
    add(tmp_path, "m", name)
    assert keys(tmp_path) == []


def test_files_and_folders_that_are_no_models_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("models")
    (tmp_path / "training").mkdir()
    (tmp_path / "__pycache__").mkdir()
    add(tmp_path, "m", "1")
    (tmp_path / "m" / "2").write_text("a file with a number for its name")
    assert keys(tmp_path) == ["m@1"]


@pytest.mark.parametrize("name", ["a b", "_hidden", ".git", "a@b", "a{b}", "é", "a" * 129, "a:b"])
def test_a_model_whose_name_cannot_travel_is_named(tmp_path: Path, name: str) -> None:
    add(tmp_path, name, "1")
    with pytest.raises(RepositoryError, match="a model's name must match") as refused:
        scan(tmp_path)
    assert name in str(refused.value)


@pytest.mark.parametrize("name", ["a", "A.b-c_d", "0", "a" * 128])
def test_a_plain_name_is_a_model(tmp_path: Path, name: str) -> None:
    add(tmp_path, name, "1")
    assert keys(tmp_path) == [f"{name}@1"]


def test_a_version_without_model_and_pipeline_is_named(tmp_path: Path) -> None:
    folder = add(tmp_path, "m", "1", "contract.toml")
    with pytest.raises(RepositoryError, match="holds neither") as bad:
        scan(tmp_path)
    assert str(folder) in str(bad.value)


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_a_root_that_is_no_folder_is_named(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "models"
    if kind == "file":
        root.write_text("")
    with pytest.raises(RepositoryError, match="not a folder"):
        scan(root)


def test_a_file_that_is_missing_reads_as_none(tmp_path: Path) -> None:
    add(tmp_path, "m", "1")
    assert scan(tmp_path)[0].read("contract.toml") is None


def test_a_file_reads_as_its_bytes(tmp_path: Path) -> None:
    add(tmp_path, "m", "1", data=b"the model")
    assert scan(tmp_path)[0].read("model.onnx") == b"the model"


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    folder = add(tmp_path, "m", "1", "pipeline.py")
    (folder / "model.onnx").symlink_to(folder / "pipeline.py")
    with pytest.raises(RepositoryError, match=r"model\.onnx"):
        scan(tmp_path)[0].read("model.onnx")


def test_a_symbolic_link_to_nothing_is_refused(tmp_path: Path) -> None:
    folder = add(tmp_path, "m", "1", "pipeline.py")
    (folder / "model.onnx").symlink_to(tmp_path / "nowhere")
    with pytest.raises(RepositoryError, match=r"model\.onnx"):
        scan(tmp_path)[0].read("model.onnx")


def test_a_hard_link_is_refused(tmp_path: Path) -> None:
    outside = tmp_path / "secret"
    outside.write_text("secret")
    folder = add(tmp_path / "models", "m", "1", "pipeline.py")
    os.link(outside, folder / "model.onnx")
    with pytest.raises(RepositoryError, match="a regular file with a single link"):
        scan(tmp_path / "models")[0].read("model.onnx")


def test_a_folder_in_a_files_place_is_refused(tmp_path: Path) -> None:
    folder = add(tmp_path, "m", "1", "pipeline.py")
    (folder / "model.onnx").mkdir()
    with pytest.raises(RepositoryError, match="must be a regular file"):
        scan(tmp_path)[0].read("model.onnx")


def test_a_pipe_in_a_files_place_is_refused_without_waiting_for_its_writer(tmp_path: Path) -> None:
    folder = add(tmp_path, "m", "1", "pipeline.py")
    os.mkfifo(folder / "model.onnx")
    with pytest.raises(RepositoryError, match="must be a regular file"):
        scan(tmp_path)[0].read("model.onnx")


@pytest.mark.parametrize("place", ["m", "m/1"])
def test_a_model_or_version_behind_a_symbolic_link_is_refused(tmp_path: Path, place: str) -> None:
    add(tmp_path / "elsewhere", "m", "1")
    link = tmp_path / "models" / place
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "elsewhere" / place)
    with pytest.raises(RepositoryError, match="not a symbolic link") as refused:
        scan(tmp_path / "models")
    assert str(link) in str(refused.value)


def test_the_root_itself_may_be_a_link_the_operator_named_it(tmp_path: Path) -> None:
    add(tmp_path / "models", "m", "1")
    (tmp_path / "current").symlink_to(tmp_path / "models")
    assert keys(tmp_path / "current") == ["m@1"]


@pytest.mark.parametrize("name", ["model.onnx", "pipeline.py", "contract.toml"])
def test_the_digest_changes_with_every_file_that_decides_answers(tmp_path: Path, name: str) -> None:
    for file in ("model.onnx", "pipeline.py", "contract.toml"):
        folder = add(tmp_path, "m", "1", file)
    version = VersionFolder("m", "1", folder)
    before = digest(version)
    (folder / name).write_bytes(b"y")
    assert digest(version) != before


def test_the_digest_tells_in_which_file_the_bytes_are(tmp_path: Path) -> None:
    first = VersionFolder("a", "1", add(tmp_path, "a", "1", "model.onnx", b"same"))
    second = VersionFolder("b", "1", add(tmp_path, "b", "1", "pipeline.py", b"same"))
    assert digest(first) != digest(second)


def test_the_digest_does_not_depend_on_other_files_or_the_place(tmp_path: Path) -> None:
    first = VersionFolder("a", "1", add(tmp_path, "a", "1"))
    add(tmp_path, "b", "2", "example.json")
    second = VersionFolder("b", "2", add(tmp_path, "b", "2"))
    assert digest(first) == digest(second)
