"""From which probability on to call a row positive: the threshold of least cost on labelled rows.

Elkan, *The Foundations of Cost-Sensitive Learning*, IJCAI 2001, equation 2: where probabilities are
calibrated and right answers cost nothing, a row is best called positive from
c_fp / (c_fp + c_fn) on. Scores of real models are seldom calibrated, so the threshold is the one
whose mistakes on the labelled rows cost least; Elkan's only decides between equals.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

# Fewer of either class leave the threshold, and what it misses, to chance.
FEW_ROWS = 100
RESAMPLES = 1000
SEED = 20261124
# Of the intervals, in the middle: a twentieth on either side.
CONFIDENCE = 0.90
_Z = 1.6449  # of the normal distribution, for `CONFIDENCE` on two sides
DIGITS_MAX = 17


class ThresholdError(Exception):
    """No threshold can be found on these rows; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What a threshold is chosen for: least cost, or fewest false alarms at a recall."""

    false_negative: float = 0.0
    false_positive: float = 1.0
    recall_floor: float | None = None

    @property
    def calibrated(self) -> float | None:
        """The best threshold if probabilities were calibrated; None where recall is the goal."""
        if self.recall_floor is not None:
            return None
        return self.false_positive / (self.false_positive + self.false_negative)


@dataclass(frozen=True, slots=True)
class Interval:
    """Where a figure lies in `CONFIDENCE` of the cases."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdChoice:
    """The threshold, what its mistakes cost on the labelled rows, and how sure that is.

    `cost_per_row` is of the very rows that the threshold was chosen on, `unseen_cost_per_row` the
    mean over resamples of the cost on the rows that a resample left out. With a recall floor a
    false alarm costs 1. `threshold_interval` and `unseen_cost_interval` are bootstrap percentiles,
    `recall_interval` Wilson's. `calibrated`: Elkan's threshold, and `calibrated_cost_per_row` what
    it would cost.
    """

    threshold: float
    positives: int
    negatives: int
    missed: int
    false_alarms: int
    cost_per_row: float
    threshold_interval: Interval
    unseen_cost_per_row: float
    unseen_cost_interval: Interval
    recall_interval: Interval
    calibrated: float | None
    calibrated_cost_per_row: float | None

    @property
    def recall(self) -> float:
        """The share of the positives that are called so."""
        return 1 - self.missed / self.positives

    @property
    def is_sure(self) -> bool:
        """Whether there are enough rows of both classes."""
        return min(self.positives, self.negatives) >= FEW_ROWS


def choose_threshold(scores: Array, is_positive: Array, goal: Goal) -> ThresholdChoice:
    """Return the threshold for scores and labels of shape (rows,).

    The same rows always get the same threshold, in as few digits as tell it from the scores beside
    it.

    Raises:
        ThresholdError: a score that is not finite, or rows of one class only.
    """
    scores = scores.astype(np.float64)
    is_positive = is_positive.astype(bool)
    if not np.isfinite(scores).all():
        raise ThresholdError("a score is not finite")
    positives = int(is_positive.sum())
    negatives = len(scores) - positives
    if not positives or not negatives:
        raise ThresholdError(f"{positives} positive rows and {negatives} others: both are needed")
    cuts = _Cuts(scores, is_positive, goal)
    best = cuts.best(np.ones(len(scores)))
    threshold = cuts.threshold(best)
    resampled = _resampled(cuts, len(scores))
    missed, alarms = _mistakes(scores, is_positive, threshold)
    return ThresholdChoice(
        threshold=threshold,
        positives=positives,
        negatives=negatives,
        missed=missed,
        false_alarms=alarms,
        cost_per_row=_cost(goal, missed, alarms) / len(scores),
        threshold_interval=_interval(resampled.thresholds),
        unseen_cost_per_row=float(np.mean(resampled.unseen_costs)),
        unseen_cost_interval=_interval(resampled.unseen_costs),
        recall_interval=wilson_interval(positives - missed, positives),
        calibrated=goal.calibrated,
        calibrated_cost_per_row=_calibrated_cost(scores, is_positive, goal),
    )


def wilson_interval(hits: int, tries: int) -> Interval:
    """Return Wilson's score interval of a share (Wilson 1927), at `CONFIDENCE`."""
    share, squared = hits / tries, _Z * _Z
    middle = (share + squared / (2 * tries)) / (1 + squared / tries)
    spread = share * (1 - share) / tries + squared / (4 * tries * tries)
    half = _Z * math.sqrt(spread) / (1 + squared / tries)
    return Interval(max(0.0, middle - half), min(1.0, middle + half))


class _Cuts:
    """Every way to part the rows by their score: cut i calls positive what is from value i on.

    Values are the different scores, ascending; the last cut calls nothing positive.
    """

    def __init__(self, scores: Array, is_positive: Array, goal: Goal) -> None:
        self._goal = goal
        self._values, self._place = np.unique(scores, return_inverse=True)
        self._scores = scores
        self.is_positive = is_positive
        self._distance = self._distances()

    def best(self, weights: Array) -> int:
        """Return the cut of least cost where row r counts `weights[r]` times.

        Of equals: the one nearest to Elkan's threshold; with a recall floor the one of the highest
        recall.
        """
        size = len(self._values)
        positive = np.bincount(self._place, weights * self.is_positive, size)
        negative = np.bincount(self._place, weights * ~self.is_positive, size)
        missed = np.concatenate([[0.0], np.cumsum(positive)])
        alarms = np.concatenate([np.cumsum(negative[::-1])[::-1], [0.0]])
        floor = self._goal.recall_floor
        if floor is not None:
            # A resample without a positive row misses none, whatever the cut.
            kept = missed <= (1 - floor) * missed[-1] + 1e-9
            costs = np.where(kept, alarms, np.inf)
            return int(np.argmin(costs))
        costs = self._goal.false_negative * missed + self._goal.false_positive * alarms
        equals = np.flatnonzero(costs <= costs.min() * (1 + 1e-12))
        return int(equals[np.argmin(self._distance[equals])])

    def bounds(self, cut: int) -> tuple[float, float]:
        """Return between which scores the threshold is: above the first, at most the second."""
        values = self._values
        low = float(values[cut - 1]) if cut else -math.inf
        high = float(values[cut]) if cut < len(values) else math.inf
        return low, high

    def threshold(self, cut: int) -> float:
        """Return a threshold for the cut: Elkan's if it will do, else one half way."""
        low, high = self.bounds(cut)
        calibrated = self._goal.calibrated
        if calibrated is not None and low < calibrated <= high:
            return _short(calibrated, low, high)
        if math.isinf(low):
            return high
        if math.isinf(high):
            return math.nextafter(low, math.inf)
        return _short(low + (high - low) / 2, low, high)

    def rows_cost(self, cut: int, weights: Array) -> float:
        """Return what the cut's mistakes cost on rows that count `weights` times, per row."""
        called = self._place >= cut
        missed = float((weights * (self.is_positive & ~called)).sum())
        alarms = float((weights * (~self.is_positive & called)).sum())
        return _cost(self._goal, missed, alarms) / float(weights.sum())

    def _distances(self) -> Array:
        """How far each cut's thresholds are from Elkan's; 0 where it is among them."""
        calibrated = self._goal.calibrated
        if calibrated is None:
            return np.zeros(len(self._values) + 1)
        low = np.concatenate([[-np.inf], self._values])
        high = np.concatenate([self._values, [np.inf]])
        distance: Array = np.maximum(0.0, np.maximum(low - calibrated, calibrated - high))
        return distance


@dataclass(frozen=True, slots=True)
class _Resampled:
    thresholds: Array
    unseen_costs: Array


def _resampled(cuts: _Cuts, rows: int) -> _Resampled:
    """Draw rows with replacement (Efron 1979), choose, and pay on the rows that were not drawn."""
    generator = np.random.default_rng(SEED)
    shares = np.full(rows, 1 / rows)
    thresholds, costs = [], []
    for _ in range(RESAMPLES):
        drawn = generator.multinomial(rows, shares)
        cut = cuts.best(drawn.astype(np.float64))
        thresholds.append(cuts.threshold(cut))
        left_out = drawn == 0
        if left_out.any():
            costs.append(cuts.rows_cost(cut, left_out.astype(np.float64)))
    return _Resampled(np.array(thresholds), np.array(costs))


def _interval(values: Array) -> Interval:
    edge = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values, [edge, 1 - edge])
    return Interval(float(low), float(high))


def _mistakes(scores: Array, is_positive: Array, threshold: float) -> tuple[int, int]:
    called = scores >= threshold
    return int((is_positive & ~called).sum()), int((~is_positive & called).sum())


def _cost(goal: Goal, missed: float, alarms: float) -> float:
    return goal.false_negative * missed + goal.false_positive * alarms


def _calibrated_cost(scores: Array, is_positive: Array, goal: Goal) -> float | None:
    if goal.calibrated is None:
        return None
    return _cost(goal, *_mistakes(scores, is_positive, goal.calibrated)) / len(scores)


def _short(wanted: float, low: float, high: float) -> float:
    """Return the number nearest to `wanted` of as few digits as are above low and at most high."""
    for digits in range(1, DIGITS_MAX):
        short = float(f"{wanted:.{digits}g}")
        if low < short <= high:
            return short
    return high
