"""A version with statistics is tried with rows like its data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bridge.contract.model import ModelContract
from bridge.contract.repository import VersionFolder, scan
from bridge.contract.statistics import STATISTICS_FILE, StatisticsError, encode_statistics
from bridge.describe.summary import Summary
from tests.tiny_models import affine, write_version
from workers.check.likely_probes import likely_rows
from workers.loading import open_model


def version(root: Path) -> tuple[VersionFolder, ModelContract]:
    write_version(root, "m", graph=affine(2, 1))
    folder = scan(root)[0]
    return folder, open_model(folder, threads=1).contract


def test_rows_are_like_those_of_the_statistics(tmp_path: Path) -> None:
    folder, contract = version(tmp_path)
    summary = Summary(contract.inputs)
    summary.add({"x": np.linspace(700, 800, 101)[:, np.newaxis]})
    (folder.path / STATISTICS_FILE).write_bytes(encode_statistics(summary.statistics("a file")))
    (rows,) = likely_rows(folder, contract, 24)
    assert rows["x"].shape == (24, 1)
    assert 700 <= rows["x"].min() < 725
    assert 775 < rows["x"].max() <= 800


def test_a_version_without_statistics_has_none(tmp_path: Path) -> None:
    assert likely_rows(*version(tmp_path), 24) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"{", "truncated"),
        (b'{"source": "a", "rows": 1, "features": []}', "not those of the input x"),
        (b'{"version": 9, "source": "a", "rows": 1, "features": []}', "version 9"),
    ],
)
def test_statistics_that_are_not_the_models_are_refused(
    tmp_path: Path, text: bytes, reason: str
) -> None:
    folder, contract = version(tmp_path)
    (folder.path / STATISTICS_FILE).write_bytes(text)
    with pytest.raises(StatisticsError, match=reason):
        likely_rows(folder, contract, 24)
