"""What a model does before it serves: runs of made-up rows that warm every size and time it."""

from __future__ import annotations

import time
from collections.abc import Callable

from bridge.contract.example import example_run
from bridge.scheduling.batch_choice import BatchBounds
from bridge.scheduling.batch_size import BATCH_ROWS_CEILING
from bridge.scheduling.service_time import ServiceTimeFit
from workers.model import Array, Model

PROFILE_S_MAX = 2.0
# Each size runs at least three times, and up to fifteen times while that takes under 10 ms: runs of
# microseconds vary most.
PROFILE_RUNS_MIN = 3
PROFILE_RUNS_MAX = 15
PROFILE_SIZE_S = 0.01
# The first run of a size allocates and loads code: milliseconds, which a long run does not notice.
COLD_RUN_COUNTS_S = 0.25
_PROBE_ROWS = 16


def warm_up(
    model: Model,
    fit: ServiceTimeFit,
    bounds: BatchBounds,
    clock: Callable[[], float] = time.perf_counter,
) -> None:
    """Time the model with 1, 2, 4, … rows up to the batch size that it will use, and with that.

    One row and a few come first and tell the batch size; then all run, largest first, so that ONNX
    Runtime's arena grows once. Sizes that would take longer than what is left of
    `PROFILE_S_MAX` seconds are left out. `clock` gives seconds.

    Where rows are padded the profile is that of the longest bucket, so S(b) is never too short; the
    shortest only runs once. What runs really take is learned from them.

    Raises:
        ModelError: the model does not answer made-up rows.
    """
    profile = _Profile(model, fit, clock)
    profile.time(1)
    cap = min(bounds.rows_cap or BATCH_ROWS_CEILING, BATCH_ROWS_CEILING)
    # Nothing is known of more rows yet, except that they take no longer than one by one.
    affordable = int(profile.left_s() / fit.estimate().batch_s(1))
    if affordable > 1:
        profile.time(_power_of_two(min(cap, _PROBE_ROWS, affordable)))
    # On a busy machine the p95 of short runs is several times the usual; it would end this here.
    full = bounds.rows(fit.estimate().steady())
    for rows in (full, *_powers_of_two_below(full)):
        profile.time_if_possible(rows)
    # By now S(b) is known better.
    full = bounds.rows(fit.estimate().steady())
    profile.time_if_possible(full)
    profile.warm_shortest(full)


class _Profile:
    def __init__(self, model: Model, fit: ServiceTimeFit, clock: Callable[[], float]) -> None:
        self._model = model
        self._fit = fit
        self._clock = clock
        padding = model.contract.padding
        self._lengths = None if padding is None else padding.buckets
        self._ends_s = clock() + PROFILE_S_MAX

    def left_s(self) -> float:
        return max(0.0, self._ends_s - self._clock())

    def time_if_possible(self, rows: int) -> None:
        if self._fit.estimate().batch_s(rows) < self.left_s():
            self.time(rows)

    def warm_shortest(self, rows: int) -> None:
        """Run rows of the shortest bucket, which take no longer than those of the longest."""
        if self._lengths and self._fit.estimate().batch_s(rows) < self.left_s():
            self._run_s(example_run(self._model.contract, rows, self._lengths[0]), rows)

    def time(self, rows: int) -> None:
        longest = self._lengths[-1] if self._lengths else None
        inputs = example_run(self._model.contract, rows, longest)
        cold_s = self._run_s(inputs, rows)
        if cold_s > COLD_RUN_COUNTS_S:
            self._fit.profile(rows, cold_s)
            return
        spent_s = 0.0
        for run in range(PROFILE_RUNS_MAX):
            if run >= PROFILE_RUNS_MIN and spent_s > PROFILE_SIZE_S:
                break
            run_s = self._run_s(inputs, rows)
            self._fit.profile(rows, run_s)
            spent_s += run_s

    def _run_s(self, inputs: dict[str, Array], rows: int) -> float:
        started_s = self._clock()
        self._model.run(inputs, rows)
        return self._clock() - started_s


def _power_of_two(rows: int) -> int:
    """Return the largest power of two that is not above `rows`."""
    return 1 << (rows.bit_length() - 1)


def _powers_of_two_below(rows: int) -> list[int]:
    """Return the powers of two below `rows`, the largest first."""
    return [1 << shift for shift in reversed(range((rows - 1).bit_length()))]
