"""The seconds of a run, thinned to as many points as a plot can show."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import numpy as np

from loadtest.result import Second

Floats = np.ndarray[Any, np.dtype[np.float64]]
POINTS_MAX = 400


@dataclass(frozen=True, slots=True)
class TimeUnit:
    """What the time axis counts in."""

    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Timeline:
    """Arrays of shape (n,), NaN where nothing was answered; `edges_s` has shape (n + 1,).

    Each point covers `seconds_per_point`: counts are means per second, p50 the middle one of the
    seconds, p99 and max the worst.
    """

    seconds_per_point: int
    edges_s: Floats
    per_s: dict[str, Floats]
    p50_ms: Floats
    p99_ms: Floats
    max_ms: Floats

    @classmethod
    def of(cls, series: Sequence[Second], points_max: int = POINTS_MAX) -> Timeline:
        """Return the timeline of a series in order of time."""
        size = max(1, math.ceil(len(series) / points_max))
        groups = [series[start : start + size] for start in range(0, len(series), size)]
        starts = [group[0].at_s for group in groups]
        names = ("offered", "in_time", "late", "refused", "failed")
        return cls(
            size,
            np.array([*starts, series[-1].at_s + 1.0] if starts else []),
            {name: _floats(groups, partial(_mean, name)) for name in names},
            _floats(groups, lambda group: _over(median, [s.p50_ms for s in group])),
            _floats(groups, lambda group: _over(max, [s.p99_ms for s in group])),
            _floats(groups, lambda group: _over(max, [s.max_ms for s in group])),
        )

    @property
    def unit(self) -> TimeUnit:
        """Seconds, minutes or hours, so that the axis has short numbers."""
        length_s = float(self.edges_s[-1]) if len(self.edges_s) else 0.0
        if length_s <= 600:
            return TimeUnit("s", 1.0)
        return TimeUnit("min", 60.0) if length_s <= 36_000 else TimeUnit("h", 3600.0)

    @property
    def edges(self) -> Floats:
        """The points' borders, in `unit`."""
        edges: Floats = self.edges_s / self.unit.seconds
        return edges

    @property
    def middles(self) -> Floats:
        """The points' middles, in `unit`."""
        middles: Floats = (self.edges[:-1] + self.edges[1:]) / 2
        return middles


def _floats(groups: list[Sequence[Second]], value: Callable[[Sequence[Second]], float]) -> Floats:
    return np.array([value(group) for group in groups], dtype=np.float64)


def _mean(name: str, group: Sequence[Second]) -> float:
    return float(sum(getattr(second, name) for second in group) / len(group))


def _over(reduce: Callable[[list[float]], float], values: list[float | None]) -> float:
    known = [value for value in values if value is not None]
    return reduce(known) if known else math.nan
