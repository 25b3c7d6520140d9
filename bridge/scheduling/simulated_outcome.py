"""What happened in a simulation: every attempt and every run, as columns."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]
Integers = np.ndarray[Any, np.dtype[np.int64]]


class Verdict(IntEnum):
    """How one attempt of a request ended."""

    UNANSWERED = 0
    IN_TIME = 1
    LATE = 2
    EXPIRED = 3
    REFUSED = 4


@dataclass(frozen=True, slots=True)
class Tally:
    """Attempts counted; `in_time_rows` are the rows of those in time."""

    offered: int
    refused: int
    in_time: int
    late: int
    expired: int
    in_time_rows: int

    @property
    def admitted(self) -> int:
        """Those that were let in."""
        return self.offered - self.refused

    @property
    def late_share(self) -> float:
        """Those that were let in and not answered in time, as a share; 0 of none."""
        return 1 - self.in_time / self.admitted if self.admitted else 0.0

    @property
    def in_time_share(self) -> float:
        """Those answered in time as a share of those offered; 1 of none."""
        return self.in_time / self.offered if self.offered else 1.0


@dataclass(frozen=True, slots=True)
class Attempts:
    """Every attempt of every request, one row each, in the order in which they came to a gateway.

    `traffic`: index into the setup's traffic; `asked_s`; `verdict`: a `Verdict`; `latency_s`:
    until the answer, NaN if there was none; `retry_after_s`: the hint, NaN if not refused;
    `error_s`: answered so much later than predicted, NaN if not answered; `number`: 0 for the
    first attempt of a caller; `answers`: how many answers its caller got.
    """

    traffic: Integers
    rows: Integers
    asked_s: Floats
    verdict: Integers
    latency_s: Floats
    retry_after_s: Floats
    error_s: Floats
    number: Integers
    answers: Integers

    def tally(
        self, from_s: float = 0.0, to_s: float = math.inf, traffic: int | None = None
    ) -> Tally:
        """Count the attempts made from `from_s` to `to_s`, of one traffic or of all."""
        chosen = self.chosen(from_s, to_s, traffic)
        found = self.verdict[chosen]
        return Tally(
            offered=len(found),
            refused=int(np.sum(found == Verdict.REFUSED)),
            in_time=int(np.sum(found == Verdict.IN_TIME)),
            late=int(np.sum(found == Verdict.LATE)),
            expired=int(np.sum(found == Verdict.EXPIRED)),
            in_time_rows=int(np.sum(self.rows[chosen][found == Verdict.IN_TIME])),
        )

    def chosen(
        self, from_s: float = 0.0, to_s: float = math.inf, traffic: int | None = None
    ) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Return which attempts were made from `from_s` to `to_s`, of one traffic or of all."""
        chosen = (self.asked_s >= from_s) & (self.asked_s < to_s)
        return chosen if traffic is None else chosen & (self.traffic == traffic)


@dataclass(frozen=True, slots=True)
class Runs:
    """Every run that ended, one row each, in the order of their ends.

    `model`: index into the setup's models; `rows`: of both lanes; `late_starts`: requests that
    were past their deadline when the run started.
    """

    model: Integers
    worker: Integers
    started_s: Floats
    ended_s: Floats
    rows: Integers
    online_rows: Integers
    late_starts: Integers

    def busy_s(self, from_s: float, to_s: float) -> float:
        """Return the time that workers ran from `from_s` to `to_s`, summed over workers."""
        started_s = np.clip(self.started_s, from_s, to_s)
        return float(np.sum(np.clip(self.ended_s, from_s, to_s) - started_s))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What happened.

    `batch_rows`: B of each model at the end; `most_in_hand`: the largest number of online rows
    that any worker held of a model, beside its run, in batches of B; `strays`: answers that
    nobody waited for.
    """

    attempts: Attempts
    runs: Runs
    batch_rows: dict[str, int]
    most_in_hand: float
    most_in_flight: dict[str, int]
    strays: int
    left_in_flight: int
