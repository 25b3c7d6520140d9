"""The features of a model's inputs: where they are in a row, their rules, what is known of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bridge.contract.model import TensorSpec, ValueRules
from bridge.contract.statistics import (
    QUANTILE_LEVELS,
    CategoryShare,
    FeatureStatistics,
    NumberStatistics,
    Statistics,
    feature_columns,
    is_pooled,
)
from workers.check.made_values import OpenValues, ValueMaker

# What stands for a range that the contract leaves open, where there are no statistics.
OPEN_VALUES = OpenValues(integer_max=9, scales=(1.0,), extreme=10.0)
NULL_SHARE = 0.1
TEXT_CHARS = 24.0
SIZES = (1.0, 16.0)


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature.

    `places` are those of its values in a row, flattened: more than one where rows vary in length
    or are very wide.
    """

    name: str
    spec: TensorSpec
    rules: ValueRules
    places: slice
    known: FeatureStatistics


def features_of(inputs: Sequence[TensorSpec], statistics: Statistics) -> list[Feature]:
    """Return the features of the inputs, with their statistics, in order.

    The statistics must be those of the inputs, as `LikelyRows` demands.
    """
    return [feature for spec in inputs for feature in _features(spec, statistics.of(spec.name))]


def _features(spec: TensorSpec, found: Sequence[FeatureStatistics]) -> Iterator[Feature]:
    for place, known in enumerate(found):
        places = slice(place, None, len(found)) if is_pooled(spec) else slice(place, place + 1)
        yield Feature(known.name, spec, _rules(spec, place), places, known)


def _rules(spec: TensorSpec, place: int) -> ValueRules:
    if not spec.column_rules:
        return spec.rules
    return spec.column_rules.get(spec.columns[place % len(spec.columns)], spec.rules)


def assumed_statistics(inputs: Sequence[TensorSpec]) -> Statistics:
    """Return statistics for a model without any: ranges evenly filled, categories alike."""
    features = tuple(
        _assumed(spec, column, place)
        for spec in inputs
        for place, column in enumerate(feature_columns(spec))
    )
    varies = any(-1 in spec.row_shape for spec in inputs)
    return Statistics(
        source="",
        rows=0,
        features=features,
        row_sizes=_evenly(*SIZES) if varies else None,
    )


def _assumed(spec: TensorSpec, column: str, place: int) -> FeatureStatistics:
    rules = _rules(spec, place)
    if spec.type.kind == "bytes":
        return FeatureStatistics(
            tensor=spec.name,
            column=column,
            values=1,
            categories=_alike(rules),
            text_chars=_evenly(0.0, TEXT_CHARS),
        )
    maker = ValueMaker(spec, OPEN_VALUES)
    low, high = (0.0, 1.0)
    if not rules.categories and spec.type.kind != "bool":
        low, high = float(maker.lowest(rules)), float(maker.highest(rules))
    return FeatureStatistics(
        tensor=spec.name,
        column=column,
        values=1,
        null_share=NULL_SHARE if rules.nulls == "allow" else 0.0,
        numbers=_evenly(low, high),
        categories=_alike(rules),
    )


def _alike(rules: ValueRules) -> tuple[CategoryShare, ...]:
    values = rules.categories or ()
    return tuple(CategoryShare(value=value, share=1 / len(values)) for value in values)


def _evenly(low: float, high: float) -> NumberStatistics:
    levels = np.array(QUANTILE_LEVELS)
    spread = low * (1 - levels) + high * levels  # high - low may be too large
    return NumberStatistics(
        lowest=low,
        highest=high,
        mean=low / 2 + high / 2,
        deviation=(high / 2 - low / 2) / 3**0.5,
        quantiles=tuple(spread.tolist()),
    )
