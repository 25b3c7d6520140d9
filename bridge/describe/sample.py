"""A sample of the rows that come, each as likely as any other."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

SEED = 20261124


class Sample:
    """At most `rows_max` rows, by Vitter's algorithm R (Random sampling with a reservoir, 1985)."""

    def __init__(self, rows_max: int, width: int) -> None:
        self._kept = np.empty((0, width))
        self._rows_max = max(1, rows_max)
        self._seen = 0
        self._generator = np.random.default_rng(SEED)

    @property
    def rows(self) -> Array:
        """The rows kept, (rows, width) FP64."""
        return self._kept

    def add(self, rows: Array) -> None:
        """Offer rows of (rows, width)."""
        free = self._rows_max - len(self._kept)
        if free > 0:
            self._kept = np.concatenate([self._kept, rows[:free]])
            self._seen += len(rows[:free])
            rows = rows[free:]
        if not len(rows):
            return
        numbers = np.arange(self._seen + 1, self._seen + len(rows) + 1)
        places = (self._generator.random(len(rows)) * numbers).astype(np.int64)
        chosen = places < self._rows_max
        # Where two take one place the later one stays, as if they had come one by one.
        self._kept[places[chosen]] = rows[chosen]
        self._seen += len(rows)
