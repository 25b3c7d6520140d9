"""How much of a small difference may be rounding: how far an answer moves when its row hardly does.

A sum of large terms that nearly cancel has few digits left, in whatever order it is added up. The
logits of a linear model on wide features are such sums: 8e-6 was seen (FP32, scikit-learn's
logistic regression on features of some hundreds, 2026-11-24), near what passes for rounding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

# Differences above this are never taken for rounding.
NEAR_MAX = 1e-3
# A difference of so many times what a nudge makes may be rounding.
NUDGES_WORTH = 4.0
NUDGE = 2.0**-22  # four FP32 units in the last place, at most
NUDGES = 6
_SEED = 1


def nudged(row: Mapping[str, Array]) -> Iterator[dict[str, Array]]:
    """Yield a row `NUDGES` times, its floating values up or down by `NUDGE` of themselves.

    At least by a unit in the last place of their own datatype; the same nudges each time.
    """
    generator = np.random.default_rng(_SEED)
    for _ in range(NUDGES):
        yield {name: _nudged(array, generator) for name, array in row.items()}


def _nudged(array: Array, generator: np.random.Generator) -> Array:
    if array.dtype.kind != "f":
        return array.copy()
    relative = max(NUDGE, float(np.finfo(array.dtype).eps))
    signs = generator.choice([-1.0, 1.0], array.shape)
    moved: Array = (array * (1 + relative * signs)).astype(array.dtype)
    return moved
