"""The folder of a runner: its own, and gone when its process is."""

from __future__ import annotations

from pathlib import Path

from bridge.jobs.spool import LOCK_NAME, PREFIX, spool_folder


def test_the_folder_is_private_and_gone_after_the_block(tmp_path: Path) -> None:
    with spool_folder(tmp_path / "new") as folder:
        (folder / "input.csv").write_text("x")
        mode = folder.stat().st_mode & 0o777
    assert (mode, list((tmp_path / "new").iterdir())) == (0o700, [])


def test_what_a_killed_runner_has_left_is_removed(tmp_path: Path) -> None:
    left = tmp_path / f"{PREFIX}left"
    left.mkdir()
    (left / LOCK_NAME).touch()
    (left / "input.csv").write_text("x")
    with spool_folder(tmp_path) as folder:
        found = list(tmp_path.iterdir())
    assert found == [folder]


def test_the_folder_of_a_runner_that_lives_stays(tmp_path: Path) -> None:
    with spool_folder(tmp_path) as one, spool_folder(tmp_path) as other:
        found = set(tmp_path.iterdir())
    assert found == {one, other}


def test_a_folder_of_another_kind_stays(tmp_path: Path) -> None:
    other = tmp_path / f"{PREFIX}something-else"
    other.mkdir()
    with spool_folder(tmp_path) as folder:
        found = set(tmp_path.iterdir())
    assert found == {folder, other}
