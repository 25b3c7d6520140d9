"""Rows at the edges of what the contract allows: one value at a time, and all of them together."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from bridge.synthesize.features import Feature
from bridge.synthesize.scenario import MISSING, Change, Scenario

CORNERS = 16
CATEGORIES_TRIED_MAX = 16
LONG_TEXT_CHARS = 256


def edge_cases(features: Sequence[Feature], generator: np.random.Generator) -> Iterator[Scenario]:
    """Yield rows that the contract allows.

    First combinations: every feature at its lowest, its highest, at zero, null where it may be; low
    and high in turn; `CORNERS` times low or high by chance. Then each feature alone at each of its
    edges.
    """
    yield _all("everything at its lowest", features, lambda _: 0)
    yield _all("everything at its highest", features, lambda _: -1)
    zeros = [feature for feature in features if _may_be_zero(feature)]
    yield Scenario("everything at zero", tuple(Change(feature, 0) for feature in zeros))
    nulls = [feature for feature in features if _may_be_null(feature)]
    if nulls:
        everything = tuple(Change(feature, MISSING) for feature in nulls)
        yield Scenario("everything null that may be", everything)
    yield _all("lowest and highest in turn", features, lambda place: -(place % 2))
    yield _all("highest and lowest in turn", features, lambda place: place % 2 - 1)
    for corner in range(CORNERS):
        ends = generator.integers(-1, 1, len(features)).tolist()
        yield _all(f"corner {corner}", features, ends.__getitem__)
    for feature in features:
        for name, value in edges(feature):
            yield Scenario(f"{feature.name} {name}", (Change(feature, value),))


def edges(feature: Feature) -> list[tuple[str, Any]]:
    """Return the values at the edges, with what they are; the lowest and the highest come first.

    The ends of the contract's range, or of what was seen where the contract leaves it open.
    """
    kind, rules = feature.spec.type.kind, feature.rules
    found: list[tuple[str, Any]]
    if rules.categories:
        found = [(f"is {value}", value) for value in rules.categories[:CATEGORIES_TRIED_MAX]]
    elif kind == "bool":
        found = [("is false", False), ("is true", True)]
    elif kind == "bytes":
        longest = feature.known.text_chars
        chars = LONG_TEXT_CHARS if longest is None else max(1, int(longest.highest))
        found = [("is empty", ""), ("is long", "x" * chars)]
    else:
        found = _numbers(feature)
    if _may_be_null(feature):
        found.append(("null", MISSING))
    return found


def _may_be_null(feature: Feature) -> bool:
    return feature.spec.type.kind == "floating" and feature.rules.nulls == "allow"


def _may_be_zero(feature: Feature) -> bool:
    if feature.spec.type.kind not in ("integer", "floating"):
        return False
    if feature.rules.categories:
        return 0 in feature.rules.categories
    low, high = ends(feature)
    return bool(low <= 0 <= high)


def _numbers(feature: Feature) -> list[tuple[str, Any]]:
    low, high = ends(feature)
    found: list[tuple[str, Any]] = [("at its lowest", low), ("at its highest", high)]
    if low < 0 < high:
        found.append(("at zero", type(low)(0)))
    return found


def ends(feature: Feature) -> tuple[Any, Any]:
    """Return the lowest and the highest value of a feature of numbers, in its datatype."""
    low, high = feature.rules.range or (-math.inf, math.inf)
    numbers = feature.known.numbers
    if not math.isfinite(low):
        low = min(high, 0.0 if numbers is None else numbers.lowest)
    if not math.isfinite(high):
        high = max(low, 0.0 if numbers is None else numbers.highest)
    dtype: np.dtype[Any] = feature.spec.type.dtype
    if feature.spec.type.kind == "integer":
        info = np.iinfo(dtype)
        return max(math.ceil(low), int(info.min)), min(math.floor(high), int(info.max))
    largest = float(np.finfo(dtype).max)
    return max(low, -largest), min(high, largest)


def _all(name: str, features: Sequence[Feature], which: Callable[[int], int]) -> Scenario:
    """Each feature at its first edge or its last; nulls are no ends."""
    changes = []
    for place, feature in enumerate(features):
        values = [value for _, value in edges(feature) if value is not MISSING]
        lowest_and_highest = (values[0], values[min(1, len(values) - 1)])
        if feature.rules.categories:
            lowest_and_highest = (values[0], values[-1])
        changes.append(Change(feature, lowest_and_highest[which(place)]))
    return Scenario(name, tuple(changes))
