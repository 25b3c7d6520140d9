"""Thresholds on rows whose best threshold is known."""

from __future__ import annotations

import numpy as np
import pytest

from bridge.golden.threshold_choice import (
    Goal,
    Interval,
    ThresholdChoice,
    ThresholdError,
    choose_threshold,
    wilson_interval,
)

COSTS = Goal(false_negative=50, false_positive=1)
SMALL = np.array([0.1, 0.2, 0.3, 0.4, 0.6, 0.8])
# Between 0.3 and 0.4 one mistake is made: the positive at 0.2 is missed.
SMALL_POSITIVE = np.array([False, True, False, True, True, True])


def calibrated_rows(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores that are the very probabilities by which their labels were drawn."""
    generator = np.random.default_rng(3)
    scores = generator.beta(0.6, 1.2, rows)
    return scores, generator.random(rows) < scores


def test_equal_costs_part_the_rows_where_fewest_are_wrong() -> None:
    found = choose_threshold(SMALL, SMALL_POSITIVE, Goal(false_negative=1, false_positive=1))
    # At 0.2 there is one mistake, too, but 0.4 is nearer to Elkan's threshold, 0.5.
    assert (found.threshold, found.missed, found.false_alarms) == (0.35, 1, 0)


def test_a_costly_miss_moves_the_threshold_below_the_last_positive() -> None:
    found = choose_threshold(SMALL, SMALL_POSITIVE, COSTS)
    assert (0.1 < found.threshold <= 0.2, found.missed, found.false_alarms) == (True, 0, 1)


def test_a_costly_false_alarm_moves_it_above_the_last_negative() -> None:
    found = choose_threshold(SMALL, SMALL_POSITIVE, Goal(false_negative=1, false_positive=50))
    assert (0.3 < found.threshold <= 0.8, found.false_alarms) == (True, 0)


def test_elkan_is_right_about_calibrated_scores() -> None:
    scores, labels = calibrated_rows(4_000)
    found = choose_threshold(scores, labels, Goal(false_negative=4, false_positive=1))
    assert found.calibrated == 0.2
    assert found.threshold == pytest.approx(0.2, abs=0.06)
    assert found.calibrated_cost_per_row == pytest.approx(found.cost_per_row, rel=0.05)


def test_the_threshold_of_least_cost_is_found_among_all() -> None:
    scores, labels = calibrated_rows(300)
    found = choose_threshold(scores**3, labels, COSTS)
    costs = [
        (50 * (labels & (scores**3 < at)).sum() + (~labels & (scores**3 >= at)).sum()) / 300
        for at in [*scores**3, 2.0]
    ]
    assert found.cost_per_row == pytest.approx(min(costs))


def test_a_recall_floor_is_kept_with_the_fewest_false_alarms() -> None:
    scores, labels = calibrated_rows(2_000)
    found = choose_threshold(scores, labels, Goal(recall_floor=0.9))
    alarms = [
        (~labels & (scores >= at)).sum()
        for at in scores
        if (labels & (scores >= at)).sum() >= 0.9 * labels.sum()
    ]
    assert (found.recall >= 0.9, found.false_alarms) == (True, min(alarms))


def test_equal_scores_are_never_parted() -> None:
    scores = np.array([0.5, 0.5, 0.5, 0.2])
    found = choose_threshold(scores, np.array([True, False, True, False]), COSTS)
    assert (0.2 < found.threshold <= 0.5, found.missed, found.false_alarms) == (True, 0, 1)


def test_scores_need_not_be_probabilities() -> None:
    scores = np.array([-7.0, -3.0, 4.0, 9.0])
    found = choose_threshold(scores, scores > 0, Goal(false_negative=1, false_positive=1))
    assert (found.missed, found.false_alarms) == (0, 0)


def test_nothing_may_be_worth_calling_positive() -> None:
    scores = np.array([0.5, 0.5, 0.5])
    labels = np.array([True, False, False])
    found = choose_threshold(scores, labels, Goal(false_negative=1, false_positive=9))
    assert (found.threshold > 0.5, found.missed, found.false_alarms) == (True, 1, 0)


def test_the_same_rows_get_the_same_answer() -> None:
    scores, labels = calibrated_rows(200)
    assert choose_threshold(scores, labels, COSTS) == choose_threshold(scores, labels, COSTS)


def test_more_rows_make_surer() -> None:
    widths = [
        _width(choose_threshold(*calibrated_rows(rows), COSTS).threshold_interval)
        for rows in (100, 2_000)
    ]
    assert widths[1] < widths[0]


def test_the_cost_on_unseen_rows_is_not_below_that_on_the_rows_chosen_by() -> None:
    found = choose_threshold(*calibrated_rows(200), COSTS)
    assert found.unseen_cost_per_row > found.cost_per_row


@pytest.mark.parametrize(("positives", "is_sure"), [(99, False), (100, True)])
def test_few_positives_are_said(positives: int, is_sure: bool) -> None:
    scores = np.linspace(0, 1, 100 + positives)
    found: ThresholdChoice = choose_threshold(scores, np.arange(len(scores)) >= 100, COSTS)
    assert found.is_sure == is_sure


@pytest.mark.parametrize("label", [True, False])
def test_one_class_alone_is_refused(label: bool) -> None:
    with pytest.raises(ThresholdError, match="both are needed"):
        choose_threshold(SMALL, np.full(6, label), COSTS)


def test_a_score_that_is_no_number_is_refused() -> None:
    with pytest.raises(ThresholdError, match="not finite"):
        choose_threshold(np.array([0.1, np.nan]), np.array([True, False]), COSTS)


def test_wilson_knows_that_none_missed_of_few_is_not_none() -> None:
    found = wilson_interval(10, 10)
    # n / (n + z^2), z of 90 %.
    assert found.high == 1.0
    assert found.low == pytest.approx(10 / (10 + 1.6449**2))


def _width(interval: Interval) -> float:
    return interval.high - interval.low
