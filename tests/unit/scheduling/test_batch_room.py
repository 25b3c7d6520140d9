"""How much of the batch lane a gateway fills."""

from __future__ import annotations

import pytest

from bridge.scheduling.admission import Refusal
from bridge.scheduling.batch_room import (
    PACE_S_MIN,
    RETRY_AFTER_S_MAX,
    RETRY_AFTER_S_UNKNOWN,
    BatchPermit,
    BatchRoom,
)


def entered(room: BatchRoom, rows: int, size: int = 1, now_s: float = 0.0) -> BatchPermit:
    permit = room.enter(now_s, rows, size)
    assert isinstance(permit, BatchPermit)
    return permit


def refused_s(room: BatchRoom, rows: int, size: int = 1, now_s: float = 0.0) -> float:
    refusal = room.enter(now_s, rows, size)
    assert isinstance(refusal, Refusal)
    return refusal.retry_after_s


def test_rows_are_bounded() -> None:
    room = BatchRoom(rows_max=100, bytes_max=1_000)
    entered(room, 60)
    entered(room, 40)
    refused_s(room, 1)


def test_bytes_are_bounded() -> None:
    room = BatchRoom(rows_max=100, bytes_max=1_000)
    entered(room, 1, 999)
    refused_s(room, 1, 2)


def test_what_is_larger_than_the_room_comes_in_alone() -> None:
    room = BatchRoom(rows_max=100, bytes_max=1_000)
    large = entered(room, 500)
    refused_s(room, 1)
    large.release()
    entered(room, 1)
    refused_s(room, 500)


def test_rows_are_released_once_each() -> None:
    room = BatchRoom(rows_max=100, bytes_max=1_000)
    permit = entered(room, 100)
    permit.release(40)
    permit.release(80)
    permit.release()
    assert room.taken == 0.0


def test_nothing_is_left_of_a_room_that_was_filled_and_emptied_in_odd_portions() -> None:
    room = BatchRoom(rows_max=1_000, bytes_max=10_000)
    permits = [entered(room, 7, 3) for _ in range(100)]
    for permit in permits:
        for _ in range(7):
            permit.release(1)
    assert room.taken == 0.0


def test_a_hint_is_how_long_the_rows_take_to_leave_at_the_present_pace() -> None:
    room = BatchRoom(rows_max=100, bytes_max=1_000)
    permit = entered(room, 100)
    assert refused_s(room, 10) == RETRY_AFTER_S_UNKNOWN
    permit.release(50)
    entered(room, 50, now_s=0.5)  # 50 rows have left in half a second
    assert refused_s(room, 20, now_s=0.5) == pytest.approx(0.2)


def test_a_hint_is_never_longer_than_the_limit() -> None:
    room = BatchRoom(rows_max=100, bytes_max=1_000)
    permit = entered(room, 100)
    permit.release(1)
    assert refused_s(room, 100, now_s=10.0) == RETRY_AFTER_S_MAX


def test_the_pace_is_not_taken_over_a_moment() -> None:
    room = BatchRoom(rows_max=100, bytes_max=1_000)
    permit = entered(room, 100)
    permit.release(50)
    entered(room, 50, now_s=PACE_S_MIN / 2)
    assert refused_s(room, 20, now_s=PACE_S_MIN / 2) == RETRY_AFTER_S_UNKNOWN
