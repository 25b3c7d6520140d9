"""Do the rows at hand look like those that the model knows? Feature by feature, by statistics."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bridge.contract.invalid import shown
from bridge.contract.model import ModelContract
from bridge.contract.repository import VersionFolder
from bridge.contract.statistics import (
    QUANTILE_LEVELS,
    STATISTICS_FILE,
    FeatureStatistics,
    NumberStatistics,
    StatisticsError,
    parse_statistics,
)
from bridge.describe.reference_data import summed_up
from workers.check.command import CheckError

# Of the rows, at least: a smaller shift moves few answers.
SHARE_MIN = 0.1
# Kolmogorov and Smirnov: what two samples of one distribution exceed once in a thousand times, as
# a multiple of the square root of 1/n + 1/m.
NOISE = 1.95
SHOWN_MAX = 20


@dataclass(frozen=True, slots=True)
class MovedFeature:
    """A feature whose values or nulls are distributed in another way than they were.

    `share` of the rows, 0 to 1, would have to change for both to be alike.
    """

    name: str
    share: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MovedFeatures:
    """The features that have moved, worst first; they are told, and fail nothing."""

    model: str
    source: str
    reference: str
    features: int
    moved: tuple[MovedFeature, ...]

    @property
    def name(self) -> str:
        """Its key in the report."""
        return "features"

    @property
    def is_passed(self) -> bool:
        """True: rows may differ for good reasons, and the model answers each all the same."""
        return True

    def lines(self) -> Iterator[str]:
        """Yield the page for a person, line by line."""
        rows = f"{self.source} against {self.reference}, {self.features} features"
        if not self.moved:
            yield f"{self.model}: passed: {rows}: all are distributed alike."
            return
        yield f"{self.model}: passed: {rows}: {len(self.moved)} MOVED."
        for feature in self.moved[:SHOWN_MAX]:
            yield f"  {shown(feature.name)}: {feature.text}"
        if len(self.moved) > SHOWN_MAX:
            yield f"  and {len(self.moved) - SHOWN_MAX} more, see --json"

    def document(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "passed": True,
            "source": self.source,
            "reference": self.reference,
            "features": self.features,
            "moved": [
                {"feature": one.name, "share": one.share, "text": one.text} for one in self.moved
            ],
        }


def moved_features(
    folder: VersionFolder, contract: ModelContract, data: Path
) -> MovedFeatures | None:
    """Compare all rows of a file with the version's statistics; None if it has none.

    Raises:
        CheckError: the statistics cannot be used.
        BadInput: the file cannot be read.
    """
    content = folder.read(STATISTICS_FILE)
    if content is None:
        return None
    try:
        reference = parse_statistics(content)
    except StatisticsError as error:
        raise CheckError(f"{folder.path / STATISTICS_FILE}: {error}") from error
    found = summed_up(data, contract.inputs)
    known = {feature.full_name: feature for feature in reference.features}
    pairs = [
        (known[feature.full_name], feature)
        for feature in found.features
        if feature.full_name in known
    ]
    moved = [one for before, now in pairs for one in _moved(before, now)]
    return MovedFeatures(
        model=contract.key,
        source=data.name,
        reference=f"{STATISTICS_FILE} of {reference.source}",
        features=len(pairs),
        moved=tuple(sorted(moved, key=lambda one: -one.share)),
    )


def _moved(before: FeatureStatistics, now: FeatureStatistics) -> Iterator[MovedFeature]:
    nulls = abs(now.null_share - before.null_share)
    if nulls > _least(_rows(before), _rows(now)):
        text = f"{now.null_share:.1%} missing, {before.null_share:.1%} before"
        yield MovedFeature(now.name, nulls, text)
    if not before.values or not now.values:
        return
    least = _least(before.values, now.values)
    if before.categories and now.categories:
        yield from _moved_categories(before, now, least)
        return
    for what, first, second in (
        ("", before.numbers, now.numbers),
        ("length ", before.text_chars, now.text_chars),
    ):
        if first is not None and second is not None:
            share = quantile_distance(first, second)
            if share > least:
                yield MovedFeature(now.name, share, _said(what, first, second, share))


def _moved_categories(
    before: FeatureStatistics, now: FeatureStatistics, least: float
) -> Iterator[MovedFeature]:
    """Half the sum of the differences of all shares: total variation."""
    first = {one.value: one.share for one in before.categories}
    second = {one.value: one.share for one in now.categories}
    gaps = {value: second.get(value, 0.0) - first.get(value, 0.0) for value in {**first, **second}}
    share = sum(map(abs, gaps.values())) / 2
    if share <= least:
        return
    value = max(gaps, key=lambda one: abs(gaps[one]))
    text = (
        f"{share:.0%} of the rows are of other categories: {shown(value)} is "
        f"{second.get(value, 0.0):.1%}, {first.get(value, 0.0):.1%} before"
    )
    yield MovedFeature(now.name, share, text)


def quantile_distance(first: NumberStatistics, second: NumberStatistics) -> float:
    """Return Kolmogorov and Smirnov's distance, 0 to 1, as far as the quantiles show it.

    Where many values are equal, several levels share a quantile: the distance there is that of the
    levels' ranges, which is 0 if they overlap.
    """
    points = np.unique(np.array([*first.quantiles, *second.quantiles]))
    low, high = _levels(first, points)
    other_low, other_high = _levels(second, points)
    gap = np.maximum(low - other_high, other_low - high)
    return float(max(0.0, gap.max()))


def _levels(
    numbers: NumberStatistics, points: np.ndarray[Any, np.dtype[Any]]
) -> tuple[np.ndarray[Any, np.dtype[Any]], np.ndarray[Any, np.dtype[Any]]]:
    """The share of values below each point, and at or below it: between two quantiles by line."""
    quantiles, levels = np.array(numbers.quantiles), np.array(QUANTILE_LEVELS)
    values, firsts = np.unique(quantiles, return_index=True)
    lasts = np.append(firsts[1:], len(quantiles)) - 1
    low = np.interp(points, values, levels[firsts], left=0.0, right=1.0)
    high = np.interp(points, values, levels[lasts], left=0.0, right=1.0)
    # Between two values that many rows share nothing lies: the line goes from the end of the one
    # to the begin of the other.
    between = ~np.isin(points, values)
    place = np.searchsorted(values, points[between])
    inside = (place > 0) & (place < len(values))
    left, right = np.clip(place - 1, 0, len(values) - 1), np.clip(place, 0, len(values) - 1)
    span = np.where(values[right] > values[left], values[right] - values[left], 1.0)
    along = (points[between] - values[left]) / span
    level = levels[lasts[left]] + along * (levels[firsts[right]] - levels[lasts[left]])
    low[between] = np.where(inside, level, low[between])
    high[between] = np.where(inside, level, high[between])
    return low, high


def _said(what: str, first: NumberStatistics, second: NumberStatistics, share: float) -> str:
    middle = QUANTILE_LEVELS.index(0.5)
    return (
        f"{share:.0%} of the rows: {what}median {second.quantiles[middle]:.4g}, "
        f"{first.quantiles[middle]:.4g} before; {second.lowest:.4g} to {second.highest:.4g}, "
        f"{first.lowest:.4g} to {first.highest:.4g} before"
    )


def _rows(feature: FeatureStatistics) -> int:
    """Values and nulls together."""
    return round(feature.values / max(1e-9, 1 - feature.null_share))


def _least(first: int, second: int) -> float:
    if not first or not second:
        return 1.0
    return max(SHARE_MIN, NOISE * math.sqrt(1 / first + 1 / second))
