"""What is simulated: models, callers, processes and the ways between them; times in seconds."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from bridge.scheduling.ask import Priority
from bridge.scheduling.lanes import LaneShares

TIMEOUTS_PER_TARGET = 10


@dataclass(frozen=True, slots=True)
class SimulatedModel:
    """One model version: how long its runs really take, and its target.

    A run of b rows takes (`fixed_s` + `per_row_s` b) times a gamma variate of mean 1 and
    coefficient of variation `run_cv`; a share `hiccup_share` of the runs takes `hiccup_s` more.
    `batch_lane_rows_per_s` come in over the batch lane, infinitely many if it is infinite, in
    requests of `batch_request_rows`.
    """

    key: str
    fixed_s: float
    per_row_s: float
    target_s: float
    timeout_s: float | None = None
    rows_cap: int | None = None
    run_cv: float = 0.03
    hiccup_share: float = 0.0
    hiccup_s: float = 0.0
    batch_lane_rows_per_s: float = 0.0
    batch_request_rows: int = 1

    def mean_s(self, rows: int) -> float:
        """Return the mean time of a run of `rows` rows, in seconds, hiccups included."""
        return self.fixed_s + self.per_row_s * rows + self.hiccup_share * self.hiccup_s

    @property
    def ends_after_s(self) -> float:
        """The hard timeout of a request without one of its own."""
        return self.timeout_s or self.target_s * TIMEOUTS_PER_TARGET


@dataclass(frozen=True, slots=True)
class Phase:
    """So many requests a second for so long."""

    lasts_s: float
    per_s: float


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests of one kind: a renewal process with gamma gaps; `cv` 1 is Poisson.

    The phases repeat until the simulation ends. A refused caller comes back after exactly the
    time that it was told, up to `returns` times.
    """

    model_key: str
    phases: tuple[Phase, ...]
    cv: float = 1.0
    rows: int = 1
    priority: Priority = Priority.DEFAULT
    timeout_s: float | None = None
    returns: int = 0


@dataclass(frozen=True, slots=True)
class Death:
    """Worker number `worker` dies at `at_s` and a new one takes its place at `back_s`."""

    worker: int
    at_s: float
    back_s: float = math.inf


@dataclass(frozen=True, slots=True)
class Setup:
    """A system and its load; times in seconds.

    `way_s` and `way_cv`: from a gateway to a worker, and back. `turn_s`: how long a gateway
    gathers requests for a frame. `overhead_s`: what workers take o to be until gateways report.
    `gap_s`: between two runs of a worker.
    """

    models: tuple[SimulatedModel, ...]
    traffic: tuple[Traffic, ...]
    duration_s: float
    workers: int = 1
    gateways: int = 1
    seed: int = 1
    way_s: float = 0.0005
    way_cv: float = 0.5
    turn_s: float = 0.0003
    overhead_s: float = 0.004
    gap_s: float = 0.0
    lease_s: float = 1.5
    deaths: tuple[Death, ...] = ()
    shares: LaneShares = field(default_factory=LaneShares)
