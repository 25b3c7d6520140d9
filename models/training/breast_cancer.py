"""breast_cancer: gradient boosting on scikit-learn's bundled Wisconsin data."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import GradientBoostingClassifier

from models.training.example import ExampleTensor, write_example
from models.training.golden_rows import write_golden
from models.training.held_out import Split, split_by_class

TREES = 150
SEED = 7
TARGET_OPSET = {"": 17, "ai.onnx.ml": 3}

# The largest value accepted, as a multiple of the largest in the data. A tree answers any
# number, also nonsense such as a length in another unit; this is where it is refused.
RANGE_SLACK = 1.5

CONTRACT_HEAD = """\
# Written by models/training/breast_cancer.py: change it there.
# Ranges: all measurements are lengths, areas and shape indices, so none is below 0. The upper
# bound is {slack} times the largest value in the data, rounded up to two digits.
description = "Malignant or benign, from 30 measurements of cell nuclei (gradient boosting)"

[serving]
latency_target_ms = 100

# What a mistake costs, in false alarms. The threshold that follows is in threshold.toml.
[decision]
output = "probabilities"
column = "malignant"
positive = "malignant"
label_column = "diagnosis"
cost_false_negative = 50
cost_false_positive = 1

[outputs.label]
description = "0 malignant, 1 benign: the more probable, whatever a mistake costs"

[outputs.probabilities]
description = "Probability of each class"
columns = ["malignant", "benign"]

[inputs.features]
description = "Per image: mean, standard error and worst value of ten measurements"
nulls = "refuse"
columns = [
"""


def breast_cancer_split() -> Split:
    """Measurements [rows, 30] FP64 and diagnoses [rows] INT64 (0 malignant, 1 benign)."""
    data = load_breast_cancer()
    return split_by_class(data.data, data.target)


def build_breast_cancer(folder: Path) -> str:
    """Write model, contract, example, golden rows and threshold; the line to report."""
    split = breast_cancer_split()
    # Chosen by cross-validation within the training rows.
    classifier = GradientBoostingClassifier(
        n_estimators=TREES, subsample=0.8, max_features="sqrt", random_state=SEED
    )
    # Trees are grown on FP32, so that the thresholds separate what the served model sees.
    classifier.fit(split.train_rows.astype(np.float32), split.train_targets)
    model = to_onnx(
        classifier,
        initial_types=[("features", FloatTensorType([None, split.train_rows.shape[1]]))],
        options={"zipmap": False},
        target_opset=TARGET_OPSET,
    )
    (folder / "model.onnx").write_bytes(model.SerializeToString(deterministic=True))
    (folder / "contract.toml").write_text(_contract(), encoding="utf-8")
    row = split.held_out_rows[0].tolist()
    write_example(folder, [ExampleTensor("features", "FP32", (1, len(row)), row)])
    rows = split.held_out_rows.astype(np.float32)
    accuracy = classifier.score(rows, split.held_out_targets)
    decided = write_golden(folder, _labelled_rows(split))
    assert decided is not None
    assert decided.written is not None
    return (
        f"accuracy {accuracy:.4f} on {len(rows)} held-out rows, malignant from "
        f"{decided.written.threshold} on"
    )


def _labelled_rows(split: Split) -> list[dict[str, float | str]]:
    data = load_breast_cancer()
    return [
        {
            **dict(zip(map(str, data.feature_names), row, strict=True)),
            "diagnosis": str(data.target_names[target]),
        }
        for row, target in zip(split.held_out_rows.tolist(), split.held_out_targets, strict=True)
    ]


def _contract() -> str:
    data = load_breast_cancer()
    names = [str(name) for name in data.feature_names]
    columns = "".join(f'  "{name}",\n' for name in names)
    ranges = "".join(
        f'\n[inputs.features.column."{name}"]\nrange = [0.0, {bound}]\n'
        for name, bound in zip(names, _upper_bounds(data.data), strict=True)
    )
    return CONTRACT_HEAD.format(slack=RANGE_SLACK) + columns + "]\n" + ranges


def _upper_bounds(rows: npt.NDArray[np.float64]) -> list[float]:
    return [_rounded_up(float(largest) * RANGE_SLACK) for largest in rows.max(axis=0)]


def _rounded_up(value: float) -> float:
    """The next larger number of two significant digits."""
    digits = 1 - math.floor(math.log10(value))
    scale = math.pow(10, digits)
    return round(math.ceil(value * scale) / scale, max(digits, 0))
