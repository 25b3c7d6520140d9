"""How long a batch takes: S(b) = fixed + per_row * b, fitted from what was measured."""

from __future__ import annotations

import itertools
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np

from bridge.scheduling.time_curve import Array, Curve, Line, fitted_line

WINDOW_BATCHES = 200
# A run counts half as much as one that is so many runs younger.
HALF_LIFE_BATCHES = 40
TAIL_SHARE = 0.95
JITTER_MIN = 0.05
# Bounds on what a noisy machine can take from the throughput. Runs beside other work may vary by
# several times their length; a promise that rests on the worst of them allows batches of a row or
# two, which keep nobody's target under load. Better a few late than nearly all refused.
JITTER_MAX = 0.2
EXCESS_SHARE_MAX = 0.5
# The table of recent maxima: of the last runs of each size the longest but one. That two of three
# take long is no hiccup but what the machine does now, and the p95 would know it a run later.
# It lifts promises, within their bound, and not the jitter. Simulated at 32 loads with noise,
# hiccups and changes of speed it changes little: late 1.10 % in place of 1.12, the same goodput.
# Promises by the longest itself, of 8 to 32 runs, halve what is late after changes of speed, but
# cost up to a fifth of the goodput where one run in ten has a hiccup (0.82 to 0.66 of X(B)).
LATELY_RUNS = 3
LATELY_WITHIN_RUNS = 40


@dataclass(frozen=True, slots=True)
class ServiceTime:
    """S(b) of one model version on one worker, in seconds, a p95: what promises are made with.

    `jitter` is the share by which a run may exceed S(b), from 0.05 to 0.2: the coefficient of
    variation, which on top of a p95 is a little more than the twice that design.md adds to a mean.
    `residual` is the relative error of the fit: of the line against the sizes that were measured,
    and of the runs among themselves, as a share of a run of the largest size. `typical` is the
    usual run as a share of S(b).
    """

    fixed_s: float
    per_row_s: float
    jitter: float = JITTER_MIN
    residual: float = 0.0
    typical: float = 1.0

    def batch_s(self, rows: int) -> float:
        """Return S(rows), which 95 of 100 runs do not exceed: for promises."""
        return self.fixed_s + self.per_row_s * rows

    def steady(self) -> ServiceTime:
        """Return the usual time as a model of its own: what a quiet machine would promise."""
        return ServiceTime(self.fixed_s * self.typical, self.per_row_s * self.typical)

    def typical_s(self, rows: int) -> float:
        """Return the time that a run of `rows` usually takes: for predictions."""
        return self.batch_s(rows) * self.typical

    def rows_per_s(self, rows: int) -> float:
        """Return the throughput X(rows) = rows / S(rows)."""
        return rows / self.batch_s(rows)


# Before anything was measured: slow enough that admission starts cautiously.
UNKNOWN = ServiceTime(fixed_s=0.005, per_row_s=0.001)
_UNKNOWN_LINE = Line(UNKNOWN.fixed_s, UNKNOWN.per_row_s)

_SHORTEST_S = 1e-7
_RECENT_RUNS = 10
_CHANGED = 1.2
# What the other sizes say of one counts as much as so many runs of it.
_SHARED_RUNS = 5.0
# Fewer runs than these say little about a p95: the rest is taken to be calm.
_TAIL_RUNS = 8.0
_DEVIATIONS_AT_TAIL = 1.645  # of a normal distribution, at TAIL_SHARE
_DEVIATIONS_PER_MEDIAN = 1.4826  # of a normal distribution: over the median absolute deviation


class ServiceTimeFit:
    """S(b) from a profile at load and the last `WINDOW_BATCHES` runs.

    The profile gives the shape, the runs the level and the tail: what else the machine does while
    a server starts must not count. Each size (power-of-two bucket) counts once,
    however many runs it had: under low load nearly all batches hold one row, and a line through
    those alone would say nothing about full ones. A size that has not run lately takes the
    profile's time, scaled as the other sizes have been. The line is drawn through the p95 of each
    size, or what two of its last three runs took if that is longer, and lifted where it runs below
    those that take the worker's time now. So one long run changes nothing, two of three change the
    promise at once, three of forty the p95, and ten in a row of the most frequent size that all
    differ by a fifth from those before are the new truth: older runs are forgotten.
    """

    def __init__(self) -> None:
        self._seen: deque[tuple[int, float]] = deque(maxlen=WINDOW_BATCHES)
        self._profile: dict[int, list[float]] = {}
        self._curve: Curve | None = None

    def profile(self, rows: int, seconds: float) -> None:
        """Take in one run at load."""
        self._profile.setdefault(rows, []).append(max(seconds, _SHORTEST_S))
        self._curve = None

    def observe(self, rows: int, seconds: float) -> None:
        """Take in one run of `rows` rows that took `seconds`."""
        self._seen.append((rows, max(seconds, _SHORTEST_S)))

    def estimate(self) -> ServiceTime:
        """Return the fit, or `UNKNOWN` before the first batch.

        Where all batches had one size and there is no profile, the time is shared between fixed
        and per row as `UNKNOWN` shares it: neither part is known, and both stay positive.
        """
        if not self._seen and not self._profile:
            return UNKNOWN
        if self._curve is None:
            self._curve = self._profiled()
        if not self._seen:
            return _untried(self._curve)
        runs = _Runs.of(self._seen)
        outdated = runs.outdated(self._curve)
        if outdated:
            for _ in range(outdated):
                self._seen.popleft()
            runs = _Runs.of(self._seen)
        if not self._profile:
            # Learned from the runs alone, better each time: the line that was drawn through them.
            self._curve = Curve.along(fitted_line(*_medians(runs, self._curve)[:2], _UNKNOWN_LINE))
        return _service(runs, self._curve)

    def rehearsed(self) -> ServiceTime:
        """Return what the fit will be after runs that vary as those of the profile did.

        For planning: before the first run `estimate` promises by the shape alone. Simulated, a p99
        planned from it was up to two thirds too low, and within a quarter planned from this.
        """
        fit = ServiceTimeFit()
        fit._profile = self._profile
        for runs in itertools.zip_longest(*self._profile.values()):
            for rows, seconds in zip(self._profile, runs, strict=True):
                if seconds is not None:
                    fit.observe(rows, seconds)
        return fit.estimate()

    def _profiled(self) -> Curve:
        if not self._profile:
            return Curve.along(_UNKNOWN_LINE)
        return Curve.profiled(self._profile, _UNKNOWN_LINE)


@dataclass(frozen=True, slots=True)
class _Runs:
    """The runs of the window as columns, the oldest first; `weights` by their age."""

    rows: Array
    seconds: Array
    buckets: Array
    weights: Array

    @classmethod
    def of(cls, seen: deque[tuple[int, float]]) -> _Runs:
        table = np.array(seen, dtype=np.float64)
        ages = np.arange(len(seen) - 1, -1, -1)
        weights = 0.5 ** (ages / HALF_LIFE_BATCHES)
        return cls(table[:, 0], table[:, 1], _buckets(table[:, 0]), weights)

    def outdated(self, curve: Curve) -> int:
        """Return how many of the oldest runs tell of another time than now."""
        found, counts = np.unique(self.buckets, return_counts=True)
        indices = np.flatnonzero(self.buckets == found[counts.argmax()])
        if len(indices) < 2 * _RECENT_RUNS:
            return 0
        ratios = self.seconds[indices] / curve.at(self.rows[indices])
        recent, usual = ratios[-_RECENT_RUNS:], float(np.median(ratios[:-_RECENT_RUNS]))
        has_changed = recent.max() * _CHANGED < usual or recent.min() > usual * _CHANGED
        return int(indices[-_RECENT_RUNS]) if has_changed else 0


def _medians(runs: _Runs, curve: Curve) -> tuple[Array, Array, Array]:
    """Return sizes in ascending order, the median time of each, and the median for each run."""
    usual_s = curve.at(runs.rows)
    ratios = runs.seconds / usual_s
    overall = _quantile(ratios, runs.weights, 0.5)
    sizes, buckets = list(curve.sizes), list(_buckets(curve.sizes))
    levels = {}
    for bucket in np.unique(runs.buckets):
        here = runs.buckets == bucket
        # The other sizes vote too, so that one long run of a size that seldom runs is outvoted.
        votes = np.append(runs.weights[here], _SHARED_RUNS)
        levels[bucket] = _quantile(np.append(ratios[here], overall), votes, 0.5)
        usual_s[here] *= levels[bucket]
        if bucket not in buckets:
            sizes.append(float(np.mean(runs.rows[here])))
            buckets.append(bucket)
    order = np.argsort(sizes)
    points = np.array(sizes)[order]
    scales = np.array([levels.get(bucket, overall) for bucket in buckets])[order]
    return points, curve.at(points) * scales, usual_s


def _untried(curve: Curve) -> ServiceTime:
    """What the profile alone promises."""
    usual = fitted_line(curve.sizes, curve.at(curve.sizes), _UNKNOWN_LINE)
    return ServiceTime(max(usual.fixed_s, _SHORTEST_S), usual.per_row_s)


def _service(runs: _Runs, curve: Curve) -> ServiceTime:
    sizes, seconds, usual_s = _medians(runs, curve)
    # By time: when full batches run, their noise is the one that counts.
    weights = runs.weights * usual_s
    excess_s = runs.seconds - usual_s
    # A hiccup of 10 ms is as long in a run of 20 ms as in one of 1 ms: what a short run tells of a
    # long one is seconds, what a long one tells of a short one is a share.
    calm = max(0.0, _TAIL_RUNS - float(runs.weights.sum())) * float(usual_s.mean())
    tail_weights = np.append(weights, calm)
    tails = [
        _quantile(
            np.append(excess_s * np.minimum(1.0, point_s / usual_s), 0.0),
            tail_weights,
            TAIL_SHARE,
        )
        for point_s in seconds
    ]
    excess_max_s = EXCESS_SHARE_MAX * seconds
    p95_s = seconds + np.clip(tails, 0.0, excess_max_s)
    lately = _lately(runs, excess_s)
    lately_s = [
        np.max(excess_s[lately] * np.minimum(1.0, point_s / usual_s[lately]), initial=0.0)
        for point_s in seconds
    ]
    promised_s = np.maximum(p95_s, seconds + np.minimum(lately_s, excess_max_s))
    line = fitted_line(sizes, promised_s, _UNKNOWN_LINE)
    # No straight line fits every size: it is right where the worker's time goes.
    used_s = float(runs.weights @ usual_s)
    drawn_s = float(runs.weights @ line.at(runs.rows))
    needed_s = float(weights @ np.interp(runs.rows, sizes, promised_s / seconds))
    lift = max(1.0, needed_s / drawn_s)
    noise_s = excess_s * np.minimum(1.0, seconds[-1] / usual_s)
    middle_s = _quantile(noise_s, weights, 0.5)
    spread = _quantile(np.abs(noise_s - middle_s), weights, 0.5) / float(seconds[-1])
    misfit = float(np.sqrt(np.mean((line.at(sizes) / promised_s - 1) ** 2)))
    variation = float(p95_s[-1] / seconds[-1] - 1) / _DEVIATIONS_AT_TAIL
    return ServiceTime(
        fixed_s=max(line.fixed_s * lift, _SHORTEST_S),
        per_row_s=line.per_row_s * lift,
        jitter=min(max(variation, JITTER_MIN), JITTER_MAX),
        residual=float(np.hypot(misfit, _DEVIATIONS_PER_MEDIAN * spread)),
        typical=min(1.0, used_s / (lift * drawn_s)),
    )


def _lately(runs: _Runs, excess_s: Array) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return for each size the index of the run that says what it took lately.

    The longest but one of its last `LATELY_RUNS`, measured by `excess_s`; sizes with fewer among
    the last `LATELY_WITHIN_RUNS` runs say nothing.
    """
    first = max(0, len(excess_s) - LATELY_WITHIN_RUNS)
    found = []
    for bucket in np.unique(runs.buckets[first:]):
        last = first + np.flatnonzero(runs.buckets[first:] == bucket)[-LATELY_RUNS:]
        if len(last) == LATELY_RUNS:
            found.append(last[np.argsort(excess_s[last])[-2]])
    return np.array(found, dtype=np.int64)


def _quantile(values: Array, weights: Array, share: float) -> float:
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    index = int(np.searchsorted(reached, share * reached[-1]))
    return float(values[order[min(index, len(values) - 1)]])


def _buckets(rows: Array) -> Array:
    """Return each size's bucket: 1, 2, 3 to 4, 5 to 8, … rows."""
    buckets: Array = np.ceil(np.log2(rows))
    return buckets
