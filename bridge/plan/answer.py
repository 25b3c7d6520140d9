"""The plan: what the planner answers. Times in seconds, rates per second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bridge.plan.question import MeasuredModel, Question
from bridge.plan.request_costs import GATEWAY_SHARE_MAX, RequestCosts
from bridge.plan.trials import Load

Bound = Literal["workers", "gateways", "cores"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tighter:
    """What another latency target would need; `batch_rows` 0 where it cannot be kept at all."""

    target_s: float
    batch_rows: int
    worker_per_s: float
    workers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Formation:
    """So many workers and gateways, the rate that they hold, and what holds it down.

    `workers_per_s` is the largest rate of which the workers answer 99 % in time, by simulation;
    `gateways_per_s` and `cores_per_s` are what the gateways' and all cores' CPU time allows.
    `cores` is how many cores the asked rate keeps busy.
    """

    workers: int
    gateways: int
    workers_per_s: float
    gateways_per_s: float
    cores_per_s: float
    cores: float

    @property
    def capacity_per_s(self) -> float:
        """Return the rate that workers and gateways hold where there are cores enough."""
        return min(self.workers_per_s, self.gateways_per_s)

    @property
    def machine_per_s(self) -> float:
        """Return the rate that this holds on one machine, with its cores."""
        return min(self.capacity_per_s, self.cores_per_s)

    @property
    def bound(self) -> Bound:
        """Return what holds the rate down on one machine."""
        if self.cores_per_s < self.capacity_per_s:
            return "cores"
        return "workers" if self.workers_per_s <= self.gateways_per_s else "gateways"


@dataclass(frozen=True, slots=True, kw_only=True)
class PerWorker:
    """One worker: rows per second of full batches, and the largest rates that keep the target."""

    rows_per_s: float
    poisson_per_s: float
    asked_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """What no configuration passes: rows per second of a worker and of a machine, and the p99."""

    worker_rows_per_s: float
    machine_per_s: float
    p99_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLane:
    """What the batch lane gets at the asked online rate, and the workers for all that is asked."""

    rows_per_hour: float
    online_p99_s: float
    workers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Autoscaling:
    """Hints for an autoscaler: per worker, what to keep it at and when it is late to add one."""

    requests_per_s: float
    in_flight_rows: float
    in_flight_rows_max: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Impossible:
    """No batch size keeps the target: even one row, twice, takes longer."""

    question: Question
    model: MeasuredModel
    one_row_s: float
    overhead_s: float
    shortest_target_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the asked rate needs, and how that behaves; `workers_needed` may exceed the allowed."""

    question: Question
    model: MeasuredModel
    costs: RequestCosts
    overhead_s: float
    batch_rows: int
    run_s: float
    per_worker: PerWorker
    workers_needed: int
    formation: Formation
    expected: Load
    doubled: Load
    tighter: tuple[Tighter, ...]
    ceiling: Ceiling
    batch_lane: BatchLane
    autoscaling: Autoscaling

    @property
    def is_possible(self) -> bool:
        """Whether the allowed workers hold the asked rate."""
        return self.workers_needed <= self.question.workers_max

    @property
    def headroom(self) -> float:
        """Return the share by which the rate may grow; negative where it is too much already."""
        return self.formation.capacity_per_s / self.question.rate_per_s - 1

    @property
    def gateway_bound_doubled_per_s(self) -> float:
        """Return the answers a second that the gateways' CPU leaves at twice the rate.

        They spend `refusal_s` on each request that they refuse.
        """
        costs = self.costs
        cpu_s = self.formation.gateways * (GATEWAY_SHARE_MAX - costs.gateway.turns)
        spare_s = cpu_s - 2 * self.question.rate_per_s * costs.refusal_s
        return spare_s / (costs.gateway.request_s - costs.refusal_s)
