"""What the policies promise in their docstrings, for any model of time and any load."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bridge.scheduling.admission import Admission, Capacity, Permit, Refusal
from bridge.scheduling.batch_size import BATCH_ROWS_CEILING, batch_rows
from bridge.scheduling.service_time import JITTER_MIN, ServiceTime, ServiceTimeFit

seconds = st.floats(1e-6, 10.0)
services = st.builds(
    ServiceTime,
    fixed_s=st.floats(1e-7, 1.0),
    per_row_s=st.floats(0.0, 0.1),
    jitter=st.floats(JITTER_MIN, 0.5),
)
targets = st.floats(0.001, 60.0)
overheads = st.floats(0.0, 0.1)
caps = st.none() | st.integers(1, 4096)


@given(services, targets, overheads, caps)
def test_who_just_missed_a_batch_still_makes_the_next_within_the_target(
    service: ServiceTime, target_s: float, overhead_s: float, cap: int | None
) -> None:
    rows = batch_rows(service, target_s, overhead_s, cap)
    assume(rows > 1)
    # It waits for the whole batch that it missed, then its own runs, both slower by the jitter.
    longest_s = overhead_s + 2 * service.batch_s(rows) / (1 - service.jitter)
    assert longest_s <= target_s * (1 + 1e-9)


@given(services, targets, overheads, caps)
def test_a_batch_has_at_least_one_row_and_at_most_the_cap(
    service: ServiceTime, target_s: float, overhead_s: float, cap: int | None
) -> None:
    rows = batch_rows(service, target_s, overhead_s, cap)
    assert 1 <= rows <= min(BATCH_ROWS_CEILING, cap or BATCH_ROWS_CEILING)


@given(services, targets, targets, overheads, caps)
def test_a_longer_target_never_means_a_smaller_batch(
    service: ServiceTime, first_s: float, second_s: float, overhead_s: float, cap: int | None
) -> None:
    shorter_s, longer_s = sorted((first_s, second_s))
    small = batch_rows(service, shorter_s, overhead_s, cap)
    assert small <= batch_rows(service, longer_s, overhead_s, cap)


@given(services, targets, overheads, caps)
def test_one_row_less_would_lose_throughput_or_the_target_allows_no_more(
    service: ServiceTime, target_s: float, overhead_s: float, cap: int | None
) -> None:
    rows = batch_rows(service, target_s, overhead_s, cap)
    limit = min(BATCH_ROWS_CEILING, cap or BATCH_ROWS_CEILING)
    assume(rows < limit)
    next_s = overhead_s + 2 * service.batch_s(rows + 1) / (1 - service.jitter)
    is_near_peak = service.rows_per_s(rows) >= 0.98 * service.rows_per_s(limit) * (1 - 1e-9)
    assert next_s > target_s * (1 - 1e-9) or is_near_peak


@given(
    st.floats(1e-5, 1.0),
    st.floats(1e-6, 0.1),
    st.lists(st.integers(1, 1024), min_size=2, max_size=200, unique=True),
)
def test_a_fit_recovers_the_line_that_its_runs_lie_on(
    fixed_s: float, per_row_s: float, sizes: list[int]
) -> None:
    fit = ServiceTimeFit()
    for rows in sizes:
        fit.observe(rows, fixed_s + per_row_s * rows)
    service = fit.estimate()
    # A small share of a long run is lost in the rounding of its time.
    assert service.per_row_s == pytest.approx(per_row_s, rel=1e-6, abs=1e-9)
    assert service.fixed_s == pytest.approx(fixed_s, rel=1e-6, abs=1e-6)
    assert service.jitter == pytest.approx(JITTER_MIN)


@given(st.lists(st.tuples(st.integers(1, 1024), st.floats(0.0, 60.0)), min_size=1, max_size=50))
def test_a_fit_never_promises_negative_or_no_time(runs: list[tuple[int, float]]) -> None:
    fit = ServiceTimeFit()
    for rows, run_s in runs:
        fit.observe(rows, run_s)
    service = fit.estimate()
    assert service.fixed_s > 0
    assert service.per_row_s >= 0
    assert service.jitter >= JITTER_MIN


# Fractions of two, so that the arithmetic of the policy and of the test is exact.
ticks = st.integers(1, 2**12).map(lambda count: count / 2**10)
capacities = st.builds(
    lambda workers, batch, gateways, fixed, per_row, overhead: Capacity(
        workers=workers,
        batch_rows=batch * gateways,
        service=ServiceTime(fixed, per_row / 16),
        gateways=gateways,
        overhead_s=overhead / 16,
    ),
    st.integers(1, 4),
    st.integers(1, 8),
    st.sampled_from([1, 2, 3]),
    ticks,
    ticks,
    ticks,
)
requests = st.lists(st.tuples(st.integers(1, 40), ticks.map(lambda s: 16 * s)), max_size=30)


@given(capacities, requests)
def test_what_is_in_flight_never_exceeds_what_can_be_answered_in_time(
    capacity: Capacity, wanted: list[tuple[int, float]]
) -> None:
    admission = Admission()
    run_s = Fraction(capacity.service.batch_s(capacity.batch_rows))
    for rows, target_s in wanted:
        was_alone = admission.rows_in_flight == 0
        decision = admission.admit(0.0, rows, target_s, capacity)
        if isinstance(decision, Refusal) or was_alone:
            continue
        left = (Fraction(target_s) - Fraction(capacity.overhead_s)) / run_s - 1
        assert admission.rows_in_flight <= capacity.workers * capacity.batch_rows * left


@given(capacities, st.integers(1, 200), st.integers(1, 40), ticks)
def test_who_comes_back_after_the_hint_is_let_in(
    capacity: Capacity, in_flight: int, rows: int, target_s: float
) -> None:
    admission = Admission()
    admission.rows_in_flight = in_flight
    decision = admission.admit(0.0, rows, target_s, capacity)
    assume(isinstance(decision, Refusal))
    assert isinstance(decision, Refusal)
    later_s = decision.retry_after_s
    # Meanwhile the workers have ended that many runs, and this gateway's share of the rows is out.
    runs = int(Fraction(later_s) / Fraction(capacity.service.batch_s(capacity.batch_rows)))
    drained = runs * capacity.workers * capacity.batch_rows // capacity.gateways
    admission.rows_in_flight = max(0, in_flight - drained)
    again = admission.admit(later_s, rows, later_s + target_s, capacity)
    assert isinstance(again, Permit)


@given(capacities, requests, st.randoms(use_true_random=False))
def test_rows_in_flight_are_those_of_the_permits_not_released(
    capacity: Capacity, wanted: list[tuple[int, float]], random: object
) -> None:
    admission = Admission()
    held: list[Permit] = []
    for rows, target_s in wanted:
        decision = admission.admit(0.0, rows, target_s, capacity)
        if isinstance(decision, Permit):
            held.append(decision)
        if held and random.random() < 0.5:  # type: ignore[attr-defined]
            permit = held.pop(random.randrange(len(held)))  # type: ignore[attr-defined]
            permit.release()
            permit.release()
        assert admission.rows_in_flight == sum(permit.rows for permit in held)
