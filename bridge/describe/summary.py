"""Tensors, page after page, to the statistics of all their features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bridge.contract.copula import rank_correlation
from bridge.contract.model import TensorSpec
from bridge.contract.statistics import (
    CORRELATED_MAX,
    Correlation,
    FeatureStatistics,
    NumberStatistics,
    Statistics,
    feature_columns,
    is_pooled,
)
from bridge.describe.feature_summary import FeatureSummary, Moments
from bridge.describe.sample import Sample

Array = np.ndarray[Any, np.dtype[Any]]

# Quantiles and correlations are those of a sample: they need its values all at once.
SAMPLE_ROWS_MAX = 50_000
SAMPLE_VALUES_MAX = 8_000_000
CORRELATION_DIGITS = 4


class Summary:
    """Sums up the rows of some inputs."""

    def __init__(self, inputs: Sequence[TensorSpec]) -> None:
        self._inputs = inputs
        self._pooled = {
            spec.name: [_Pooled(spec, column) for column in feature_columns(spec)]
            for spec in inputs
            if is_pooled(spec)
        }
        self._features = {
            spec.name: [_summary(spec, column) for column in feature_columns(spec)]
            for spec in inputs
            if spec.name not in self._pooled
        }
        width = sum(map(len, self._features.values()))
        self._sample = Sample(min(SAMPLE_ROWS_MAX, SAMPLE_VALUES_MAX // max(1, width)), width)
        self._sizes = Moments()
        self._size_sample = Sample(SAMPLE_ROWS_MAX, 1)
        self._rows = 0
        self._left_out = 0

    def add(self, tensors: Mapping[str, Array]) -> None:
        """Add rows of one shape: (rows, ...) in the contract's dtypes, nulls as NaN."""
        rows = len(next(iter(tensors.values())))
        if not rows:
            return
        numbers = [
            feature.add(tensors[name].reshape(rows, -1)[:, place])
            for name, features in self._features.items()
            for place, feature in enumerate(features)
        ]
        if numbers:
            self._sample.add(np.column_stack(numbers))
        for name, columns in self._pooled.items():
            by_column = tensors[name].reshape(-1, len(columns))
            for place, pooled in enumerate(columns):
                pooled.add(by_column[:, place])
        self._add_sizes(tensors, rows)
        self._rows += rows

    def leave_out(self, rows: int, nulls: Mapping[tuple[str, int], int]) -> None:
        """Note rows that no contract could allow, and nulls by tensor and place of the feature."""
        self._rows += rows
        self._left_out += rows
        for (tensor, place), count in nulls.items():
            if tensor in self._features:
                self._features[tensor][place].add_nulls(count)

    def statistics(self, source: str) -> Statistics:
        """Return the statistics; `source` is the file's name."""
        found: list[FeatureStatistics] = []
        sampled: dict[int, int] = {}
        columns = iter(range(self._sample.rows.shape[1]))
        for spec in self._inputs:
            found += [pooled.statistics() for pooled in self._pooled.get(spec.name, [])]
            for feature in self._features.get(spec.name, []):
                column = next(columns)
                sampled[len(found)] = column
                found.append(feature.statistics(self._sample.rows[:, column]))
        numeric = {place: sampled[place] for place in sampled if found[place].numbers is not None}
        return Statistics(
            source=source,
            rows=self._rows,
            rows_left_out=self._left_out,
            features=tuple(found),
            correlation=_correlation(self._sample.rows, numeric),
            row_sizes=self._row_sizes(),
        )

    def _add_sizes(self, tensors: Mapping[str, Array], rows: int) -> None:
        """Note the dimension that varies; where several do, the longest of them."""
        sizes = [
            has
            for spec in self._inputs
            for has, given in zip(tensors[spec.name].shape[1:], spec.row_shape, strict=True)
            if given < 0
        ]
        if sizes:
            column = np.full(rows, float(max(sizes)))
            self._sizes.add(column)
            self._size_sample.add(column[:, np.newaxis])

    def _row_sizes(self) -> NumberStatistics | None:
        return self._sizes.statistics(self._size_sample.rows[:, 0])


class _Pooled:
    """All values of a tensor, or of one of its columns, as one feature."""

    def __init__(self, spec: TensorSpec, column: str) -> None:
        self._feature = _summary(spec, column)
        self._sample = Sample(SAMPLE_ROWS_MAX, 1)

    def add(self, values: Array) -> None:
        """Add values of some rows."""
        self._sample.add(self._feature.add(values)[:, np.newaxis])

    def statistics(self) -> FeatureStatistics:
        return self._feature.statistics(self._sample.rows[:, 0])


def _summary(spec: TensorSpec, column: str) -> FeatureSummary:
    return FeatureSummary(spec.name, column, is_text=spec.type.kind == "bytes")


def _correlation(sample: Array, columns: Mapping[int, int]) -> Correlation:
    """Correlate the columns of a sample, by the place of their feature."""
    features = list(columns)[:CORRELATED_MAX]
    if len(features) < 2:
        return Correlation()
    chosen = sample[:, [columns[place] for place in features]]
    matrix = np.round(rank_correlation(chosen), CORRELATION_DIGITS)
    rows = tuple(tuple(matrix[place, :place].tolist()) for place in range(len(features)))
    return Correlation(features=tuple(features), rows=rows)
