"""How long a batch takes: S(b) = fixed + per_row * b, fitted from what was measured."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

WINDOW_BATCHES = 200
JITTER_MIN = 0.05
# A run of microseconds varies by more than its own length. That says nothing about a target of
# milliseconds, and at 1 the margin would leave no time at all: batches of one row.
JITTER_MAX = 0.5


@dataclass(frozen=True, slots=True)
class ServiceTime:
    """S(b) of one model version on one worker, in seconds.

    `jitter` is the share by which a run may exceed S(b): twice the coefficient of variation of
    the residuals, from 0.05 to 0.5.
    """

    fixed_s: float
    per_row_s: float
    jitter: float = JITTER_MIN

    def batch_s(self, rows: int) -> float:
        """Return S(rows)."""
        return self.fixed_s + self.per_row_s * rows

    def rows_per_s(self, rows: int) -> float:
        """Return the throughput X(rows) = rows / S(rows)."""
        return rows / self.batch_s(rows)


# Before anything was measured: slow enough that admission starts cautiously.
UNKNOWN = ServiceTime(fixed_s=0.005, per_row_s=0.001)

_SHORTEST_S = 1e-7


class ServiceTimeFit:
    """Least squares over the last `WINDOW_BATCHES` batches."""

    def __init__(self) -> None:
        self._seen: deque[tuple[int, float]] = deque(maxlen=WINDOW_BATCHES)

    def observe(self, rows: int, seconds: float) -> None:
        """Take in one run of `rows` rows that took `seconds`."""
        self._seen.append((rows, seconds))

    def estimate(self) -> ServiceTime:
        """Return the fit, or `UNKNOWN` before the first batch.

        Where all batches had one size the line is drawn through that point with half of the
        time fixed: neither part is known, and both stay positive.
        """
        if not self._seen:
            return UNKNOWN
        count = len(self._seen)
        mean_rows = sum(rows for rows, _ in self._seen) / count
        mean_s = sum(seconds for _, seconds in self._seen) / count
        spread = sum((rows - mean_rows) ** 2 for rows, _ in self._seen)
        if spread == 0:
            return self._with_jitter(mean_s / 2, mean_s / 2 / mean_rows, mean_s)
        shared = sum((rows - mean_rows) * (seconds - mean_s) for rows, seconds in self._seen)
        per_row_s = max(shared / spread, 0.0)
        fixed_s = mean_s - per_row_s * mean_rows
        if fixed_s < 0:
            fixed_s, per_row_s = 0.0, mean_s / mean_rows
        return self._with_jitter(fixed_s, per_row_s, mean_s)

    def _with_jitter(self, fixed_s: float, per_row_s: float, mean_s: float) -> ServiceTime:
        fixed_s = max(fixed_s, _SHORTEST_S)
        squares = sum((s - fixed_s - per_row_s * rows) ** 2 for rows, s in self._seen)
        variation = (squares / len(self._seen)) ** 0.5 / max(mean_s, _SHORTEST_S)
        return ServiceTime(fixed_s, per_row_s, min(max(2 * variation, JITTER_MIN), JITTER_MAX))
