"""How many frames a read may take, from what the last reads brought."""

from __future__ import annotations

from bridge.scheduling.lanes import ModelLane
from tests.unit.workers.taken import entry, taken
from workers.intake import ACTIVE_S, READ_FRAMES_MAX, Intake

ONLINE = ModelLane("m@1", "online")
JOBS = ModelLane("m@1", "batch")
OTHER = ModelLane("n@1", "online")
LATER_S = ACTIVE_S + 0.1


def intake(**rows_by_lane: int) -> Intake:
    """An intake that has seen one frame of so many rows of each lane, at 0 s."""
    lanes = {"online": ONLINE, "jobs": JOBS, "other": OTHER}
    intake = Intake(lanes.values(), 0.0)
    for name, rows in rows_by_lane.items():
        intake.learn(lanes[name], [taken(entry(rows))], 0.0)
    return intake


def test_a_read_takes_the_frames_that_hold_the_rows_wanted() -> None:
    assert intake(online=4).count({ONLINE: 20}, 0.5) == 5


def test_a_read_takes_at_least_one_frame() -> None:
    assert intake(online=4).count({ONLINE: 1}, 0.5) == 1


def test_a_lane_that_was_quiet_does_not_limit_the_others() -> None:
    seen = intake(online=4, other=100)
    seen.learn(ONLINE, [taken(entry(4))], LATER_S)
    assert seen.count({ONLINE: 20, OTHER: 1}, LATER_S) == 5


def test_the_least_that_any_lane_in_use_may_take_counts_for_all() -> None:
    assert intake(online=4, other=10).count({ONLINE: 20, OTHER: 20}, 0.5) == 2


def test_where_nothing_is_in_use_the_bound_of_a_read_counts() -> None:
    assert intake().count({ONLINE: 20}, 0.5) == READ_FRAMES_MAX


def test_a_batch_lane_is_in_use_at_first_and_read_frame_by_frame() -> None:
    seen = intake()
    assert (seen.is_in_use(JOBS, 0.5), seen.count({JOBS: 64}, 0.5)) == (True, 1)


def test_a_batch_lane_without_frames_is_soon_not_in_use() -> None:
    assert not intake().is_in_use(JOBS, LATER_S)


def test_a_lane_that_is_full_stays_in_use() -> None:
    seen = intake(online=4, jobs=16)
    assert seen.leaves_out({ONLINE: 20}, LATER_S)
    assert seen.is_in_use(JOBS, LATER_S + 0.5)


def test_lanes_that_never_had_frames_are_not_missed() -> None:
    assert not intake(online=4).leaves_out({ONLINE: 20}, 0.5)


def test_junk_teaches_nothing() -> None:
    seen = intake()
    seen.learn(ONLINE, [], 0.0)
    assert not seen.is_in_use(ONLINE, 0.5)
