"""Batches from what is in hand: order, size, deadlines, leases."""

from __future__ import annotations

import threading

import pytest

from bridge.scheduling.forming import CLOCK_SANE_US, Pace
from bridge.scheduling.lanes import ModelLane
from bridge.wire.frame import RequestEntry
from tests.unit.workers.taken import FAR_US, LEASE_S, entry, pace, taken
from workers.hand import CANCELLED_IDS_MAX, Batch, Hand, Slice


def hand(batch_rows: int = 4, *models: str, row_us: float = 0.0) -> Hand:
    paces: dict[str, Pace] = {key: pace(batch_rows, row_us) for key in models or ("m@1",)}
    return Hand(paces, LEASE_S)


def take(held: Hand, now_s: float = 0.0, now_us: int = 0) -> Batch:
    batch = held.take(lambda: (now_s, now_us))
    assert batch is not None
    return batch


def online_wanted(held: Hand) -> dict[str, int]:
    """The rows that each model's online lane lacks."""
    wanted = held.rows_wanted().items()
    return {lane.model_key: rows for lane, rows in wanted if lane.lane == "online"}


def entries(pieces: list[Slice]) -> list[RequestEntry]:
    return [piece.entry for piece in pieces]


def test_requests_leave_in_the_order_in_which_they_came() -> None:
    held = hand()
    first, second, third = entry(), entry(), entry()
    held.put([taken(first, second), taken(third)])
    assert entries(take(held).slices) == [first, second, third]


def test_a_batch_holds_no_more_rows_than_its_model_takes() -> None:
    held = hand(4)
    asked = [entry(2), entry(1), entry(2)]
    held.put([taken(*asked)])
    assert entries(take(held).slices) == asked[:2]
    assert entries(take(held).slices) == asked[2:]


def test_a_request_larger_than_a_batch_runs_by_itself() -> None:
    held = hand(4)
    large, small = entry(9), entry(1)
    held.put([taken(large, small)])
    assert entries(take(held).slices) == [large]


def test_requests_are_not_passed_by_smaller_ones_behind_them() -> None:
    held = hand(4)
    asked = [entry(3), entry(4), entry(1)]
    held.put([taken(*asked)])
    assert [entries(take(held).slices) for _ in range(3)] == [[item] for item in asked]


def test_the_rows_of_a_slice_are_where_the_frame_has_them() -> None:
    held = hand(8)
    held.put([taken(entry(2), entry(3), entry(1))])
    assert [(piece.start, piece.end) for piece in take(held).slices] == [(0, 2), (2, 5), (5, 6)]


def test_rows_of_different_shapes_share_no_batch() -> None:
    held = hand(8)
    narrow, wide = entry(deadline_us=FAR_US - 1), entry()
    held.put([taken(wide, width=3), taken(narrow, width=2)])
    assert entries(take(held).slices) == [narrow]
    assert entries(take(held).slices) == [wide]


def test_the_model_whose_first_request_is_due_first_runs_first() -> None:
    held = hand(4, "a@1", "b@1")
    late, soon = entry(deadline_us=FAR_US), entry(deadline_us=FAR_US - 1)
    held.put([taken(late, model_key="a@1"), taken(soon, model_key="b@1")])
    assert [take(held).model_key, take(held).model_key] == ["b@1", "a@1"]


def test_models_share_no_batch() -> None:
    held = hand(4, "a@1", "b@1")
    held.put([taken(entry(), model_key="a@1"), taken(entry(), model_key="b@1")])
    assert len(take(held).slices) == 1


def test_a_request_whose_deadline_has_passed_is_not_run() -> None:
    held = hand()
    late, due, fine = entry(deadline_us=99), entry(deadline_us=100), entry(deadline_us=101)
    held.put([taken(late, due, fine)])
    batch = take(held, now_us=100)
    assert (entries(batch.expired), entries(batch.slices)) == ([late, due], [fine])


def test_a_request_without_time_for_its_run_makes_room_for_those_behind_it() -> None:
    held = hand(row_us=10)
    tight, fine = entry(deadline_us=109), entry()
    held.put([taken(tight), taken(fine)])
    batch = take(held, now_us=100)
    assert (entries(batch.expired), entries(batch.slices)) == ([tight], [fine])


def test_a_request_without_time_for_its_run_is_tried_when_nothing_else_waits() -> None:
    held = hand(row_us=10)
    tight = entry(deadline_us=109)
    held.put([taken(tight)])
    assert entries(take(held, now_us=100).slices) == [tight]


def test_expired_requests_take_no_room_in_the_batch() -> None:
    held = hand(2)
    late, first, second = entry(2, deadline_us=1), entry(), entry()
    held.put([taken(late, first, second)])
    assert entries(take(held, now_us=100).slices) == [first, second]


def test_a_deadline_hours_ago_is_a_clock_that_jumped_and_the_request_runs() -> None:
    held = hand()
    asked = entry(deadline_us=0)
    held.put([taken(asked)])
    assert entries(take(held, now_us=CLOCK_SANE_US).slices) == [asked]


def test_a_cancelled_request_is_neither_run_nor_answered() -> None:
    held = hand()
    gone, here = entry(), entry()
    held.put([taken(gone, here)])
    held.cancel([gone.request_id])
    batch = take(held)
    assert (entries(batch.cancelled), entries(batch.slices)) == ([gone], [here])


def test_a_cancellation_may_come_before_its_request() -> None:
    held = hand()
    gone = entry()
    held.cancel([gone.request_id])
    held.put([taken(gone)])
    assert entries(take(held).cancelled) == [gone]


def test_all_parts_of_a_cancelled_request_are_cancelled() -> None:
    held = hand(4)
    first = entry(4, part=0)
    second = RequestEntry(first.request_id, 1, 4, 0, FAR_US)
    held.put([taken(first), taken(second)])
    held.cancel([first.request_id])
    assert entries(take(held).cancelled) == [first, second]


def test_the_oldest_of_too_many_cancellations_is_forgotten() -> None:
    held = hand()
    asked = entry()
    held.cancel([asked.request_id])
    held.cancel(b"other %d" % number for number in range(CANCELLED_IDS_MAX))
    held.put([taken(asked)])
    assert entries(take(held).slices) == [asked]


def test_a_frame_whose_lease_has_lapsed_is_dropped_in_silence() -> None:
    held = hand()
    lapsed, fresh = entry(), entry()
    held.put([taken(lapsed, renewed_s=0.0), taken(fresh, renewed_s=1.0)])
    batch = take(held, now_s=LEASE_S)
    assert entries(batch.slices) == [fresh]
    assert entries(batch.expired + batch.cancelled) == []


def test_a_frame_whose_lease_has_lapsed_is_not_in_hand_any_more() -> None:
    held = hand()
    frame = taken(entry())
    held.put([frame])
    take(held, now_s=LEASE_S)
    assert not held.holds(frame.stream, frame.entry_id)


def test_a_frame_that_lapsed_half_way_is_never_acknowledged() -> None:
    held = hand(1)
    held.put([taken(entry(), entry())])
    first = take(held).slices[0]
    take(held, now_s=LEASE_S)
    assert held.finish([first]) == []


def test_leases_that_are_ours_are_renewed() -> None:
    held = hand()
    lapsed, ours = taken(entry(), renewed_s=0.0), taken(entry(), renewed_s=1.0)
    held.put([lapsed, ours])
    assert held.frames_to_renew(LEASE_S) == [ours]
    assert (lapsed.renewed_s, ours.renewed_s) == (0.0, LEASE_S)


def test_a_frame_is_renewed_while_its_batch_runs() -> None:
    held = hand()
    frame = taken(entry())
    held.put([frame])
    take(held)
    assert held.frames_to_renew(1.0) == [frame]


def test_a_frame_is_done_with_its_last_request() -> None:
    held = hand()
    frame = taken(entry(), entry())
    held.put([frame])
    first, second = take(held).slices
    assert [held.finish([first]), held.finish([second])] == [[], [frame]]
    assert held.frames_to_renew(0.0) == []


def test_the_requests_of_a_suspect_frame_run_alone_one_by_one() -> None:
    held = hand(8)
    asked = [entry(), entry(), entry(), entry()]
    held.put([taken(asked[0]), taken(asked[1], asked[2], runs_alone=True), taken(asked[3])])
    assert [entries(take(held).slices) for _ in range(4)] == [[item] for item in asked]


def test_the_hand_wants_the_rows_that_a_batch_lacks() -> None:
    held = hand(4, "a@1", "b@1")
    held.put([taken(entry(3), model_key="a@1")])
    assert online_wanted(held) == {"a@1": 1, "b@1": 4}


def test_a_model_with_a_batch_in_hand_wants_nothing() -> None:
    held = hand(4, "a@1", "b@1")
    held.put([taken(entry(5), model_key="a@1")])
    assert online_wanted(held) == {"b@1": 4}


def test_what_was_taken_is_wanted_again() -> None:
    held = hand(4)
    held.put([taken(entry(4))])
    take(held)
    assert online_wanted(held) == {"m@1": 4}


def test_a_new_pace_changes_what_is_wanted_and_taken() -> None:
    held = hand(4)
    held.set_pace("m@1", pace(2))
    held.put([taken(entry(), entry(), entry())])
    assert held.rows_wanted() == {}
    assert len(take(held).slices) == 2


def test_a_closed_hand_gives_out_what_it_has_and_then_nothing() -> None:
    held = hand()
    held.put([taken(entry())])
    held.close()
    assert len(take(held).slices) == 1
    assert held.take(lambda: (0.0, 0)) is None


def test_a_closed_hand_wants_nothing() -> None:
    held = hand()
    held.close()
    assert held.wait_hungry() == {}


@pytest.mark.parametrize("ending", ["put", "close"])
def test_who_waits_for_work_is_woken(ending: str) -> None:
    held = hand()
    got: list[Batch | None] = []
    runner = threading.Thread(target=lambda: got.append(held.take(lambda: (0.0, 0))))
    runner.start()
    if ending == "put":
        held.put([taken(entry())])
    else:
        held.close()
    runner.join(10)
    assert [batch is not None for batch in got] == [ending == "put"]


def test_who_waits_for_room_is_woken_when_a_batch_is_taken() -> None:
    held = hand(1)
    held.put([taken(entry())])
    got: list[dict[ModelLane, int]] = []
    reader = threading.Thread(target=lambda: got.append(held.wait_hungry()))
    reader.start()
    take(held)
    reader.join(10)
    assert got == [{ModelLane("m@1", "online"): 1, ModelLane("m@1", "batch"): 1}]


def test_a_batch_that_was_waiting_is_told_from_one_that_was_awaited() -> None:
    held = hand(1)
    held.put([taken(entry(), entry())])
    assert [take(held).was_awaited for _ in range(2)] == [False, False]


def test_a_frame_of_the_batch_lane_fills_the_batch_of_an_online_one() -> None:
    held = hand(4)
    job, call = entry(2), entry()
    held.put([taken(job, lane="batch"), taken(call)])
    assert entries(take(held).slices) == [call, job]


def test_a_frame_is_told_from_one_of_the_other_lane_with_its_id() -> None:
    held = hand()
    frame = taken(entry(), lane="batch")
    held.put([frame])
    assert not held.holds(ModelLane("m@1", "online"), frame.entry_id)


def test_models_are_ordered_by_their_targets_and_not_by_their_timeouts() -> None:
    held = Hand({"a@1": pace(4, target_us=500), "b@1": pace(4, target_us=100)}, LEASE_S)
    soon, due_first = entry(deadline_us=FAR_US - 1), entry()
    held.put([taken(soon, model_key="a@1"), taken(due_first, model_key="b@1")])
    assert entries(take(held).slices) == [due_first]
