"""Systems to simulate, sized so that a batch takes some tens of requests."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from bridge.scheduling.batch_size import batch_rows
from bridge.scheduling.service_time import ServiceTime
from bridge.scheduling.simulation import (
    Death,
    Outcome,
    Phase,
    Setup,
    SimulatedModel,
    Traffic,
    simulate,
)

ONE_ROW_S = 0.005
OVERHEAD_S = 0.004
KEY = "model@1"
SEED = 20_260
# The fit is a p95 of runs that vary by 3 %.
TAIL = 1.05
WARM_TARGETS = 10


@dataclass(frozen=True)
class Shape:
    """A model by a/c and D/S(1), and who serves it."""

    fixed_per_row: float = 8
    target_per_run: float = 10
    workers: int = 1
    gateways: int = 1

    @property
    def model(self) -> SimulatedModel:
        per_row_s = ONE_ROW_S / (self.fixed_per_row + 1)
        return SimulatedModel(
            KEY,
            fixed_s=self.fixed_per_row * per_row_s,
            per_row_s=per_row_s,
            target_s=self.target_per_run * ONE_ROW_S,
        )

    @property
    def batch_rows(self) -> int:
        model = self.model
        known = ServiceTime(model.fixed_s * TAIL, model.per_row_s * TAIL)
        return batch_rows(known, model.target_s, OVERHEAD_S, None)

    @property
    def rows(self) -> int:
        """The rows of a request: small batches have one, large ones would only take longer."""
        return max(1, self.batch_rows // (24 if self.workers == 1 else 12))

    @property
    def rows_per_s(self) -> float:
        """X(B) of all workers."""
        return self.workers * self.batch_rows / self.model.mean_s(self.batch_rows)

    @property
    def requests_per_s(self) -> float:
        return self.rows_per_s / self.rows


@cache
def offered(
    shape: Shape,
    loads: tuple[tuple[float, float], ...],
    cv: float = 1.0,
    returns: int = 0,
    deaths: tuple[Death, ...] = (),
) -> Outcome:
    """Simulate phases of (targets, load); a load of 1 is X(B)."""
    target_s = shape.model.target_s
    phases = tuple(
        Phase(targets * target_s, load * shape.requests_per_s) for targets, load in loads
    )
    traffic = Traffic(KEY, phases, cv=cv, rows=shape.rows, returns=returns)
    return simulate(
        Setup(
            models=(shape.model,),
            traffic=(traffic,),
            duration_s=sum(phase.lasts_s for phase in phases),
            workers=shape.workers,
            gateways=shape.gateways,
            seed=SEED,
            overhead_s=OVERHEAD_S,
            deaths=deaths,
        )
    )
