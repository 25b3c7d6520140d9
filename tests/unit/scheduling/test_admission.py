"""Admission: who is let in, and when the others may come back."""

from __future__ import annotations

import pytest

from bridge.scheduling.admission import (
    RETRY_AFTER_S_MAX,
    RETURN_SHARE,
    Admission,
    Permit,
    Refusal,
)
from bridge.scheduling.ask import Ask, Priority
from bridge.scheduling.forecast import Capacity
from tests.unit.scheduling.capacities import capacity, no_overhead

KEY = "model@1"


def opened(serving: Capacity | None = None) -> Admission:
    admission = Admission(no_overhead())
    admission.set_capacity(KEY, serving or capacity())
    return admission


def filled(rows: int, serving: Capacity | None = None) -> Admission:
    """An admission that has let so many rows in just now, one at a time."""
    admission = opened(serving)
    for _ in range(rows):
        assert isinstance(admission.admit(0.0, Ask(KEY, 1, 1000.0)), Permit)
    return admission


def refusal(admission: Admission, wanted_by_s: float, now_s: float = 0.0) -> Refusal:
    decision = admission.admit(now_s, Ask(KEY, 1, wanted_by_s))
    assert isinstance(decision, Refusal)
    return decision


def is_let_in(admission: Admission, rows: int, wanted_by_s: float, now_s: float = 0.0) -> bool:
    return isinstance(admission.admit(now_s, Ask(KEY, rows, wanted_by_s)), Permit)


@pytest.mark.parametrize(
    ("in_flight", "rows", "wanted_by_s", "let_in"),
    [
        (1, 1, 1.625, True),  # the run of one row, S(1) = 0.625 s, then a full batch
        (1, 1, 1.6, False),
        (1, 4, 1.625, True),
        (1, 5, 1.625, False),  # a second batch
        (1, 5, 2.625, True),
        (4, 1, 1.625, True),  # three wait behind the first
        (5, 1, 1.625, False),
    ],
)
def test_a_request_is_let_in_if_its_run_ends_in_time(
    in_flight: int, rows: int, wanted_by_s: float, let_in: bool
) -> None:
    assert is_let_in(filled(in_flight), rows, wanted_by_s) is let_in


def test_what_has_passed_of_the_present_run_counts() -> None:
    assert is_let_in(filled(1), 1, 1.625, now_s=0.5)


def test_a_request_that_is_alone_is_let_in_whatever_it_wants() -> None:
    assert is_let_in(opened(), 10_000, 0.0)


def test_a_refused_request_takes_no_room() -> None:
    admission = filled(1)
    refusal(admission, 1.0)
    assert admission.own_rows(KEY) == 1


def test_a_permit_gives_its_room_back_once() -> None:
    admission = opened()
    first = admission.admit(0.0, Ask(KEY, 3, 100.0))
    second = admission.admit(0.0, Ask(KEY, 5, 100.0))
    assert isinstance(first, Permit)
    assert isinstance(second, Permit)
    first.release()
    first.release()
    assert admission.own_rows(KEY) == 5


def test_a_permit_says_when_the_answer_is_expected() -> None:
    permit = opened().admit(1.0, Ask(KEY, 4, 100.0))
    assert isinstance(permit, Permit)
    assert permit.expected_s == 2.0


def test_the_first_refused_may_come_when_it_would_be_in_time() -> None:
    assert refusal(filled(1), 1.0).retry_after_s == 0.625


def test_the_next_refused_may_come_when_the_first_has_been_served() -> None:
    admission = filled(1)
    refusal(admission, 1.0)
    # Four rows a second, of which a share is for those who come back.
    expected_s = 0.625 + 1 / (4 * RETURN_SHARE)
    assert refusal(admission, 1.0).retry_after_s == pytest.approx(expected_s)


def test_no_hint_is_longer_than_its_bound() -> None:
    admission = filled(1)
    hints_s = [refusal(admission, 1.0).retry_after_s for _ in range(50)]
    assert max(hints_s) == RETRY_AFTER_S_MAX


def test_a_request_that_is_not_refused_early_is_not_counted() -> None:
    admission = opened()
    assert admission.refuse_early(0.0, Ask(KEY, 1, 1.0)) == []
    assert admission.own_rows(KEY) == 0


def test_an_early_refusal_is_the_one_that_admit_gives() -> None:
    early = filled(1).refuse_early(0.0, Ask(KEY, 1, 1.0))
    assert early == [refusal(filled(1), 1.0)]


def test_no_place_is_kept_where_nobody_of_higher_priority_asks() -> None:
    admission = opened()
    admission.admit(0.0, Ask(KEY, 1, 1000.0, Priority.SHEDDABLE))
    decision = admission.admit(0.0, Ask(KEY, 4, 1.625, Priority.SHEDDABLE))
    assert isinstance(decision, Permit)


def test_places_are_kept_for_the_critical_who_ask() -> None:
    admission = opened()
    admission.admit(0.0, Ask(KEY, 1, 1000.0, Priority.CRITICAL))
    assert isinstance(admission.admit(0.0, Ask(KEY, 4, 1.625)), Refusal)


def test_the_critical_have_the_places_that_are_kept_for_them() -> None:
    admission = opened()
    admission.admit(0.0, Ask(KEY, 1, 1000.0, Priority.CRITICAL))
    decision = admission.admit(0.0, Ask(KEY, 4, 1.625, Priority.CRITICAL))
    assert isinstance(decision, Permit)


def test_nothing_is_known_of_a_model_without_capacity() -> None:
    assert Admission(no_overhead()).forecast(KEY) is None


def test_a_lone_request_is_let_in_although_another_model_was_asked_for_just_now() -> None:
    admission = opened()
    admission.set_capacity("busy@1", capacity(target_s=1.0))
    for number in range(100):
        answered = admission.admit(number / 100, Ask("busy@1", 4, number / 100 + 100.0))
        if isinstance(answered, Permit):
            answered.release()
    assert isinstance(admission.admit(1.0, Ask(KEY, 1, 1.1)), Permit)
