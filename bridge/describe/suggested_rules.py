"""What the reference data suggest that a value may be: a proposal for a person, not a truth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bridge.contract.model import Category, Nulls, TensorSpec
from bridge.contract.statistics import FeatureStatistics, NumberStatistics

# Of the spread that was seen, beyond both ends: new data go a little beyond the old.
MARGIN_SHARE = 0.5
# Below it floats have no digits left to round.
DIGITS_MAX = 300
# Fewer distinct whole numbers, each seen so often on average, are codes and no quantities.
CODES_MAX = 16
CODE_SEEN_MIN = 10
# A text that is one of a few.
TEXT_SEEN_MIN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class SuggestedRules:
    """Rules for a column or a tensor, and what they rest on; None and "unset": nothing said."""

    range: tuple[float, float] | tuple[int, int] | None = None
    categories: tuple[Category, ...] | None = None
    nulls: Nulls = "unset"
    seen: tuple[str, ...] = ()


def suggested(spec: TensorSpec, features: Sequence[FeatureStatistics]) -> SuggestedRules:
    """Return rules for the values of one tensor that fall under `features`, one column or all.

    A range of floating values is the one seen, widened by half of its length on both sides, not
    beyond zero, and rounded outwards; one of whole numbers is exactly the one seen, as they may be
    codes. Few distinct whole numbers or texts become categories. Nulls are allowed if there were
    any.
    """
    if not any(feature.values for feature in features):
        return SuggestedRules(seen=("nothing in the data",))
    nulls: Nulls = "unset"
    if spec.type.kind == "floating":
        nulls = "allow" if any(feature.null_share for feature in features) else "refuse"
    categories = _categories(spec, features)
    return SuggestedRules(
        range=None if categories else _range(spec, features),
        categories=categories,
        nulls=nulls,
        seen=tuple(_seen(spec, features)),
    )


def _categories(
    spec: TensorSpec, features: Sequence[FeatureStatistics]
) -> tuple[Category, ...] | None:
    if spec.type.kind not in ("integer", "bytes") or not all(one.categories for one in features):
        return None
    found = {category.value for feature in features for category in feature.categories}
    values = sum(feature.values for feature in features)
    is_text = spec.type.kind == "bytes"
    is_few = is_text or len(found) <= CODES_MAX
    if not is_few or values < len(found) * (TEXT_SEEN_MIN if is_text else CODE_SEEN_MIN):
        return None
    return tuple(sorted(found, key=str if is_text else float))  # type: ignore[arg-type]


def _range(
    spec: TensorSpec, features: Sequence[FeatureStatistics]
) -> tuple[float, float] | tuple[int, int] | None:
    is_number = spec.type.kind in ("integer", "floating")
    if not is_number or any(feature.infinite for feature in features):
        return None
    low, high = _ends(features)
    if spec.type.kind == "integer":
        return int(low), int(high)
    return widened(low, high) if low < high else None


def widened(low: float, high: float) -> tuple[float, float]:
    """Return a range around low < high, to two digits of its length."""
    length = high - low
    margin = length * MARGIN_SHARE
    first, last = low - margin, high + margin
    if not math.isfinite(first) or not math.isfinite(last):
        return low, high
    digits = 1 - math.floor(math.log10(length))
    if digits > DIGITS_MAX:
        return low, high
    if low >= 0 > first:
        first = 0.0
    if high <= 0 < last:
        last = 0.0
    step = 10.0**-digits
    return (
        round(math.floor(first / step) * step, digits),
        round(math.ceil(last / step) * step, digits),
    )


def _ends(features: Sequence[FeatureStatistics]) -> tuple[float, float]:
    numbers = [feature.numbers for feature in features if feature.numbers is not None]
    return min(one.lowest for one in numbers), max(one.highest for one in numbers)


def _seen(spec: TensorSpec, features: Sequence[FeatureStatistics]) -> list[str]:
    """What a person wants to know of the values, in half sentences."""
    said = []
    if spec.type.kind == "bytes":
        said.append(_seen_texts(features))
    elif len(features) == 1 and features[0].numbers is not None:
        numbers = features[0].numbers
        is_truth = spec.type.kind == "bool"
        said.append(f"true in {numbers.mean:.1%}" if is_truth else _seen_numbers(numbers))
    elif any(feature.numbers for feature in features):
        low, high = _ends(features)
        said.append(f"{low:g} to {high:g} in {len(features)} values a row")
    values = sum(feature.values for feature in features)
    nulls = sum(_nulls(feature) for feature in features)
    said.append(f"{values} values, {nulls} nulls")
    infinite = sum(feature.infinite for feature in features)
    if infinite:
        said.append(f"{infinite} infinite values, so no range")
    if nulls and spec.type.kind != "floating":
        said.append(f"{spec.datatype} has no nulls: such rows are refused")
    return said


def _nulls(feature: FeatureStatistics) -> int:
    share = feature.null_share
    return round(feature.values * share / (1 - share)) if share < 1 else 0


def _seen_numbers(numbers: NumberStatistics) -> str:
    return (
        f"{numbers.lowest:g} to {numbers.highest:g}, mean {numbers.mean:g}, "
        f"standard deviation {numbers.deviation:g}"
    )


def _seen_texts(features: Sequence[FeatureStatistics]) -> str:
    if all(feature.categories for feature in features):
        count = len({category.value for one in features for category in one.categories})
        return f"{count} different texts"
    lengths = [one.text_chars for one in features if one.text_chars is not None]
    shortest, longest = min(one.lowest for one in lengths), max(one.highest for one in lengths)
    return f"texts of {shortest:.0f} to {longest:.0f} characters, too many to list"
