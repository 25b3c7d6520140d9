"""What callers will send that the data lack: the contract says which of it is refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from bridge.contract.statistics import QUANTILE_LEVELS, NumberStatistics
from bridge.synthesize.edge_cases import ends
from bridge.synthesize.features import Feature
from bridge.synthesize.scenario import MISSING, Change, Scenario

UNKNOWN_TEXT = "a category nobody knows"
UNUSED_CATEGORIES_MAX = 16
# Another unit: kilo and milli; pounds for kilograms, and inches for centimetres.
SCALES = {"1000 times as large": 1000.0, "a 1000th": 0.001}
UNITS = {"in pounds": 2.20462, "in inches": 1 / 2.54}
BEYOND_SHARE = 0.01
_MEDIAN = QUANTILE_LEVELS.index(0.5)


def unseen_rows(features: Sequence[Feature]) -> Iterator[Scenario]:
    """Yield ordinary rows with one value that the data have not, feature by feature."""
    for feature in features:
        for name, value in _unseen(feature):
            yield Scenario(f"{feature.name} {name}", (Change(feature, value),))


def _unseen(feature: Feature) -> Iterator[tuple[str, Any]]:
    kind = feature.spec.type.kind
    if kind == "bytes":
        yield from _texts(feature)
    elif kind in ("integer", "floating"):
        yield from (_codes(feature) if feature.rules.categories else _numbers(feature))
    if not feature.known.null_share:
        yield "missing", MISSING


def _texts(feature: Feature) -> Iterator[tuple[str, Any]]:
    yield "unknown", UNKNOWN_TEXT
    known = [str(value) for value in feature.rules.categories or ()]
    known = known or [str(category.value) for category in feature.known.categories]
    yield from _unused(feature)
    if known:
        yield "in other letters", known[0].swapcase()
        yield "with a space", f" {known[0]}"
    if "" not in known:
        yield "empty", ""


def _codes(feature: Feature) -> Iterator[tuple[str, Any]]:
    codes = [int(code) for code in feature.rules.categories or ()]
    info: Any = np.iinfo(feature.spec.type.dtype)
    for name, code in (("a code too far", max(codes) + 1), ("a code too low", min(codes) - 1)):
        if info.min <= code <= info.max:
            yield name, code
    yield from _unused(feature)


def _unused(feature: Feature) -> Iterator[tuple[str, Any]]:
    """Categories that the contract allows and the data lack."""
    seen = {category.value for category in feature.known.categories}
    unused = [value for value in feature.rules.categories or () if seen and value not in seen]
    for value in unused[:UNUSED_CATEGORIES_MAX]:
        yield f"is {value}, which the data lack", value


def _numbers(feature: Feature) -> Iterator[tuple[str, Any]]:
    low, high = ends(feature)
    step = _step(feature, low, high)
    candidates = [("below its range", low - step), ("above its range", high + step)]
    if feature.known.numbers is not None:
        candidates += _within_but_new(feature.known.numbers, low, high)
        candidates += _in_another_unit(feature, feature.known.numbers)
    for name, value in candidates:
        fitted = _fitted(feature, value)
        if fitted is not None and not _is_seen(feature, fitted):
            yield name, fitted


def _within_but_new(
    numbers: NumberStatistics, low: float, high: float
) -> Iterator[tuple[str, float]]:
    yield "below what was seen", low / 2 + numbers.lowest / 2
    yield "above what was seen", high / 2 + numbers.highest / 2


def _in_another_unit(feature: Feature, numbers: NumberStatistics) -> Iterator[tuple[str, float]]:
    ordinary = numbers.quantiles[_MEDIAN]
    yield from ((name, ordinary * factor) for name, factor in SCALES.items())
    if feature.spec.type.kind == "floating":  # a count or a code has none
        yield from ((name, ordinary * factor) for name, factor in UNITS.items())
        yield "in Fahrenheit", ordinary * 1.8 + 32
        yield "with the other sign", -ordinary


def _step(feature: Feature, low: float, high: float) -> float:
    """How far beyond the range, so that the datatype can tell."""
    share = (high / 2 - low / 2) * 2 * BEYOND_SHARE
    if feature.spec.type.kind == "integer":
        return max(1, round(share))
    dtype: np.dtype[Any] = feature.spec.type.dtype
    eps = float(np.finfo(dtype).eps)
    return max(share, 4 * eps * max(abs(low), abs(high), 1.0))


def _is_seen(feature: Feature, value: float) -> bool:
    """Whether it is among the values of the data, so nothing new."""
    numbers = feature.known.numbers
    return numbers is not None and numbers.lowest <= value <= numbers.highest


def _fitted(feature: Feature, value: float) -> Any:
    """The value in the feature's datatype, None where it does not fit."""
    dtype: np.dtype[Any] = feature.spec.type.dtype
    if feature.spec.type.kind == "integer":
        info = np.iinfo(dtype)
        whole = round(value)
        return whole if info.min <= whole <= info.max else None
    return value if abs(value) <= float(np.finfo(dtype).max) else None
