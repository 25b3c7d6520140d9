"""Do two answers for one row agree? To the bit, up to rounding, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

# Matrix kernels add up in another order for another number of rows. The sum of a few thousand FP32
# products then differs by some 1e-6 of its size; answers that depend on neighbours by far more.
RELATIVE_MAX = 1e-5
# Of the output's own datatype, where these are coarser than `RELATIVE_MAX`: FP16.
ULPS_MAX = 4


class Agreement(IntEnum):
    """How well two answers agree; a larger value is worse."""

    EXACT = 0
    ROUNDING = 1
    DIFFERENT = 2


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two answers compared: the agreement, the largest relative difference, and where it is.

    `relative` is 0 for equal answers and infinite for ones that no number measures: text, classes,
    NaN against a number. `element` is an index into the row's flattened values.
    """

    agreement: Agreement
    relative: float
    element: int


EQUAL = Comparison(Agreement.EXACT, 0.0, 0)


def compare(alone: Array, together: Array, magnitude: Array) -> Comparison:
    """Compare one row's answers, arrays of one dtype and shape (1, ...).

    Floating values agree up to rounding if |a − b| ≤ r · max(|a|, |b|, magnitude), where r is
    `RELATIVE_MAX`, or `ULPS_MAX` units in the last place if these are more. `magnitude`, from
    `usual_magnitude`, is the usual size of each element: a value that happens to be near zero is a
    difference of larger ones.
    All others agree exactly or not at all. A NaN agrees with a NaN.
    """
    if alone.shape != together.shape:
        return Comparison(Agreement.DIFFERENT, np.inf, 0)
    if alone.size == 0:
        return EQUAL
    if alone.dtype.kind != "f":
        unequal = (alone != together).ravel()
        if not unequal.any():
            return EQUAL
        return Comparison(Agreement.DIFFERENT, np.inf, int(np.argmax(unequal)))
    return _compare_floats(alone.ravel(), together.ravel(), magnitude.ravel())


def _compare_floats(alone: Array, together: Array, magnitude: Array) -> Comparison:
    relative_max = max(RELATIVE_MAX, ULPS_MAX * float(np.finfo(alone.dtype).eps))
    first, second = alone.astype(np.float64), together.astype(np.float64)
    with np.errstate(all="ignore"):
        size = np.maximum(np.maximum(np.abs(first), np.abs(second)), magnitude)
        relative = np.abs(first - second) / size
    relative[(first == second) | (np.isnan(first) & np.isnan(second))] = 0.0
    # Infinity or NaN against a number, or against each other.
    relative[np.isnan(relative)] = np.inf
    element = int(np.argmax(relative))
    worst = float(relative[element])
    if worst == 0.0:
        return EQUAL
    agreement = Agreement.ROUNDING if worst <= relative_max else Agreement.DIFFERENT
    return Comparison(agreement, worst, element)


def usual_magnitude(rows: Sequence[Array]) -> Array:
    """Return the median size of each element over some rows' answers, FP64 of a row's shape.

    Not per output: its columns may be kilograms and shares. What is not finite counts as zero. Rows
    of different shapes, and values that are no floats, have no usual size: one zero.
    """
    if rows[0].dtype.kind != "f" or any(row.shape != rows[0].shape for row in rows):
        return np.zeros(1)
    sizes = np.abs(np.stack(rows).astype(np.float64))
    median: Array = np.median(np.where(np.isfinite(sizes), sizes, 0.0), axis=0)
    return median
