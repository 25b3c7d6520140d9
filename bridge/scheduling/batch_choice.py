"""Which batch size to use now: the one that follows from the fit, or AIMD's while that is bad."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bridge.scheduling.aimd import AimdBatchRows, FitTrust
from bridge.scheduling.batch_size import (
    BATCH_ROWS_CEILING,
    batch_rows,
    keeps_target,
    run_budget_s,
    shortest_target_s,
)
from bridge.scheduling.service_time import JITTER_MIN, ServiceTime

# Runs of less than this share of what the target allows break none, however badly their time is
# known: those of a model of microseconds vary by more than 20 % all the time. Below the half that
# `JITTER_MAX` leaves to a batch that the target bounds.
FAR_SHARE = 0.5
# The most of the tightest target that B leaves for a measured overhead. On cores that are too few
# smaller batches only cost more time per row, and the overhead grows with them.
OVERHEAD_SHARE_MAX = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchBounds:
    """What bounds the batch of one model version on one worker; times in seconds.

    `tightest_target_s`: the shortest latency target of all that the worker serves, whose requests
    may have to wait for a run of this model; None if that is its own.
    """

    target_s: float
    overhead_s: float
    rows_cap: int | None = None
    tightest_target_s: float | None = None

    def with_overhead(self, measured_s: float) -> BatchBounds:
        """Return the same bounds with a measured overhead, at most a quarter of the target."""
        return replace(self, overhead_s=min(measured_s, OVERHEAD_SHARE_MAX * self._shortest_s))

    def run_s_max(self, jitter: float) -> float:
        """Return how long a run may last: two of them keep the target, the tightest one too."""
        return run_budget_s(self._shortest_s, self.overhead_s, jitter)

    def rows(self, service: ServiceTime) -> int:
        """Return the batch size that follows from a model of time."""
        longest_run_s = None if self.tightest_target_s is None else self.run_s_max(service.jitter)
        return batch_rows(service, self.target_s, self.overhead_s, self.rows_cap, longest_run_s)

    def keeps_target(self, service: ServiceTime) -> bool:
        """Return whether any batch size keeps the model's own target."""
        return keeps_target(service, self.target_s, self.overhead_s)

    def delays_others(self, service: ServiceTime) -> bool:
        """Return whether even one row runs too long for the tightest target of the worker."""
        return service.batch_s(1) > self.run_s_max(service.jitter) and self.keeps_target(service)

    def shortest_target_s(self, service: ServiceTime) -> float:
        """Return the shortest target that could be kept."""
        return shortest_target_s(service, self.overhead_s)

    @property
    def _shortest_s(self) -> float:
        return min(self.target_s, self.tightest_target_s or self.target_s)


class BatchChoice:
    """The batch size in use: follows the fit, or the runs themselves while the fit is bad."""

    def __init__(self, bounds: BatchBounds) -> None:
        self.bounds = bounds
        self._trust = FitTrust()
        self._aimd: AimdBatchRows | None = None

    @property
    def follows_fit(self) -> bool:
        """Whether the fit chooses the batch size now."""
        return self._aimd is None

    def observe(self, rows: int, run_s: float) -> None:
        """Take in one run of `rows` rows that took `run_s` seconds."""
        if self._aimd is not None:
            # Without the jitter of a fit that is not trusted: the runs themselves show theirs.
            self._aimd.observe(rows, run_s, self.bounds.run_s_max(JITTER_MIN))

    def choose(self, service: ServiceTime) -> int:
        """Return the batch size from now on, given one more fit."""
        rows = self.bounds.rows(service)
        is_far = service.batch_s(rows) < FAR_SHARE * self.bounds.run_s_max(JITTER_MIN)
        if self._trust.judge(0.0 if is_far else service.residual):
            self._aimd = None
            return rows
        if self._aimd is None:
            cap = min(BATCH_ROWS_CEILING, self.bounds.rows_cap or BATCH_ROWS_CEILING)
            self._aimd = AimdBatchRows(rows, cap)
        return self._aimd.rows
