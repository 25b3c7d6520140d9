"""What admission promises in its docstrings, for any model of time and any load."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from hypothesis import assume, given
from hypothesis import strategies as st

from bridge.scheduling.admission import Admission, Line, Permit, Refusal
from bridge.scheduling.ask import Ask, Priority
from bridge.scheduling.forecast import Capacity, Forecast
from bridge.scheduling.overhead import Overhead
from bridge.scheduling.service_time import ServiceTime

KEY = "model@1"

# Fractions of two, so that the arithmetic of the policy and of the test is exact.
ticks = st.integers(1, 2**12).map(lambda count: count / 2**10)
capacities = st.builds(
    lambda workers, batch, gateways, fixed_s, per_row_s, target_s: Capacity(
        workers=frozenset(map(str, range(workers))),
        batch_rows=batch,
        online_rows=batch,
        service=ServiceTime(fixed_s, per_row_s / 16),
        target_s=16 * target_s,
        gateways=gateways,
    ),
    st.integers(1, 4),
    st.integers(1, 16),
    st.sampled_from([1, 2, 3]),
    ticks,
    ticks,
    ticks,
)
asks = st.lists(st.tuples(st.integers(1, 40), ticks.map(lambda s: 16 * s)), max_size=30)


def overhead_of(seconds: float) -> Overhead:
    overhead = Overhead()
    overhead.typical_s = overhead.worst_s = seconds
    return overhead


overheads = st.integers(0, 64).map(lambda count: overhead_of(count / 2**10))


def opened(capacity: Capacity, overhead: Overhead) -> Admission:
    admission = Admission(overhead)
    admission.set_capacity(KEY, capacity)
    return admission


def ends_s(capacity: Capacity, rows: int) -> list[float]:
    """When each of `rows` rows ends that came together: the first alone, then full batches."""
    service, batch_rows = capacity.service, capacity.batch_rows
    found = [service.batch_s(1)] if rows else []
    while len(found) < rows:
        batch = min(batch_rows, rows - len(found))
        found += [found[-1] + service.batch_s(batch)] * batch
    return found


@given(capacities, st.integers(1, 60), ticks)
def test_who_is_let_in_at_one_worker_that_keeps_to_its_time_is_done_in_time(
    several: Capacity, count: int, target_s: float
) -> None:
    capacity = replace(several, workers=frozenset({"0"}), gateways=1)
    admission = opened(capacity, overhead_of(0.0))
    wanted_by_s = 16 * target_s
    decisions = [admission.admit(0.0, Ask(KEY, 1, wanted_by_s)) for _ in range(count)]
    admitted = sum(isinstance(decision, Permit) for decision in decisions)
    # The first was alone, and is let in whatever it wants.
    assert max([0.0, *ends_s(capacity, admitted)[1:]]) <= wanted_by_s * (1 + 1e-9)


@given(capacities, overheads, asks)
def test_what_waits_behind_the_runs_is_bounded_by_the_time_wanted(
    capacity: Capacity, overhead: Overhead, wanted: list[tuple[int, float]]
) -> None:
    admission = opened(capacity, overhead)
    run_s = capacity.service.batch_s(capacity.longest_rows)
    for rows, wanted_by_s in wanted:
        was_alone = not admission.own_rows(KEY)
        decision = admission.admit(0.0, Ask(KEY, rows, wanted_by_s))
        if isinstance(decision, Refusal) or was_alone:
            continue
        runs = wanted_by_s / run_s + 1
        most = len(capacity.workers) * (capacity.batch_rows * runs + capacity.longest_rows)
        assert admission.own_rows(KEY) <= most + capacity.batch_rows


@given(capacities, overheads, asks, st.randoms(use_true_random=False))
def test_rows_in_flight_are_those_of_the_permits_not_released(
    capacity: Capacity, overhead: Overhead, wanted: list[tuple[int, float]], random: Random
) -> None:
    admission = opened(capacity, overhead)
    held: list[Permit] = []
    for rows, wanted_by_s in wanted:
        decision = admission.admit(0.0, Ask(KEY, rows, wanted_by_s))
        if isinstance(decision, Permit):
            held.append(decision)
        if held and random.random() < 0.5:
            permit = held.pop(random.randrange(len(held)))
            permit.release()
            permit.release()
        assert admission.own_rows(KEY) == sum(permit.rows for permit in held)


@given(capacities, overheads, st.integers(0, 500), st.integers(1, 100), st.integers(1, 40))
def test_more_rows_in_flight_never_make_the_finish_earlier(
    capacity: Capacity, overhead: Overhead, in_flight: int, more: int, rows: int
) -> None:
    few, many = Forecast(capacity), Forecast(capacity)
    for forecast, count in ((few, in_flight), (many, in_flight + more)):
        for _ in range(count):
            forecast.enter(0.0, 1, 1000.0, 0.0)
        forecast.forget_runs()
    assert many.bound_s(0.0, rows, 0, overhead) >= few.bound_s(0.0, rows, 0, overhead)


@given(capacities, overheads, st.integers(0, 200), st.integers(0, 50), st.integers(1, 40))
def test_more_places_kept_never_make_the_finish_earlier(
    capacity: Capacity, overhead: Overhead, in_flight: int, reserved: int, rows: int
) -> None:
    forecast = Forecast(capacity)
    for _ in range(in_flight):
        forecast.enter(0.0, 1, 1000.0, 0.0)
    bounds_s = [forecast.bound_s(0.0, rows, kept, overhead) for kept in (reserved, reserved + 1)]
    assert bounds_s == sorted(bounds_s)


@given(capacities, st.lists(st.tuples(ticks, st.integers(1, 9)), max_size=20))
def test_no_place_is_kept_for_higher_priorities_that_do_not_ask(
    capacity: Capacity, arrivals: list[tuple[float, int]]
) -> None:
    line = Line(capacity)
    for now_s, rows in sorted(arrivals):
        line.observe_ask(now_s, rows, Priority.SHEDDABLE)
    assert [line.reserved_rows(5.0, priority) for priority in Priority] == [0, 0, 0]


@given(capacities, overheads, st.integers(1, 80), st.integers(1, 16), ticks)
def test_who_comes_back_after_the_hint_to_workers_that_went_on_is_let_in(
    capacity: Capacity, overhead: Overhead, in_flight: int, rows: int, target_s: float
) -> None:
    admission = opened(capacity, overhead)
    held = [admission.admit(0.0, Ask(KEY, 1, 1e6)) for _ in range(in_flight)]
    decision = admission.admit(0.0, Ask(KEY, rows, target_s))
    assume(isinstance(decision, Refusal))
    assert isinstance(decision, Refusal)
    # All that was in flight has been answered meanwhile, or it was told to come too early.
    later_s = decision.retry_after_s
    for permit in held:
        if isinstance(permit, Permit):
            permit.release()
    assert isinstance(admission.admit(later_s, Ask(KEY, rows, later_s + target_s)), Permit)


@given(capacities, overheads, st.integers(2, 40))
def test_who_is_refused_later_is_not_told_to_come_sooner(
    capacity: Capacity, overhead: Overhead, count: int
) -> None:
    admission = opened(capacity, overhead)
    admission.admit(0.0, Ask(KEY, 1, 1e6))
    decisions = [admission.admit(0.0, Ask(KEY, 1, 0.0)) for _ in range(count)]
    hints_s = [one.retry_after_s for one in decisions if isinstance(one, Refusal)]
    assert [0.0, *hints_s] == sorted([0.0, *hints_s])


@given(capacities, overheads, st.integers(0, 40), st.lists(st.integers(1, 9), min_size=1), ticks)
def test_those_who_come_together_are_let_in_like_one_request_with_all_their_rows(
    capacity: Capacity, overhead: Overhead, in_flight: int, sizes: list[int], target_s: float
) -> None:
    def filled() -> Admission:
        admission = opened(capacity, overhead)
        for _ in range(in_flight):
            admission.admit(0.0, Ask(KEY, 1, 1e6))
        return admission

    def is_let_in(count: int) -> bool:
        ask = Ask(KEY, sum(sizes[:count]), 16 * target_s)
        return isinstance(filled().admit(0.0, ask), Permit)

    admission = filled()
    permit, refusals = admission.admit_together(0.0, Ask(KEY, 1, 16 * target_s), sizes)
    count = len(sizes) - len(refusals)
    assert admission.own_rows(KEY) == in_flight + (0 if permit is None else sum(sizes[:count]))
    # One that is alone may come in however late it is: only of that several are not a case.
    assert count == 0 or is_let_in(count)
    assert count == len(sizes) or in_flight == 0 or not is_let_in(count + 1)


@given(capacities, overheads, st.lists(st.integers(1, 9), min_size=1), ticks)
def test_the_rows_of_a_common_permit_are_given_back_one_request_at_a_time(
    capacity: Capacity, overhead: Overhead, sizes: list[int], target_s: float
) -> None:
    admission = opened(capacity, overhead)
    permit, _ = admission.admit_together(0.0, Ask(KEY, 1, 16 * target_s), sizes)
    if permit is None:
        return
    left = permit.rows
    for rows in sizes:
        permit.release(rows)
        left = max(0, left - rows)
        assert admission.own_rows(KEY) == left


@given(capacities, overheads, st.integers(0, 40), st.integers(1, 40), ticks)
def test_who_is_not_refused_unread_is_let_in(
    capacity: Capacity, overhead: Overhead, in_flight: int, count: int, target_s: float
) -> None:
    admission = opened(capacity, overhead)
    for _ in range(in_flight):
        admission.admit(0.0, Ask(KEY, 1, 1e6))
    ask = Ask(KEY, 1, 16 * target_s)
    room = count - len(admission.refuse_early(0.0, ask, count))
    if room:
        permit, refusals = admission.admit_together(0.0, ask, [1] * room)
        assert permit is not None
        assert refusals == []
