"""The report of `batchbridge check --json`."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from tests.tiny_models import affine, write_version
from workers.check.command import CheckOptions, run_check


def check(folder: Path, report: Path) -> int:
    return run_check(
        CheckOptions(model=folder, data="", json=str(report), batch_rows=4, seconds=5.0, threads=1),
        None,
    )


def test_a_report_takes_the_place_of_the_last_one_whole(tmp_path: Path) -> None:
    folder, report = write_version(tmp_path, "m", graph=affine(2, 1)), tmp_path / "report.json"
    report.write_text("the last one", "utf-8")
    reader = tmp_path / "reader.json"
    os.link(report, reader)  # as one who has it open
    assert check(folder, report) == 0
    assert reader.read_text("utf-8") == "the last one"
    assert msgspec.json.decode(report.read_bytes())["passed"]
    assert not list(tmp_path.glob(".*"))


def test_a_report_may_go_where_nothing_can_be_put_in_place(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert check(write_version(tmp_path, "m", graph=affine(2, 1)), pipe) == 0
        assert msgspec.json.decode(os.read(reader, 65_536))["passed"]
    finally:
        os.close(reader)


def test_a_report_that_cannot_be_written_names_the_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(write_version(tmp_path, "m", graph=affine(2, 1)), tmp_path) == 2
    assert "json: " in capsys.readouterr().err
