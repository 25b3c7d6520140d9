"""How many rows a batch should hold so that the latency target is kept."""

from __future__ import annotations

from bridge.scheduling.service_time import ServiceTime

BATCH_ROWS_CEILING = 1024
NEAR_PEAK = 0.98


def batch_rows(
    service: ServiceTime,
    target_s: float,
    overhead_s: float,
    rows_cap: int | None,
    longest_run_s: float | None = None,
) -> int:
    """Return B, the rows of a full batch, at least 1.

    b* = ((D - o)(1 - m)/2 - a) / c is the largest batch such that a request which just missed
    one batch still makes the next within D; B is the smallest of b*, the batch at which
    throughput reaches 98 % of its peak, and the cap (design.md, section 4). `longest_run_s`
    bounds S(B) further: other models of this worker have tighter targets and must not wait longer
    for a run. A model for which even one row misses the target, or takes longer than
    `longest_run_s`, is served one row at a time: see `keeps_target` and `shortest_target_s`.
    """
    cap = min(BATCH_ROWS_CEILING, rows_cap or BATCH_ROWS_CEILING)
    budget_s = run_budget_s(target_s, overhead_s, service.jitter)
    if longest_run_s is not None:
        budget_s = min(budget_s, longest_run_s)
    rows_s = budget_s - service.fixed_s
    if service.per_row_s <= 0:
        return cap if rows_s > 0 else 1
    # Bounded before it becomes whole: for rows that cost next to nothing the quotient is infinite.
    largest = int(max(1.0, min(rows_s / service.per_row_s, float(cap))))
    return min(largest, _near_peak(service, cap))


def run_budget_s(target_s: float, overhead_s: float, jitter: float) -> float:
    """Return (D - o)(1 - m)/2: how long a run may last so that two, one after the other, keep D."""
    return (target_s - overhead_s) * max(1 - jitter, 0.0) / 2


def keeps_target(service: ServiceTime, target_s: float, overhead_s: float) -> bool:
    """Return whether any batch size keeps the target, that is b* >= 1."""
    return service.batch_s(1) <= run_budget_s(target_s, overhead_s, service.jitter)


def shortest_target_s(service: ServiceTime, overhead_s: float) -> float:
    """Return the shortest target that this model of time can keep, o + 2 S(1) / (1 - m).

    Infinite where the jitter leaves no time at all.
    """
    steady = 1 - service.jitter
    return overhead_s + 2 * service.batch_s(1) / steady if steady > 0 else float("inf")


def _near_peak(service: ServiceTime, cap: int) -> int:
    """The smallest b with X(b) >= 0.98 X(cap): b / (a + c b) >= q solved for b."""
    wanted = NEAR_PEAK * service.rows_per_s(cap)
    room = 1 - wanted * service.per_row_s
    if room <= 0:
        return cap
    return max(1, min(cap, int(-(-wanted * service.fixed_s // room))))
