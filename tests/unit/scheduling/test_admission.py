"""Admission: who is let in, and when the others may come back."""

from __future__ import annotations

import pytest

from bridge.scheduling.admission import Admission, Capacity, Permit, Refusal
from bridge.scheduling.service_time import ServiceTime

# S(4) = 1 s and no overhead: every figure below can be counted on the fingers.
SERVICE = ServiceTime(fixed_s=0.5, per_row_s=0.125, jitter=0.0)
ONE = Capacity(workers=1, batch_rows=4, service=SERVICE, overhead_s=0.0)


def filled(rows: int) -> Admission:
    """An admission with so many rows in flight."""
    admission = Admission()
    admission.rows_in_flight = rows
    return admission


def refusal(admission: Admission, rows: int, wanted_by_s: float, capacity: Capacity) -> Refusal:
    decision = admission.admit(0.0, rows, wanted_by_s, capacity)
    assert isinstance(decision, Refusal)
    return decision


def is_let_in(admission: Admission, rows: int, wanted_by_s: float, capacity: Capacity) -> bool:
    return isinstance(admission.admit(0.0, rows, wanted_by_s, capacity), Permit)


@pytest.mark.parametrize(
    ("in_flight", "rows", "wanted_by_s", "let_in"),
    [
        (3, 1, 2.0, True),  # one run after the rest of the present one
        (3, 1, 1.9, False),
        (4, 1, 2.0, False),  # a second run
        (4, 1, 3.0, True),
        (3, 2, 2.0, False),
        (7, 1, 3.0, True),
    ],
)
def test_a_request_is_let_in_if_its_run_ends_in_time(
    in_flight: int, rows: int, wanted_by_s: float, let_in: bool
) -> None:
    assert is_let_in(filled(in_flight), rows, wanted_by_s, ONE) is let_in


def test_the_present_time_counts() -> None:
    assert isinstance(filled(3).admit(0.5, 1, 2.5, ONE), Permit)
    assert isinstance(filled(3).admit(0.5, 1, 2.25, ONE), Refusal)


def test_the_overhead_counts() -> None:
    slow = Capacity(workers=1, batch_rows=4, service=SERVICE, overhead_s=0.25)
    assert not is_let_in(filled(3), 1, 2.0, slow)
    assert is_let_in(filled(3), 1, 2.25, slow)


def test_workers_share_what_is_in_flight() -> None:
    three = Capacity(workers=3, batch_rows=4, service=SERVICE, overhead_s=0.0)
    assert is_let_in(filled(11), 1, 2.0, three)
    assert not is_let_in(filled(12), 1, 2.0, three)


def test_every_gateway_is_taken_to_have_as_much_in_flight() -> None:
    two = Capacity(workers=1, batch_rows=4, service=SERVICE, gateways=2, overhead_s=0.0)
    assert is_let_in(filled(1), 2, 2.0, two)
    assert not is_let_in(filled(2), 1, 2.0, two)


@pytest.mark.parametrize("rows", [1, 10_000])
def test_a_lone_request_is_always_let_in(rows: int) -> None:
    assert is_let_in(Admission(), rows, 0.0, ONE)


def test_a_refused_request_takes_no_room() -> None:
    admission = filled(4)
    refusal(admission, 1, 1.0, ONE)
    assert admission.rows_in_flight == 4


def test_room_comes_in_whole_runs_after_the_present_one() -> None:
    # 9 rows take three runs and the rest of the present one; by 3.5 s that is half a run too late.
    assert refusal(filled(8), 1, 3.5, ONE).retry_after_s == 2.0


def test_a_request_that_never_fits_among_others_may_come_when_the_queue_is_empty() -> None:
    assert refusal(filled(5), 1000, 1.0, ONE).retry_after_s == 3.0


def test_a_service_whose_time_varies_asks_to_wait_longer() -> None:
    unsteady = ServiceTime(fixed_s=0.5, per_row_s=0.125, jitter=0.5)
    capacity = Capacity(workers=1, batch_rows=4, service=unsteady, overhead_s=0.0)
    assert refusal(filled(8), 1, 3.5, capacity).retry_after_s == 3.0


def test_a_permit_gives_its_room_back_once() -> None:
    admission = filled(0)
    first = admission.admit(0.0, 3, 100.0, ONE)
    second = admission.admit(0.0, 5, 100.0, ONE)
    assert isinstance(first, Permit)
    assert isinstance(second, Permit)
    first.release()
    first.release()
    assert admission.rows_in_flight == 5


def test_a_permit_says_for_how_many_rows() -> None:
    permit = Admission().admit(0.0, 7, 100.0, ONE)
    assert isinstance(permit, Permit)
    assert permit.rows == 7
