"""Statistics of reference data are those of the data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.datasets import load_breast_cancer

from bridge.contract.copula import rank_correlation
from bridge.contract.likely_rows import LikelyRows
from bridge.contract.model import TensorSpec, ValueRules
from bridge.contract.statistics import (
    QUANTILE_LEVELS,
    CategoryShare,
    FeatureStatistics,
    Statistics,
    StatisticsError,
    encode_statistics,
    parse_statistics,
)
from bridge.describe.sample import Sample
from bridge.describe.summary import Summary

Array = np.ndarray[Any, np.dtype[Any]]


def spec(datatype: str = "FP64", *row_shape: int, **more: Any) -> TensorSpec:
    return TensorSpec(name="x", datatype=datatype, shape=(-1, *row_shape), **more)


def summed(tensor: TensorSpec, *pages: Array) -> Statistics:
    summary = Summary([tensor])
    for page in pages:
        summary.add({"x": page})
    return summary.statistics("a file")


def feature(tensor: TensorSpec, *pages: Array) -> FeatureStatistics:
    (found,) = summed(tensor, *pages).features
    return found


def texts(*values: str) -> Array:
    return np.array(values, dtype=object)


def test_numbers_in_pages_have_the_moments_of_all() -> None:
    values = np.random.default_rng(0).normal(1e6, 1, 1000)
    numbers = feature(spec(), values[:10], values[10:700], values[700:]).numbers
    assert numbers is not None
    assert (numbers.lowest, numbers.highest) == (values.min(), values.max())
    assert numbers.mean == pytest.approx(values.mean(), rel=1e-12)
    assert numbers.deviation == pytest.approx(values.std(), rel=1e-9)


def test_quantiles_are_values_of_the_data() -> None:
    numbers = feature(spec(), np.arange(1001.0)).numbers
    assert numbers is not None
    assert dict(zip(QUANTILE_LEVELS, numbers.quantiles, strict=True))[0.25] == 250.0


def test_nulls_are_counted_and_are_no_numbers() -> None:
    found = feature(spec(), np.array([1.0, np.nan, 3.0, np.nan, 5.0]))
    assert (found.values, found.null_share, found.numbers and found.numbers.mean) == (3, 0.4, 3.0)


def test_infinite_values_are_counted_and_have_no_part_in_the_mean() -> None:
    found = feature(spec(), np.array([1.0, np.inf, 3.0]))
    assert (found.values, found.infinite, found.numbers and found.numbers.mean) == (3, 1, 2.0)


def test_few_texts_are_categories_with_their_shares() -> None:
    found = feature(spec("BYTES"), texts("b", "a", "b", "b"))
    assert found.categories == (
        CategoryShare(value="a", share=0.25),
        CategoryShare(value="b", share=0.75),
    )


def test_of_texts_that_are_all_different_only_the_lengths_are_kept() -> None:
    found = feature(spec("BYTES"), texts("Ada", "Grace", "Margaret"))
    lengths = found.text_chars
    assert b"Ada" not in encode_statistics(summed(spec("BYTES"), texts("Ada", "Grace")))
    assert (found.categories, lengths and (lengths.lowest, lengths.highest)) == ((), (3.0, 8.0))


def test_each_named_column_is_a_feature() -> None:
    found = summed(spec("FP32", 2, columns=("a", "b")), np.ones((3, 2), np.float32))
    assert [one.name for one in found.features] == ["a", "b"]


def test_each_element_without_a_name_is_a_feature() -> None:
    found = summed(spec("FP32", 2, 2), np.ones((3, 2, 2), np.float32))
    assert [one.name for one in found.features] == ["x.0", "x.1", "x.2", "x.3"]


def test_rows_that_vary_in_length_are_one_feature_and_their_lengths_known() -> None:
    found = summed(spec("FP64", -1), np.ones((3, 2)), np.full((1, 5), 7.0))
    (one,) = found.features
    assert (one.values, one.numbers and one.numbers.highest) == (11, 7.0)
    assert found.row_sizes is not None
    assert (found.row_sizes.lowest, found.row_sizes.highest, found.row_sizes.mean) == (2, 5, 2.75)


def test_rows_that_are_left_out_are_counted_with_their_nulls() -> None:
    summary = Summary([spec("INT64")])
    summary.add({"x": np.array([1, 2, 3])})
    summary.leave_out(1, {("x", 0): 1})
    found = summary.statistics("a file")
    assert (found.rows, found.rows_left_out, found.features[0].null_share) == (4, 1, 0.25)


def test_correlations_are_spearmans() -> None:
    values = np.random.default_rng(0).normal(size=(500, 3)).round(1)  # with ties
    values[:, 1] += values[:, 0]
    expected = stats.spearmanr(values).statistic
    assert rank_correlation(values) == pytest.approx(expected, abs=1e-9)


def test_a_pair_is_correlated_where_both_are_known() -> None:
    values = np.column_stack([np.arange(100.0), np.arange(100.0)])
    values[::3, 1] = np.nan
    assert rank_correlation(values)[0, 1] == pytest.approx(1.0, abs=1e-3)


def test_a_feature_that_does_not_vary_is_correlated_with_none() -> None:
    values = np.column_stack([np.arange(9.0), np.ones(9)])
    assert rank_correlation(values).tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_a_sample_has_its_size_and_all_parts_of_the_rows() -> None:
    sample = Sample(100, 1)
    for start in range(0, 10_000, 1000):
        sample.add(np.arange(start, start + 1000.0)[:, np.newaxis])
    kept = sample.rows[:, 0]
    assert len(kept) == 100
    assert kept.mean() == pytest.approx(5000, abs=1000)


BREAST_CANCER = load_breast_cancer()
MEASURES = spec("FP32", 30, columns=tuple(BREAST_CANCER.feature_names.tolist()))
DATA = BREAST_CANCER.data.astype(np.float32)


def test_likely_rows_keep_the_correlations_and_quantiles_of_real_data() -> None:
    rows = LikelyRows([MEASURES], summed(MEASURES, DATA)).drawn(4000, np.random.default_rng(0))
    made = rows[0]["x"].astype(float)
    apart = np.abs(rank_correlation(made) - rank_correlation(DATA.astype(float)))
    assert apart.max() < 0.06
    scale = np.quantile(DATA, 0.95, axis=0) - np.quantile(DATA, 0.05, axis=0)
    for level in (0.1, 0.5, 0.9):
        moved = np.quantile(made, level, axis=0) - np.quantile(DATA, level, axis=0)
        assert np.abs(moved / scale).max() < 0.05


def test_the_same_seed_gives_the_same_rows() -> None:
    likely = LikelyRows([MEASURES], summed(MEASURES, DATA))
    first, again = (likely.drawn(50, np.random.default_rng(7))[0]["x"] for _ in range(2))
    assert first.tolist() == again.tolist()


def test_likely_categories_have_their_shares_and_nulls_their_rate() -> None:
    crop = TensorSpec(name="crop", datatype="BYTES", shape=(-1,))
    rain = spec("FP64", rules=ValueRules(nulls="allow"))
    generator = np.random.default_rng(0)
    summary = Summary([crop, rain])
    values = generator.gamma(2.0, 50.0, 1000)
    values[generator.random(1000) < 0.2] = np.nan
    grown = generator.choice(["maize", "soya"], 1000, p=[0.8, 0.2]).astype(object)
    summary.add({"crop": grown, "x": values})
    likely = LikelyRows([crop, rain], summary.statistics("a file"))
    (made,) = likely.drawn(4000, np.random.default_rng(1))
    shares = ((made["crop"] == "maize").mean(), np.isnan(made["x"]).mean())
    assert shares == (pytest.approx(0.8, abs=0.03), pytest.approx(0.2, abs=0.03))


def test_numbers_beyond_the_contract_are_moved_to_its_end() -> None:
    known = summed(spec(), np.linspace(0, 100, 1001))
    inputs = [spec(rules=ValueRules(range=(20.0, 60.0)))]
    (made,) = LikelyRows(inputs, known).drawn(500, np.random.default_rng(0))
    assert (made["x"].min(), made["x"].max()) == (20.0, 60.0)


def test_a_category_that_the_contract_does_not_know_is_not_drawn() -> None:
    known = summed(spec("BYTES"), texts(*["a", "b", "c"] * 9))
    inputs = [spec("BYTES", rules=ValueRules(categories=("b", "c", "d")))]
    (made,) = LikelyRows(inputs, known).drawn(100, np.random.default_rng(0))
    assert set(made["x"]) == {"b", "c"}


@pytest.mark.parametrize(
    "broken",
    [
        lambda text: text.replace(b'"null_share":0.0', b'"null_share":1.5'),
        lambda text: text.replace(b'"quantiles":[1.0,', b'"quantiles":['),
        lambda text: text.replace(b'"quantiles":[1.0,', b'"quantiles":[9.0,'),
        lambda text: text.replace(b'"features":[0,1]', b'"features":[0,7]'),
        lambda text: text.replace(b'"rows":[[],[', b'"rows":[[0.5],['),
    ],
)
def test_statistics_that_contradict_themselves_are_refused(broken: Any) -> None:
    values = np.column_stack([np.arange(1.0, 9.0)] * 2)
    text = encode_statistics(summed(spec("FP64", 2), values))
    assert parse_statistics(text).rows == 8
    with pytest.raises(StatisticsError):
        parse_statistics(broken(text))


def test_named_columns_of_rows_that_vary_in_length_are_features_of_their_own() -> None:
    weather = spec("FP32", -1, 2, columns=("rain", "sun"))
    days = np.stack([np.arange(12.0), 100 + np.arange(12.0)], axis=1).astype(np.float32)
    known = summed(weather, days.reshape(3, 4, 2))
    assert [one.name for one in known.features] == ["rain", "sun"]
    (made,) = LikelyRows([weather], known).drawn(20, np.random.default_rng(0))
    assert made["x"].shape == (20, 4, 2)
    assert made["x"][..., 0].max() <= 11
    assert made["x"][..., 1].min() >= 100
