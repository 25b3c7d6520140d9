"""Capacities whose figures can be counted on the fingers: S(4) = 1 s."""

from __future__ import annotations

from bridge.scheduling.forecast import Capacity
from bridge.scheduling.overhead import Overhead
from bridge.scheduling.service_time import ServiceTime

SERVICE = ServiceTime(fixed_s=0.5, per_row_s=0.125, jitter=0.0)
BATCH_ROWS = 4


def capacity(workers: int = 1, gateways: int = 1, target_s: float = 10.0) -> Capacity:
    return Capacity(
        workers=frozenset(f"worker {number}" for number in range(workers)),
        batch_rows=BATCH_ROWS,
        online_rows=BATCH_ROWS,
        service=SERVICE,
        target_s=target_s,
        gateways=gateways,
    )


def no_overhead() -> Overhead:
    overhead = Overhead()
    overhead.typical_s = overhead.worst_s = 0.0
    return overhead
