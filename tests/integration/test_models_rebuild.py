"""The build script, run as a person runs it: it gives the models that are committed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bridge.contract.repository import model_digest, versions_of
from models.training.breast_cancer import breast_cancer_split
from models.training.digits import FIXED_BATCH_ROWS, digits_split
from models.training.synthetic_fields import held_out_fields
from models.training.synthetic_seasons import held_out_seasons
from tests.sample_models import MODELS, ROOT, Tensors, predict

REBUILD_S_MAX = 60

PREDICTION_TOLERANCE = 1e-6
DEPLETION_TOLERANCE_MM = 0.001
YIELD_TOLERANCE_KG_HA = 0.01  # an FP32 yield of 10 t/ha has steps of 0.001 kg


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    command = [sys.executable, "models/build.py", "--into", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=REBUILD_S_MAX)
    return folder


def images(rows: int | None) -> Tensors:
    return {"pixels": digits_split().held_out_rows[:rows].astype(np.float32)}


def assert_same_answers(model: str, inputs: Tensors, rebuilt: Path, tolerance: float) -> None:
    expected = predict(model, inputs)
    actual = predict(model, inputs, rebuilt)
    for name, values in expected.items():
        np.testing.assert_allclose(actual[name], values, rtol=0, atol=tolerance, err_msg=name)


def test_breast_cancer_is_built_again_with_the_same_predictions(rebuilt: Path) -> None:
    inputs = {"features": breast_cancer_split().held_out_rows.astype(np.float32)}

    assert_same_answers("breast_cancer", inputs, rebuilt, PREDICTION_TOLERANCE)


def test_digits_is_built_again_with_the_same_predictions(rebuilt: Path) -> None:
    assert_same_answers("digits", images(None), rebuilt, PREDICTION_TOLERANCE)


def test_fixed_batch_is_built_again_with_the_same_predictions(rebuilt: Path) -> None:
    assert_same_answers("fixed_batch", images(FIXED_BATCH_ROWS), rebuilt, PREDICTION_TOLERANCE)


def test_crop_yield_is_built_again_with_the_same_predictions(rebuilt: Path) -> None:
    columns = held_out_fields().columns

    assert_same_answers("crop_yield", columns, rebuilt, YIELD_TOLERANCE_KG_HA)


def test_soil_water_is_built_again_with_the_same_predictions(rebuilt: Path) -> None:
    weather = held_out_seasons().weather.astype(np.float32)
    inputs = {"weather": weather, "days": np.full(len(weather), weather.shape[1], np.int32)}

    assert_same_answers("soil_water", inputs, rebuilt, DEPLETION_TOLERANCE_MM)


@pytest.mark.parametrize(
    "path",
    sorted(
        path.relative_to(MODELS).as_posix()
        for path in MODELS.glob("*/1/*")
        if path.suffix in {".json", ".toml", ".py"}
    ),
)
def test_a_text_file_is_written_again_as_it_is_committed(rebuilt: Path, path: str) -> None:
    assert of_its_model(rebuilt, path) == of_its_model(MODELS, path)


def of_its_model(root: Path, path: str) -> str:
    """The text but for the sum of its model: another processor rounds the weights otherwise."""
    text = (root / path).read_text("utf-8")
    model = path.partition("/")[0]
    return text.replace(model_digest(versions_of(root / model)[0]), "the sum of its model")
