"""Predicted beside measured: what a verification found."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.plan.answer import Bound
from bridge.plan.request_costs import RequestCosts


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One figure, predicted and measured; `within` is how far apart they may be, as a share.

    `predicted_under_load` is the same prediction from the S(b) that the worker measured under this
    load, and from the CPU time that the processes took: where it is right and `predicted` is not,
    the idle machine's profile was too good, or the constants are of another machine.
    """

    name: str
    unit: str
    predicted: float
    predicted_under_load: float
    measured: float
    within: float

    @property
    def ratio(self) -> float:
        """Return predicted over measured."""
        return self.predicted / self.measured if self.measured else float("inf")

    @property
    def is_within(self) -> bool:
        """Whether the prediction was as near as is wanted."""
        return abs(self.ratio - 1) <= self.within


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One rate that was tried: what share of the offered was in time, and what was refused."""

    rate_per_s: float
    in_time_share: float
    refused_share: float
    p99_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was started, what held it down by prediction, and the figures.

    `rate_per_s` is where p50 and p99 were measured, and `lag_s` how late the load tester itself was
    there, at p99: it counts as latency. `costs` are those of the largest rate that was kept, None
    where the system does not say what processes take.
    """

    workers: int
    gateways: int
    bound: Bound
    rate_per_s: float
    lag_s: float
    figures: tuple[Compared, ...]
    probes: tuple[Probe, ...]
    costs: RequestCosts | None
