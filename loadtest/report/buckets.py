"""Counts by upper bucket bound, as a server's own metrics give them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from loadtest.report import figures

BUCKETS_MAX = 64


@dataclass(frozen=True, slots=True)
class Buckets:
    """Counts per bucket (not cumulative) by upper bound, ascending, without empty ends.

    `below` is the upper bound of the bucket before the first, 0 where there is none.
    """

    below: float
    bounds: tuple[float, ...]
    counts: tuple[int, ...]

    @classmethod
    def read(cls, counts: dict[str, int]) -> Buckets | None:
        """Return the buckets, or None where there is nothing in them or a bound is not a number."""
        try:
            ascending = sorted((float(bound), count) for bound, count in counts.items())
        except ValueError:
            return None
        used = [index for index, (_, count) in enumerate(ascending) if count > 0]
        if not used or math.isnan(ascending[0][0]) or len(used) > BUCKETS_MAX:
            return None
        below = ascending[used[0] - 1][0] if used[0] else 0.0
        kept = ascending[used[0] : used[-1] + 1]
        return cls(below, tuple(bound for bound, _ in kept), tuple(count for _, count in kept))

    @property
    def total(self) -> int:
        """All counts together."""
        return sum(self.counts)

    def percent(self) -> list[float]:
        """Return each bucket's share of the total, in per cent."""
        return [100 * count / self.total for count in self.counts]

    def row_ranges(self) -> list[str]:
        """Return each bucket as the whole numbers in it."""
        lowers = (self.below, *self.bounds[:-1])
        return [_range(low, high) for low, high in zip(lowers, self.bounds, strict=True)]

    def millisecond_bounds(self) -> list[str]:
        """Return each bucket of seconds as its upper bound in milliseconds."""
        lowers = (self.below, *self.bounds[:-1])
        return [
            f"> {figures.setting(low * 1000)}"
            if math.isinf(high)
            else f"≤ {figures.setting(high * 1000)}"
            for low, high in zip(lowers, self.bounds, strict=True)
        ]

    def in_words(self, labels: list[str], unit: str) -> str:
        """Say which bucket is the fullest."""
        fullest = max(range(len(self.counts)), key=self.counts.__getitem__)
        part = figures.share(self.counts[fullest], self.total)
        total = figures.count(self.total)
        return f"Most are in the bucket {labels[fullest]} {unit}: {part} of {total}."


def _range(low: float, high: float) -> str:
    if math.isinf(high):
        return f"> {low:g}"
    return f"{high:g}" if high - low <= 1 else f"{low + 1:g}–{high:g}"
