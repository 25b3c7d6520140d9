"""How far one generator process is, and how far all of them are together.

A snapshot is made beside the sending, from arrays that it fills anyway, so it costs the sending
nothing. A request is looked at until it is done and no longer recent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from loadtest.progress import Progress
from loadtest.traffic import OK, UNSENT, Floats, Ints

REFUSED = 429
RECENT_S = 3.0
RATE_S = 1.0
# A snapshot crosses a process border twice a second: it carries a sample of what was measured.
SAMPLES_MAX = 2_000
_FEWEST_FOR_P99 = 459


@dataclass(frozen=True, slots=True)
class WatchedPart:
    """The end of a recording so far; arrays of shape (n,), see `Recording`."""

    intended_s: Floats
    done_s: Floats
    status: Ints
    lag_s: Floats


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One process at one moment: totals so far, and samples of the last `RECENT_S` seconds."""

    elapsed_s: float
    offered: int
    in_time: int
    late: int
    refused: int
    failed: int
    offered_last_s: int
    recent_s: Floats
    lag_s: Floats


@dataclass(slots=True)
class Watch:
    """Counts a recording while it is made; `first` is the first request still looked at."""

    first: int = 0
    in_time: int = 0
    late: int = 0
    refused: int = 0
    failed: int = 0

    def look(self, read: Callable[[int], WatchedPart], now_s: float, target_s: float) -> Snapshot:
        """Return a snapshot; `read(first)` gives the recording from request `first` on."""
        part = read(self.first)
        in_time, late, refused, failed = _counts(part, target_s)
        recent = int(np.searchsorted(part.intended_s, now_s - RECENT_S))
        answered = part.status[recent:] == OK
        latency_s = (part.done_s[recent:] - part.intended_s[recent:])[answered]
        snapshot = Snapshot(
            elapsed_s=now_s,
            offered=self.first + len(part.status),
            in_time=self.in_time + in_time,
            late=self.late + late,
            refused=self.refused + refused,
            failed=self.failed + failed,
            offered_last_s=len(part.status) - int(np.searchsorted(part.intended_s, now_s - RATE_S)),
            recent_s=_sample(latency_s),
            lag_s=_sample(part.lag_s[recent:]),
        )
        self._settle(part, recent, target_s)
        return snapshot

    def _settle(self, part: WatchedPart, recent: int, target_s: float) -> None:
        """Count what is done and old for good."""
        open_ones = np.flatnonzero(part.status[:recent] == UNSENT)
        end = int(open_ones[0]) if len(open_ones) else recent
        done = WatchedPart(part.intended_s[:end], part.done_s[:end], part.status[:end], part.lag_s)
        in_time, late, refused, failed = _counts(done, target_s)
        self.first += end
        self.in_time += in_time
        self.late += late
        self.refused += refused
        self.failed += failed


def combined(snapshots: Sequence[Snapshot], seconds: float) -> Progress:
    """Return how far a run of `seconds` seconds is, from the last snapshot of each process."""
    recent_ms = np.sort(np.concatenate([one.recent_s for one in snapshots])) * 1e3
    lag_ms = np.sort(np.concatenate([one.lag_s for one in snapshots])) * 1e3

    def total(name: str) -> int:
        return sum(getattr(one, name) for one in snapshots)

    done = total("in_time") + total("late") + total("refused") + total("failed")
    return Progress(
        elapsed_s=max(one.elapsed_s for one in snapshots),
        seconds=seconds,
        offered=total("offered"),
        in_time=total("in_time"),
        late=total("late"),
        refused=total("refused"),
        failed=total("failed"),
        rate_per_s=total("offered_last_s") / RATE_S,
        p50_ms=_percentile(recent_ms, 50, 1),
        p99_ms=_percentile(recent_ms, 99, _FEWEST_FOR_P99),
        lag_p99_ms=_percentile(lag_ms, 99, 1) or 0.0,
        in_flight=total("offered") - done,
    )


def _counts(part: WatchedPart, target_s: float) -> tuple[int, int, int, int]:
    is_ok = part.status == OK
    with np.errstate(invalid="ignore"):  # NaN where there is no answer yet
        in_time = int(np.count_nonzero(is_ok & (part.done_s - part.intended_s <= target_s)))
    ok, refused = int(np.count_nonzero(is_ok)), int(np.count_nonzero(part.status == REFUSED))
    waiting = int(np.count_nonzero(part.status == UNSENT))
    return in_time, ok - in_time, refused, len(part.status) - ok - refused - waiting


def _sample(values: Floats) -> Floats:
    step = -(-len(values) // SAMPLES_MAX) or 1
    sample: Floats = values[::step].copy()
    return sample


def _percentile(ascending: Floats, percentile: int, fewest: int) -> float | None:
    if len(ascending) < fewest:
        return None
    return float(ascending[math.ceil(percentile * len(ascending) / 100) - 1])
