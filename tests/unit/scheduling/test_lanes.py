"""What the batch lane gets: a share to fill, and a floor that it earns."""

from __future__ import annotations

import pytest

from bridge.scheduling.lanes import EARNED_WINDOW_US, FloorAccount, LaneShares


@pytest.mark.parametrize(("fill", "rows"), [(1.0, 64), (0.5, 32), (0.001, 1)])
def test_a_batch_is_filled_up_to_its_share_and_never_to_nothing(fill: float, rows: int) -> None:
    assert LaneShares(fill=fill).fill_rows(64) == rows


@pytest.mark.parametrize(("floor", "rows"), [(0.0, 64), (0.02, 62), (0.5, 32), (0.99, 1)])
def test_online_requests_can_count_on_what_the_floor_leaves(floor: float, rows: int) -> None:
    assert LaneShares(floor=floor).online_rows(64) == rows


def test_a_request_goes_by_right_when_its_cost_is_earned() -> None:
    account = FloorAccount(0.1)
    went = []
    for _ in range(3):
        account.book(run_us=1_000, spent_us=0, cost_us=200)
        went.append(account.pays(200))
    assert went == [False, True, True]


def test_what_was_spent_is_earned_again() -> None:
    account = FloorAccount(0.1)
    account.book(run_us=2_000, spent_us=0, cost_us=200)
    account.book(run_us=1_000, spent_us=200, cost_us=200)
    assert account.earned_us == pytest.approx(100)


def test_room_that_was_left_over_makes_no_debt() -> None:
    account = FloorAccount(0.1)
    account.book(run_us=1_000, spent_us=900, cost_us=200)
    assert account.earned_us == 0


def test_no_more_than_the_floor_over_a_second_is_saved_up() -> None:
    account = FloorAccount(0.1)
    account.book(run_us=100 * EARNED_WINDOW_US, spent_us=0, cost_us=200)
    assert account.earned_us == pytest.approx(0.1 * EARNED_WINDOW_US)


def test_a_request_that_costs_more_than_that_can_still_be_earned() -> None:
    account = FloorAccount(0.1)
    account.book(run_us=100 * EARNED_WINDOW_US, spent_us=0, cost_us=EARNED_WINDOW_US)
    assert account.pays(EARNED_WINDOW_US)


def test_without_a_floor_nothing_goes_by_right() -> None:
    assert not FloorAccount(0.0).pays(0.0)
