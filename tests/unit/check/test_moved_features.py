"""Rows that are like those a model knows, and rows that are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bridge.check.moved_features import MovedFeatures, moved_features
from bridge.contract.model import ModelContract, TensorSpec
from bridge.contract.repository import VersionFolder
from bridge.contract.statistics import STATISTICS_FILE, encode_statistics
from bridge.describe.reference_data import summed_up

INPUTS = (
    TensorSpec(name="rain", datatype="FP64", shape=(-1,)),
    TensorSpec(name="crop", datatype="BYTES", shape=(-1,)),
)
CONTRACT = ModelContract(name="m", version="1", platform="python", inputs=INPUTS, outputs=INPUTS)
ROWS = 2000


def write_rows(
    path: Path, seed: int, *, shift: float = 0.0, maize: float = 0.5, nulls: float = 0.0
) -> Path:
    generator = np.random.default_rng(seed)
    rain = generator.normal(10 + shift, 2, ROWS)
    crops = np.where(generator.random(ROWS) < maize, "maize", "wheat")
    missing = generator.random(ROWS) < nulls
    lines = [
        f'{{"rain": {"null" if gone else f"{value:.6f}"}, "crop": "{crop}"}}\n'
        for value, crop, gone in zip(rain, crops, missing, strict=True)
    ]
    path.write_text("".join(lines))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> VersionFolder:
    reference = write_rows(tmp_path / "reference.ndjson", seed=1)
    statistics = summed_up(reference, INPUTS)
    (tmp_path / STATISTICS_FILE).write_bytes(encode_statistics(statistics))
    return VersionFolder("m", "1", tmp_path)


def compared(folder: VersionFolder, data: Path) -> MovedFeatures:
    found = moved_features(folder, CONTRACT, data)
    assert found is not None
    return found


def test_other_rows_of_the_same_kind_have_not_moved(folder: VersionFolder, tmp_path: Path) -> None:
    found = compared(folder, write_rows(tmp_path / "now.ndjson", seed=2))
    assert (found.features, found.moved) == (2, ())


@pytest.mark.parametrize(
    ("change", "feature", "share"),
    [
        # A standard deviation apart, 0.383 is the distance of two normal distributions.
        ({"shift": 2.0}, "rain", 0.383),
        ({"nulls": 0.3}, "rain", 0.3),
        ({"maize": 0.9}, "crop", 0.4),
    ],
)
def test_what_has_moved_is_named_with_its_share(
    folder: VersionFolder, tmp_path: Path, change: dict[str, float], feature: str, share: float
) -> None:
    found = compared(folder, write_rows(tmp_path / "now.ndjson", seed=2, **change))
    assert [one.name for one in found.moved] == [feature]
    assert found.moved[0].share == pytest.approx(share, abs=0.05)


def test_a_feature_of_few_values_is_compared_by_their_shares(tmp_path: Path) -> None:
    spec = (TensorSpec(name="days", datatype="INT64", shape=(-1,)),)
    contract = ModelContract(name="m", version="1", platform="python", inputs=spec, outputs=spec)
    (tmp_path / "rows.csv").write_text("days\n" + "1\n2\n2\n3\n" * 500)
    statistics = summed_up(tmp_path / "rows.csv", spec)
    (tmp_path / STATISTICS_FILE).write_bytes(encode_statistics(statistics))
    folder = VersionFolder("m", "1", tmp_path)
    found = moved_features(folder, contract, tmp_path / "rows.csv")
    assert found is not None
    assert found.moved == ()


def test_without_statistics_nothing_is_compared(tmp_path: Path) -> None:
    data = write_rows(tmp_path / "now.ndjson", seed=2)
    assert moved_features(VersionFolder("m", "1", tmp_path), CONTRACT, data) is None
