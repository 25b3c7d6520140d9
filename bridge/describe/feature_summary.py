"""The values of one feature, page after page: counts, moments, the few values that there are."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from bridge.contract.statistics import (
    NUMBER_CATEGORIES_MAX,
    QUANTILE_LEVELS,
    TEXT_CATEGORIES_MAX,
    CategoryShare,
    FeatureStatistics,
    NumberStatistics,
)

Array = np.ndarray[Any, np.dtype[Any]]

# A value that is one of a few is seen so often on average, or it may be one of very many.
SEEN_MIN = 2
# Of a quantile: FP32 needs no more.
DIGITS = 9


class Moments:
    """Smallest, largest, mean and standard deviation of numbers that come in pieces."""

    def __init__(self) -> None:
        self._count = 0
        self._mean = 0.0
        self._squares = 0.0
        self._lowest = math.inf
        self._highest = -math.inf

    def add(self, values: Array) -> None:
        """Add finite FP64 numbers.

        By Chan, Golub and LeVeque, Updating formulae and a pairwise algorithm for computing sample
        variances, 1979: sums of squares alone would lose the digits of values far from zero.
        """
        count = len(values)
        if not count:
            return
        total = self._count + count
        mean = np.sum(values / count)
        with np.errstate(over="ignore"):  # squares of what is near the largest number
            apart = mean - self._mean if self._count else 0.0
            squares = np.sum((values - mean) ** 2) + apart**2 * (self._count * count / total)
        self._squares += float(squares)
        self._mean = float(self._mean * (self._count / total) + mean * (count / total))
        self._count = total
        self._lowest = min(self._lowest, float(values.min()))
        self._highest = max(self._highest, float(values.max()))

    def statistics(self, sample: Array) -> NumberStatistics | None:
        """Return them with the quantiles of a sample of the numbers; None if there were none."""
        if not self._count:
            return None
        return NumberStatistics(
            lowest=self._lowest,
            highest=self._highest,
            mean=self._mean,
            deviation=min(math.sqrt(self._squares / self._count), sys.float_info.max),
            quantiles=self._quantiles(sample),
        )

    def _quantiles(self, sample: Array) -> tuple[float, ...]:
        # Values that were there, not what lies between two of them: perhaps nothing.
        inner = np.quantile(sample, QUANTILE_LEVELS[1:-1], method="inverted_cdf").tolist()
        levels = (self._lowest, *inner, self._highest)
        return tuple(float(f"{value:.{DIGITS}g}") for value in levels)


class FeatureSummary:
    """One feature; `is_text` says whether its values are texts."""

    def __init__(self, tensor: str, column: str, *, is_text: bool) -> None:
        self._tensor = tensor
        self._column = column
        self._is_text = is_text
        self._moments = Moments()
        self._nulls = 0
        self._values = 0
        self._infinite = 0
        self._few: dict[Any, int] | None = {}

    def add(self, values: Array) -> Array:
        """Add values, NaN where there is a null; return them as numbers, lengths for texts."""
        if self._is_text:
            numbers = np.array([len(text) for text in values.tolist()], dtype=np.float64)
        else:
            numbers = values.astype(np.float64)
        nulls = np.isnan(numbers)
        self._nulls += int(nulls.sum())
        self._values += len(values) - int(nulls.sum())
        known = np.isfinite(numbers)
        self._infinite += int(np.isinf(numbers).sum())
        self._moments.add(numbers[known])
        self._count_few(values[known])
        return numbers

    def add_nulls(self, count: int) -> None:
        """Add nulls of rows that the values do not come with: no tensor can hold them."""
        self._nulls += count

    def statistics(self, sample: Array) -> FeatureStatistics:
        """Return what was seen; `sample`: some of the numbers, NaN among them."""
        numbers = self._moments.statistics(sample[np.isfinite(sample)])
        total = self._values + self._nulls
        return FeatureStatistics(
            tensor=self._tensor,
            column=self._column,
            values=self._values,
            infinite=self._infinite,
            null_share=self._nulls / total if total else 0.0,
            numbers=None if self._is_text else numbers,
            categories=self._categories(),
            # Texts that are no categories may be names and addresses: only their lengths are kept.
            text_chars=numbers if self._is_text else None,
        )

    def _count_few(self, values: Array) -> None:
        if self._few is None:
            return
        found, counts = np.unique(values, return_counts=True)
        for value, count in zip(found.tolist(), counts.tolist(), strict=True):
            self._few[value] = self._few.get(value, 0) + count
            if len(self._few) > self._few_max:
                self._few = None
                return

    @property
    def _few_max(self) -> int:
        return TEXT_CATEGORIES_MAX if self._is_text else NUMBER_CATEGORIES_MAX

    def _categories(self) -> tuple[CategoryShare, ...]:
        if not self._few or self._values < SEEN_MIN * len(self._few):
            return ()
        total = sum(self._few.values())
        return tuple(
            CategoryShare(value=value, share=count / total)
            for value, count in sorted(self._few.items())
        )
