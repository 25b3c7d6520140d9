"""What is asked of the planner."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bridge.plan.errors import PlanError
from bridge.scheduling.service_time import ServiceTime

RATE_PER_S_MAX = 10_000_000.0
CV_MAX = 20.0
TARGET_S_MAX = 3600.0
WORKERS_MAX = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredModel:
    """A model version and how long its batches take; `source` says where that was measured.

    `target_s` is its contract's latency target in seconds, `rows_cap` its largest batch, None for
    no bound of its own.
    """

    name: str
    version: str
    service: ServiceTime
    target_s: float
    rows_cap: int | None
    source: str

    @property
    def key(self) -> str:
        """`model@version`."""
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """So many single-row requests a second, within so long: what does that need?

    `cv` is the coefficient of variation of the gaps between requests: 1 is Poisson, more is
    bursty. `target_s` is the p99 that is wanted, in seconds. `cores` are those of one machine, and
    `threads` those that ONNX Runtime has in each worker.
    """

    rate_per_s: float
    target_s: float
    cv: float = 1.0
    batch_rows_per_hour: float = 0.0
    workers_max: int = WORKERS_MAX
    cores: int = 1
    threads: int = 1

    def __post_init__(self) -> None:
        """Check each value.

        Raises:
            PlanError: naming the option.
        """
        _check_within("rate", self.rate_per_s, RATE_PER_S_MAX, "requests per second")
        _check_within("cv", self.cv, CV_MAX, "as a ratio")
        _check_within("latency-target-ms", self.target_s * 1e3, TARGET_S_MAX * 1e3, "milliseconds")
        if not (self.batch_rows_per_hour >= 0 and math.isfinite(self.batch_rows_per_hour)):
            raise PlanError(f"batch-rows-per-hour: {self.batch_rows_per_hour} is below 0")
        if not 1 <= self.workers_max <= WORKERS_MAX:
            raise PlanError(f"workers-max: {self.workers_max} is not from 1 to {WORKERS_MAX}")


def _check_within(name: str, value: float, most: float, unit: str) -> None:
    if not 0 < value <= most:
        raise PlanError(f"{name}: {value:g} is not above 0 and at most {most:g}, {unit}")
