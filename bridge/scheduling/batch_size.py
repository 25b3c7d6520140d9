"""How many rows a batch should hold so that the latency target is kept."""

from __future__ import annotations

from bridge.scheduling.service_time import ServiceTime

BATCH_ROWS_CEILING = 1024
NEAR_PEAK = 0.98


def batch_rows(
    service: ServiceTime, target_s: float, overhead_s: float, rows_cap: int | None
) -> int:
    """Return B, the rows of a full batch, at least 1.

    b* = ((D - o)(1 - m)/2 - a) / c is the largest batch such that a request which just missed
    one batch still makes the next within D; B is the smallest of b*, the batch at which
    throughput reaches 98 % of its peak, and the cap (design.md, section 4). A model for which
    even one row misses the target is served one row at a time.
    """
    cap = min(BATCH_ROWS_CEILING, rows_cap or BATCH_ROWS_CEILING)
    budget_s = (target_s - overhead_s) * max(1 - service.jitter, 0.0) / 2 - service.fixed_s
    if service.per_row_s <= 0:
        return cap if budget_s > 0 else 1
    # Bounded before it becomes whole: for rows that cost next to nothing the quotient is infinite.
    largest = int(max(1.0, min(budget_s / service.per_row_s, float(cap))))
    return min(largest, _near_peak(service, cap))


def _near_peak(service: ServiceTime, cap: int) -> int:
    """The smallest b with X(b) >= 0.98 X(cap): b / (a + c b) >= q solved for b."""
    wanted = NEAR_PEAK * service.rows_per_s(cap)
    room = 1 - wanted * service.per_row_s
    if room <= 0:
        return cap
    return max(1, min(cap, int(-(-wanted * service.fixed_s // room))))
