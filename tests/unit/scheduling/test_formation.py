"""Who runs next, with whom: due times, lanes, the floor, early drops."""

from __future__ import annotations

import math

import pytest

from bridge.scheduling.formation import Formation
from bridge.scheduling.forming import CLOCK_SANE_US, WAY_BACK_US, Pace
from bridge.scheduling.lanes import LaneShares, ModelLane
from tests.unit.scheduling.waiting import Ask, names, put, singles, take

B = 8
ROW_US = 1_000.0


def pace(batch_rows: int = B, row_us: float = ROW_US, target_us: float = math.inf) -> Pace:
    return Pace(batch_rows, lambda rows: rows * row_us, target_us)


def formation(*, fill: float = 1.0, floor: float = 0.0, **paces: Pace) -> Formation[Ask]:
    """A formation for `m@1`, or for the models given as `a=pace`."""
    by_key = {f"{name}@1": item for name, item in (paces or {"m": pace()}).items()}
    return Formation(by_key, LaneShares(fill, floor))


def test_nothing_waits_at_first() -> None:
    assert formation().take(0, lambda _: False) is None


def test_what_is_there_is_given_out_at_once() -> None:
    waiting = formation()
    put(waiting, Ask("only"))
    assert names(take(waiting).run) == ["only"]


# Between models


def test_the_model_due_first_by_its_target_goes_first_whatever_its_timeout() -> None:
    waiting = formation(patient=pace(target_us=500_000), quick=pace(target_us=10_000))
    put(waiting, Ask("patient", enqueued_us=0, deadline_us=600_000), model="patient@1")
    put(waiting, Ask("quick", enqueued_us=100, deadline_us=300_000_000), model="quick@1")
    assert [names(take(waiting).run) for _ in range(2)] == [["quick"], ["patient"]]


def test_a_deadline_before_the_target_is_when_a_request_is_due() -> None:
    waiting = formation(patient=pace(target_us=500_000), quick=pace(target_us=10_000))
    put(waiting, Ask("quick"), model="quick@1")
    put(waiting, Ask("urgent", deadline_us=9_000), model="patient@1")
    assert names(take(waiting).run) == ["urgent"]


def test_a_new_pace_moves_the_due_times() -> None:
    waiting = formation(a=pace(target_us=20_000), b=pace(target_us=10_000))
    put(waiting, Ask("a"), model="a@1")
    put(waiting, Ask("b"), model="b@1")
    waiting.set_pace("a@1", pace(target_us=5_000))
    assert names(take(waiting).run) == ["a"]


# Early drop


def test_a_head_without_time_for_the_batch_behind_it_is_dropped_and_the_batch_stays_full() -> None:
    waiting = formation()
    put(waiting, Ask("tight", deadline_us=7_999), *singles("fine", 9))
    formed = take(waiting)
    assert (names(formed.expired), formed.rows) == (["tight"], B)


def test_a_head_with_just_enough_time_for_a_full_batch_is_run() -> None:
    waiting = formation()
    put(waiting, Ask("tight", deadline_us=8_000), *singles("fine", 20))
    assert take(waiting).expired == []


def test_a_head_needs_only_the_time_for_those_that_run_with_it() -> None:
    waiting = formation()
    put(waiting, Ask("tight", deadline_us=3_000), *singles("fine", 2))
    assert names(take(waiting).run) == ["tight", "fine0", "fine1"]


def test_a_request_larger_than_a_batch_needs_the_time_for_its_own_run() -> None:
    waiting = formation()
    put(waiting, Ask("large", rows=20, deadline_us=19_000), Ask("fine"))
    formed = take(waiting)
    assert (names(formed.expired), names(formed.run)) == (["large"], ["fine"])


def test_a_head_without_enough_time_is_tried_when_nothing_else_waits() -> None:
    waiting = formation()
    put(waiting, Ask("tight", deadline_us=1))
    assert names(take(waiting).run) == ["tight"]


def test_other_models_requests_are_something_else_that_waits() -> None:
    waiting = formation(a=pace(), b=pace())
    put(waiting, Ask("tight", deadline_us=1), model="a@1")
    put(waiting, Ask("fine"), model="b@1")
    assert names(take(waiting).expired) == ["tight"]


def test_a_deadline_hours_ago_is_a_clock_that_jumped() -> None:
    waiting = formation()
    put(waiting, Ask("jumped", deadline_us=0), Ask("fine", deadline_us=2 * CLOCK_SANE_US))
    assert names(take(waiting, now_us=CLOCK_SANE_US).run) == ["jumped", "fine"]


def test_the_unwanted_leave_without_a_run_and_take_no_room() -> None:
    waiting = formation()
    put(waiting, Ask("gone", rows=B), *singles("here", B))
    formed = take(waiting, unwanted=["gone"])
    assert (names(formed.unwanted), formed.rows) == (["gone"], B)


# Lanes


def test_online_requests_come_first_and_the_batch_lane_fills_the_rest() -> None:
    waiting = formation()
    put(waiting, *singles("job", 10), lane="batch")
    put(waiting, *singles("call", 3))
    formed = take(waiting)
    assert names(formed.run)[:4] == ["call0", "call1", "call2", "job0"]
    assert (formed.online_rows, formed.batch_lane_rows) == (3, 5)


def test_the_batch_lane_fills_up_to_its_share() -> None:
    waiting = formation(fill=0.5)
    put(waiting, *singles("job", 10), lane="batch")
    put(waiting, *singles("call", 3))
    assert take(waiting).rows == B // 2


def test_online_requests_may_use_more_than_that_share() -> None:
    waiting = formation(fill=0.5)
    put(waiting, *singles("job", 10), lane="batch")
    put(waiting, *singles("call", 7))
    formed = take(waiting)
    assert (formed.online_rows, formed.batch_lane_rows) == (7, 0)


def test_requests_of_the_batch_lane_are_not_cut() -> None:
    waiting = formation()
    put(waiting, *singles("job", 3, rows=4), lane="batch")
    put(waiting, *singles("call", 3))
    assert names(take(waiting).run) == ["call0", "call1", "call2", "job0"]


def test_the_batch_lane_fills_nothing_that_would_make_an_online_request_late() -> None:
    waiting = formation(m=pace(target_us=5_000))
    put(waiting, *singles("job", 10), lane="batch")
    put(waiting, *singles("call", 3))
    assert take(waiting).batch_lane_rows == 2


def test_rows_of_other_shapes_fill_no_batch() -> None:
    waiting = formation()
    put(waiting, Ask("job"), lane="batch", signature=2)
    put(waiting, Ask("call"), signature=1)
    assert [names(take(waiting).run) for _ in range(2)] == [["call"], ["job"]]


def test_the_batch_lane_runs_by_itself_only_when_no_model_has_online_requests() -> None:
    waiting = formation(a=pace(), b=pace())
    put(waiting, Ask("old job"), model="a@1", lane="batch")
    put(waiting, Ask("call", enqueued_us=99), model="b@1")
    assert [names(take(waiting).run) for _ in range(2)] == [["call"], ["old job"]]


def test_the_oldest_of_several_models_batch_lanes_goes_first() -> None:
    waiting = formation(a=pace(), b=pace())
    put(waiting, Ask("young", enqueued_us=2), model="a@1", lane="batch")
    put(waiting, Ask("old", enqueued_us=1), model="b@1", lane="batch")
    assert [names(take(waiting).run) for _ in range(2)] == [["old"], ["young"]]


def test_the_batch_lane_is_never_late() -> None:
    waiting = formation()
    put(waiting, Ask("job", deadline_us=1), Ask("other"), lane="batch")
    assert names(take(waiting, now_us=1_000_000).run) == ["job", "other"]


def test_a_suspect_of_the_batch_lane_runs_alone() -> None:
    waiting = formation()
    put(waiting, Ask("call"))
    put(waiting, Ask("suspect", runs_alone=True), Ask("job"), lane="batch")
    assert [names(take(waiting).run) for _ in range(3)] == [["call"], ["suspect"], ["job"]]


def test_nothing_joins_an_online_suspect() -> None:
    waiting = formation()
    put(waiting, Ask("suspect", runs_alone=True))
    put(waiting, Ask("job"), lane="batch")
    assert names(take(waiting).run) == ["suspect"]


def test_expired_online_requests_open_no_run_of_the_batch_lane_before_others() -> None:
    waiting = formation(a=pace(), b=pace())
    put(waiting, Ask("late", deadline_us=1), model="a@1")
    put(waiting, Ask("job"), model="a@1", lane="batch")
    put(waiting, Ask("call"), model="b@1")
    formed = [take(waiting, now_us=2) for _ in range(2)]
    assert [names(item.run) for item in formed] == [[], ["call"]]


# The floor


def batch_lane_share(waiting: Formation[Ask], runs: int, rows: int, floor_rows: int = 1) -> float:
    """The batch lane's share of the rows of `runs` runs under more online load than fits."""
    seen = batch_rows = 0
    put(waiting, *singles("job", runs * B, rows=floor_rows), lane="batch")
    for turn in range(runs):
        put(waiting, *singles(f"call{turn}-", 2 * B, rows=rows))
        formed = take(waiting)
        seen += formed.rows
        batch_rows += formed.batch_lane_rows
    return batch_rows / seen


@pytest.mark.parametrize("floor", [0.02, 0.1, 0.3])
@pytest.mark.parametrize("job_rows", [1, 4])
def test_the_batch_lane_gets_its_floor_while_online_requests_fill_every_batch(
    floor: float, job_rows: int
) -> None:
    share = batch_lane_share(formation(floor=floor), 500, rows=1, floor_rows=job_rows)
    assert share == pytest.approx(floor, rel=0.1)


def test_the_floor_holds_where_online_requests_leave_no_place_for_it() -> None:
    share = batch_lane_share(formation(floor=0.1), 500, rows=B, floor_rows=4)
    assert share == pytest.approx(0.1, rel=0.1)


def test_without_a_floor_the_batch_lane_waits() -> None:
    assert batch_lane_share(formation(floor=0.0), 50, rows=1) == 0


def test_a_batch_with_places_by_right_holds_no_more_than_a_batch() -> None:
    waiting = formation(floor=0.5)
    put(waiting, *singles("job", 99, rows=3), lane="batch")
    rows = []
    for turn in range(20):
        put(waiting, *singles(f"call{turn}-", 2 * B))
        rows.append(take(waiting).rows)
    assert max(rows) == B


def test_a_model_without_online_requests_gets_its_floor_beside_a_busy_one() -> None:
    waiting = formation(floor=0.1, busy=pace(), still=pace())
    put(waiting, *singles("job", 1_000), model="still@1", lane="batch")
    run_us = {"busy@1": 0, "still@1": 0}
    for turn in range(400):
        put(waiting, *singles(f"call{turn}-", B), model="busy@1")
        formed = take(waiting)
        run_us[formed.model_key] += formed.rows
    assert run_us["still@1"] / sum(run_us.values()) == pytest.approx(0.1, rel=0.1)


# What is wanted


def test_each_lane_wants_the_rows_that_its_batch_lacks() -> None:
    waiting = formation()
    put(waiting, *singles("call", 3))
    put(waiting, *singles("job", 6), lane="batch")
    assert waiting.rows_wanted() == {ModelLane("m@1", "online"): 5, ModelLane("m@1", "batch"): 2}


def test_a_model_with_a_batch_of_online_requests_wants_nothing() -> None:
    waiting = formation()
    put(waiting, *singles("call", B))
    assert waiting.rows_wanted() == {}


def test_a_full_batch_lane_leaves_the_online_lane_wanting() -> None:
    waiting = formation()
    put(waiting, *singles("job", B), lane="batch")
    assert waiting.rows_wanted() == {ModelLane("m@1", "online"): B}


@pytest.mark.parametrize(("online", "batch", "rows"), [(3, 0, 3), (3, 2, 5), (3, 9, 8), (9, 9, 9)])
def test_the_rows_that_run_next_count_the_batch_lane_as_far_as_it_fills(
    online: int, batch: int, rows: int
) -> None:
    waiting = formation()
    put(waiting, *singles("call", online))
    put(waiting, *singles("job", batch), lane="batch")
    assert waiting.rows_next("m@1") == rows


def test_online_requests_count_on_a_whole_batch_while_no_job_waits() -> None:
    waiting = formation(floor=0.25)
    counts = [waiting.online_rows("m@1")]
    put(waiting, Ask("job"), lane="batch")
    counts.append(waiting.online_rows("m@1"))
    assert counts == [B, 6]


def stretched(rows_cap: float, target_us: float) -> int:
    """The rows of the first batch of 16 when 20 wait, each due after `target_us`."""
    waiting = formation(m=Pace(16, lambda rows: rows * ROW_US, target_us, rows_cap))
    put(waiting, *singles("a", 20))
    return take(waiting).rows


def test_a_batch_takes_what_its_last_frame_brought_up_to_an_eighth_more() -> None:
    assert stretched(math.inf, math.inf) == 17


def test_a_batch_takes_no_more_than_b_where_its_first_request_would_be_late_for_it() -> None:
    assert stretched(math.inf, 17 * ROW_US + WAY_BACK_US - 1) == 16


def test_a_batch_never_holds_more_rows_than_its_cap() -> None:
    assert stretched(16, math.inf) == 16
