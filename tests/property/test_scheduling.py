"""What the policies promise in their docstrings, for any model of time and any load."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from bridge.scheduling.batch_size import BATCH_ROWS_CEILING, batch_rows, keeps_target
from bridge.scheduling.service_time import JITTER_MIN, ServiceTime

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


@given(services, targets, overheads, caps, seconds, seconds)
def test_a_longer_run_allowed_never_means_a_smaller_batch(
    service: ServiceTime,
    target_s: float,
    overhead_s: float,
    cap: int | None,
    first_s: float,
    second_s: float,
) -> None:
    shorter_s, longer_s = sorted((first_s, second_s))
    small = batch_rows(service, target_s, overhead_s, cap, shorter_s)
    assert small <= batch_rows(service, target_s, overhead_s, cap, longer_s)


@given(services, targets, overheads, caps, seconds)
def test_no_run_of_more_than_one_row_lasts_longer_than_allowed(
    service: ServiceTime, target_s: float, overhead_s: float, cap: int | None, longest_s: float
) -> None:
    rows = batch_rows(service, target_s, overhead_s, cap, longest_s)
    assume(rows > 1)
    assert service.batch_s(rows) <= longest_s * (1 + 1e-9)


@given(services, targets, overheads, caps)
def test_a_batch_of_several_rows_keeps_the_target(
    service: ServiceTime, target_s: float, overhead_s: float, cap: int | None
) -> None:
    assume(batch_rows(service, target_s, overhead_s, cap) > 1)
    assert keeps_target(service, target_s, overhead_s)


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
