"""`statistics.json`: what the reference data of a model version look like, feature by feature."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np

from bridge.contract.model import TensorSpec
from bridge.contract.repository import RepositoryError, VersionFolder

Array = np.ndarray[Any, np.dtype[Any]]

STATISTICS_FILE = "statistics.json"
STATISTICS_BYTES_MAX = 32 << 20
STATISTICS_VERSION = 1
# Of the rows that have a number; at 0 and 1 they are the smallest and the largest.
QUANTILE_LEVELS = (
    *(0.0, 0.001, 0.005),
    *(percent / 100 for percent in range(1, 100)),
    *(0.995, 0.999, 1.0),
)
FEATURES_MAX = 2048
# Wider tables have no matrix: it grows with the square.
CORRELATED_MAX = 256
NUMBER_CATEGORIES_MAX = 64
TEXT_CATEGORIES_MAX = 256

CategoryValue = bool | int | float | str


class StatisticsError(Exception):
    """`statistics.json` cannot be used; the message says what is wrong with it."""


class NumberStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Finite numbers, in the tensor's own unit.

    `deviation` is the standard deviation; `quantiles` are at `QUANTILE_LEVELS`, of a sample of the
    rows where these were very many, the rest is of all rows.
    """

    lowest: float
    highest: float
    mean: float
    deviation: float
    quantiles: tuple[float, ...]


class CategoryShare(msgspec.Struct, frozen=True, kw_only=True):
    """One of a few values, and its share of the rows that have a value, 0 to 1."""

    value: CategoryValue
    share: float


class FeatureStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """One value of a row: a tensor, one of its columns, or one element of its rows.

    `column` is the column's name, the element's place in C order where the rows have no columns,
    and empty for a tensor of one value a row. Where rows vary in length, or are longer than
    `FEATURES_MAX`, all values of a column are one feature; without columns, all of the tensor.

    `values` were seen, nulls not counted, `infinite` of them; `null_share` is of values and nulls
    together. `categories`, by value, are given if there are few; `numbers` of whatever is
    numeric and finite, truth values as 0 and 1. Of texts that are no categories only `text_chars`
    is known, their lengths.
    """

    tensor: str
    column: str = ""
    values: int
    infinite: int = 0
    null_share: float = 0.0
    numbers: NumberStatistics | None = None
    categories: tuple[CategoryShare, ...] = ()
    text_chars: NumberStatistics | None = None

    @property
    def name(self) -> str:
        """What a person calls it."""
        return self.column if self.column and not self.column.isdigit() else self.full_name

    @property
    def full_name(self) -> str:
        """`tensor`, or `tensor.column`."""
        return f"{self.tensor}.{self.column}" if self.column else self.tensor


class Correlation(msgspec.Struct, frozen=True, kw_only=True):
    """Spearman's rank correlation of the numeric features: monotone, so outliers weigh no more.

    `features` are places in `Statistics.features`. `rows` is the lower triangle: row i holds the
    correlations with features 0 to i - 1.
    """

    features: tuple[int, ...] = ()
    rows: tuple[tuple[float, ...], ...] = ()

    def matrix(self) -> Array:
        """Return the symmetric matrix, FP64, ones on its diagonal."""
        count = len(self.features)
        full = np.eye(count)
        for place, row in enumerate(self.rows):
            full[place, :place] = row
            full[:place, place] = row
        return full


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """What the reference data of one model version look like.

    `source`: the file's name. `rows` of it were read, `rows_left_out` of them because no contract
    could allow them (a text where a number belongs, a missing truth value). `row_sizes`: of the
    dimension that varies from row to row, where there is one.
    """

    version: int = STATISTICS_VERSION
    source: str
    rows: int
    rows_left_out: int = 0
    features: tuple[FeatureStatistics, ...]
    correlation: Correlation = Correlation()
    row_sizes: NumberStatistics | None = None

    def of(self, tensor: str) -> tuple[FeatureStatistics, ...]:
        """Return the features of one tensor, in the order of its columns."""
        return tuple(feature for feature in self.features if feature.tensor == tensor)


def is_pooled(spec: TensorSpec) -> bool:
    """Return whether many values of a row are one feature: rows that vary in length, or wide."""
    return -1 in spec.row_shape or math.prod(spec.row_shape) > FEATURES_MAX


def feature_columns(spec: TensorSpec) -> tuple[str, ...]:
    """Return the `column` of each feature of a tensor; see `FeatureStatistics`."""
    if spec.columns and (len(spec.shape) == 2 or is_pooled(spec)):
        return spec.columns
    width = 1 if is_pooled(spec) else math.prod(spec.row_shape)
    return ("",) if width == 1 else tuple(str(place) for place in range(width))


def encode_statistics(statistics: Statistics) -> bytes:
    """Return the text of a `statistics.json`: a line for each feature."""
    text = msgspec.json.encode(statistics)
    # Within a JSON text quotes are escaped, so these bytes are never part of one.
    return text.replace(b'{"tensor":', b'\n{"tensor":') + b"\n"


def read_statistics(folder: VersionFolder) -> Statistics | None:
    """Return the statistics of a model version, None where it has none.

    Raises:
        StatisticsError: they cannot be used; the message names the file.
    """
    try:
        text = folder.read(STATISTICS_FILE)
        return None if text is None else parse_statistics(text)
    except RepositoryError as error:
        raise StatisticsError(str(error)) from error
    except StatisticsError as error:
        raise StatisticsError(f"{folder.path / STATISTICS_FILE}: {error}") from error


def parse_statistics(text: bytes) -> Statistics:
    """Return the statistics that the bytes of a `statistics.json` hold.

    Raises:
        StatisticsError: too long, no JSON, another version, or values that contradict each other.
    """
    if len(text) > STATISTICS_BYTES_MAX:
        raise StatisticsError(f"{len(text)} bytes, more than {STATISTICS_BYTES_MAX}")
    try:
        statistics = msgspec.json.decode(text, type=Statistics)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise StatisticsError(str(error)) from error
    if statistics.version != STATISTICS_VERSION:
        raise StatisticsError(f"version {statistics.version}, only {STATISTICS_VERSION} is known")
    if len(statistics.features) > FEATURES_MAX:
        raise StatisticsError(f"{len(statistics.features)} features, more than {FEATURES_MAX}")
    for feature in statistics.features:
        _check_feature(feature)
    _check_correlation(statistics)
    return statistics


def _check_feature(feature: FeatureStatistics) -> None:
    name = feature.full_name
    if not 0 <= feature.null_share <= 1:
        raise StatisticsError(f"{name}: null_share {feature.null_share:g} is no share")
    if any(not 0 <= category.share <= 1 for category in feature.categories):
        raise StatisticsError(f"{name}: a category's share is not between 0 and 1")
    for numbers in (feature.numbers, feature.text_chars):
        if numbers is not None:
            _check_quantiles(name, numbers)


def _check_quantiles(name: str, numbers: NumberStatistics) -> None:
    if len(numbers.quantiles) != len(QUANTILE_LEVELS):
        raise StatisticsError(
            f"{name}: {len(numbers.quantiles)} quantiles, {len(QUANTILE_LEVELS)} are expected"
        )
    is_rising = all(first <= second for first, second in pairwise(numbers.quantiles))
    if not is_rising or not all(map(math.isfinite, numbers.quantiles)):
        raise StatisticsError(f"{name}: the quantiles do not rise")


def _check_correlation(statistics: Statistics) -> None:
    correlation, count = statistics.correlation, len(statistics.features)
    if len(correlation.features) > CORRELATED_MAX:
        raise StatisticsError(f"correlation: more than {CORRELATED_MAX} features")
    if any(not 0 <= place < count for place in correlation.features):
        raise StatisticsError("correlation: a feature that is not there")
    is_triangle = [len(row) for row in correlation.rows] == [*range(len(correlation.features))]
    if not is_triangle or any(not -1 <= value <= 1 for row in correlation.rows for value in row):
        raise StatisticsError("correlation: not the lower triangle of a correlation matrix")
