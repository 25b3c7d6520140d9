"""One split of every data set: what a model is trained on, and what it is judged by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
from sklearn.model_selection import train_test_split

HELD_OUT_SHARE = 0.25
SPLIT_SEED = 20


@dataclass(frozen=True, slots=True)
class Split:
    """Rows and targets by use; the first axis of each array is rows."""

    train_rows: npt.NDArray[Any]
    train_targets: npt.NDArray[Any]
    held_out_rows: npt.NDArray[Any]
    held_out_targets: npt.NDArray[Any]


def split_by_class(rows: npt.NDArray[Any], classes: npt.NDArray[Any]) -> Split:
    """Hold out a quarter of the rows, with the same share of each class; always the same rows."""
    train_rows, held_out_rows, train_classes, held_out_classes = train_test_split(
        rows, classes, test_size=HELD_OUT_SHARE, random_state=SPLIT_SEED, stratify=classes
    )
    return Split(train_rows, train_classes, held_out_rows, held_out_classes)
