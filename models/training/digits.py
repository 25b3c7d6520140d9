"""digits and fixed_batch: a small network on scikit-learn's bundled 8x8 images of digits."""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path

import onnx
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from models.training.dense_network import Batch, image_classifier, layers_of
from models.training.example import ExampleTensor, write_example
from models.training.held_out import Split, split_by_class

PIXEL_MAX = 16.0
HIDDEN_UNITS = (64, 32)
EPOCHS = 60
SEED = 7
FIXED_BATCH_ROWS = 32


def digits_split() -> Split:
    """Images [rows, 8, 8] FP64 in 0..16 and the digits that they show [rows] INT64."""
    images = load_digits()
    return split_by_class(images.images, images.target)


def build_digits(folder: Path) -> str:
    """Write model.onnx (free batch dimension) and example.json; the line to report."""
    return _write(folder, "rows")


def build_fixed_batch(folder: Path) -> str:
    """Write the same network with a batch dimension of 32, and its example.json."""
    return _write(folder, FIXED_BATCH_ROWS)


def _write(folder: Path, batch: Batch) -> str:
    network = _train()
    model = image_classifier(layers_of(network), batch, PIXEL_MAX)
    onnx.save(model, str(folder / "model.onnx"))
    split = digits_split()
    pixels = split.held_out_rows[0].ravel().tolist()
    write_example(folder, [ExampleTensor("pixels", "FP32", (1, 8, 8), pixels)])
    rows = split.held_out_rows.reshape(-1, 64) / PIXEL_MAX
    accuracy = network.score(rows, split.held_out_targets)
    return f"accuracy {accuracy:.4f} on {len(rows)} held-out images"


@cache
def _train() -> MLPClassifier:
    split = digits_split()
    network = MLPClassifier(
        hidden_layer_sizes=HIDDEN_UNITS,
        alpha=1e-3,
        max_iter=EPOCHS,
        n_iter_no_change=EPOCHS,
        random_state=SEED,
    )
    with warnings.catch_warnings():
        # A fixed number of epochs is meant: a stopping rule could stop one epoch apart
        # on two machines.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return network.fit(split.train_rows.reshape(-1, 64) / PIXEL_MAX, split.train_targets)
