"""Rows like those of the reference data: drawn from the statistics, within the contract."""

from __future__ import annotations

import math
import string
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bridge.contract.copula import Copula
from bridge.contract.model import TensorSpec, ValueRules
from bridge.contract.statistics import (
    QUANTILE_LEVELS,
    FeatureStatistics,
    NumberStatistics,
    Statistics,
    StatisticsError,
    feature_columns,
)

Array = np.ndarray[Any, np.dtype[Any]]
Tensors = Mapping[str, Array]

TEXT_CHARS_MAX = 4096
VARIABLE_SIZE_MAX = 4096
# A file with rows of very many lengths would be one group for each: rows come in so many at most.
SIZES_MAX = 8
_LETTERS = np.array(list(string.ascii_lowercase + " "))


class LikelyRows:
    """Draws rows of a model's inputs.

    Numbers follow the quantiles, categories their shares, and numeric features keep their rank
    correlations. Nulls come at their rates where the contract allows them, in no relation to each
    other; categories that are texts are in no relation to anything else. What the contract refuses
    is moved to the end of the range, or not drawn.
    """

    def __init__(
        self,
        inputs: Sequence[TensorSpec],
        statistics: Statistics,
        size_max: int = VARIABLE_SIZE_MAX,
    ) -> None:
        """Raises StatisticsError when the statistics are not those of these inputs.

        `size_max`: of the dimension that varies.
        """
        self._inputs = inputs
        self._size_max = min(size_max, VARIABLE_SIZE_MAX)
        self._sizes = statistics.row_sizes
        correlated = statistics.correlation.features
        self._copula = Copula(statistics.correlation.matrix())
        self._places = {feature: place for place, feature in enumerate(correlated)}
        self._features = {spec.name: _features_of(spec, statistics) for spec in inputs}

    def drawn(self, rows: int, generator: np.random.Generator) -> list[Tensors]:
        """Return `rows` rows, in groups of one shape each: (rows, ...) in the contract's dtypes.

        Several groups only where a dimension varies.
        """
        if not any(-1 in spec.row_shape for spec in self._inputs):
            return [self.of_size(rows, 1, generator)]
        sizes = self._row_sizes(min(rows, SIZES_MAX))
        each = np.bincount(np.arange(rows) % len(sizes), minlength=len(sizes)).tolist()
        return [
            self.of_size(count, size, generator)
            for size, count in zip(sizes, each, strict=True)
            if count
        ]

    def _row_sizes(self, count: int) -> list[int]:
        """Different lengths of a row, spread over those that were seen."""
        levels = (np.arange(count) + 0.5) / count
        if self._sizes is None:
            return [1]
        found = np.rint(np.interp(levels, QUANTILE_LEVELS, self._sizes.quantiles)).astype(int)
        return [int(size) for size in np.unique(np.clip(found, 1, self._size_max))]

    def of_size(self, rows: int, size: int, generator: np.random.Generator) -> Tensors:
        """Return `rows` rows whose varying dimension, if there is one, has a size: (rows, ...)."""
        correlated = self._copula.drawn(rows, generator)
        return {
            spec.name: self._tensor(spec, rows, size, correlated, generator)
            for spec in self._inputs
        }

    def _tensor(
        self,
        spec: TensorSpec,
        rows: int,
        size: int,
        correlated: Array,
        generator: np.random.Generator,
    ) -> Array:
        row_shape = tuple(size if given < 0 else given for given in spec.row_shape)
        width = math.prod(row_shape)
        array = np.empty((rows, width), dtype=spec.type.dtype)
        features = self._features[spec.name]
        for column in range(width):
            index, feature = features[column % len(features)]
            place = self._places.get(index)
            level = generator.random(rows) if place is None else correlated[:, place]
            array[:, column] = _values(spec, _rules(spec, column), feature, level, generator)
        return array.reshape(rows, *row_shape)


def _features_of(spec: TensorSpec, statistics: Statistics) -> list[tuple[int, FeatureStatistics]]:
    """The features of a tensor with their places: one for each value of a row, or one for all."""
    found = [
        (index, feature)
        for index, feature in enumerate(statistics.features)
        if feature.tensor == spec.name
    ]
    if tuple(feature.column for _, feature in found) != feature_columns(spec):
        raise StatisticsError(f"they are not those of the input {spec.name}: describe it again")
    is_text = spec.type.kind == "bytes"
    finite = [feature for _, feature in found if feature.values > feature.infinite]
    if any(is_text is (feature.numbers is not None) for feature in finite):
        raise StatisticsError(f"the input {spec.name} is {spec.datatype}: describe it again")
    return found


def _rules(spec: TensorSpec, column: int) -> ValueRules:
    if not spec.column_rules:
        return spec.rules
    return spec.column_rules.get(spec.columns[column % len(spec.columns)], spec.rules)


def _values(
    spec: TensorSpec,
    rules: ValueRules,
    feature: FeatureStatistics,
    level: Array,
    generator: np.random.Generator,
) -> Array:
    """The values at some levels of a feature's distribution, (rows) in the tensor's dtype."""
    allowed = _allowed_categories(rules, feature)
    if allowed is not None:
        values, shares = allowed
        last = np.searchsorted(np.cumsum(shares)[:-1], level, side="right")
        drawn = np.array(values, dtype=spec.type.dtype)[last]
    elif spec.type.kind == "bytes":
        return _texts(feature.text_chars, level, generator)
    else:
        drawn = _numbers(spec, feature.numbers, level)
    if spec.type.kind in ("integer", "floating"):
        drawn = _within(spec, rules, drawn)
    if spec.type.kind == "floating" and rules.nulls == "allow":
        drawn[generator.random(len(drawn)) < feature.null_share] = np.nan
    return drawn


def _allowed_categories(
    rules: ValueRules, feature: FeatureStatistics
) -> tuple[list[Any], Array] | None:
    """The categories that were seen and are allowed, with shares that add up to 1; None: no few."""
    seen = {category.value: category.share for category in feature.categories}
    if rules.categories is None:
        values = list(seen)
    else:
        values = [value for value in rules.categories if value in seen] or list(rules.categories)
    if not values:
        return None
    shares = np.array([seen.get(value, 1.0) for value in values])
    return values, shares / shares.sum() if shares.sum() > 0 else np.full(
        len(values), 1 / len(values)
    )


def _numbers(spec: TensorSpec, numbers: NumberStatistics | None, level: Array) -> Array:
    if numbers is None:  # no number was seen
        return np.zeros(len(level), dtype=spec.type.dtype)
    with np.errstate(over="ignore", invalid="ignore"):  # between the largest numbers there are
        drawn = np.interp(level, QUANTILE_LEVELS, numbers.quantiles)
    drawn = np.clip(np.nan_to_num(drawn, nan=numbers.lowest), numbers.lowest, numbers.highest)
    if spec.type.kind == "bool":
        return np.asarray(drawn >= 0.5)
    if spec.type.kind == "integer":
        info: Any = np.iinfo(spec.type.dtype)
        # A float cannot say the largest 64-bit integers: what lies beyond is cut off first.
        near = np.clip(np.rint(drawn), float(info.min), math.nextafter(float(info.max), 0))
        return np.asarray(near.astype(spec.type.dtype))
    return np.asarray(drawn.astype(spec.type.dtype))


def _within(spec: TensorSpec, rules: ValueRules, drawn: Array) -> Array:
    if rules.range is None:
        return drawn
    low, high = rules.range
    if spec.type.kind == "floating":
        with np.errstate(over="ignore"):
            return np.clip(drawn, drawn.dtype.type(low), drawn.dtype.type(high))
    info: Any = np.iinfo(drawn.dtype)
    first = info.min if low < info.min else math.ceil(low)
    last = info.max if high > info.max else math.floor(high)
    return np.clip(drawn, first, last)


def _texts(lengths: NumberStatistics | None, level: Array, generator: np.random.Generator) -> Array:
    """Texts of the lengths that were seen; the words themselves are not in the statistics."""
    quantiles = (0.0,) * len(QUANTILE_LEVELS) if lengths is None else lengths.quantiles
    chars = np.rint(np.interp(level, QUANTILE_LEVELS, quantiles)).astype(int)
    texts = np.empty(len(level), dtype=object)
    for place, count in enumerate(np.clip(chars, 0, TEXT_CHARS_MAX).tolist()):
        texts[place] = "".join(generator.choice(_LETTERS, count).tolist())
    return texts
