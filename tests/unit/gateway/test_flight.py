"""Every admitted request leaves once, with its own rows or with a problem."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from bridge.gateway.flight import Landing
from bridge.gateway.launch import Flight, Landed, Outcome, Timings
from bridge.gateway.problem import queue_unavailable
from bridge.wire.frame import ResultStatus
from tests.unit.gateway.flights import MODEL, Sky, entry, result


@pytest.fixture
def sky() -> Sky:
    return Sky()


def rows_of(outcome: Outcome, name: str = "y") -> list[float]:
    assert isinstance(outcome, Landed), outcome
    rows: list[float] = outcome.outputs[name][:, 0].tolist()
    return rows


def flying(sky: Sky, *sizes: int) -> list[Flight]:
    """Launch and frame requests of so many rows."""
    flights = [sky.launch(*range(size)) for size in sizes]
    sky.framed()
    return flights


def test_each_request_gets_its_own_rows(sky: Sky) -> None:
    first, second, third = flying(sky, 2, 1, 3)
    sky.table.land(
        result(entry(third.request_id, 3), entry(first.request_id, 2), entry(second.request_id, 1))
    )
    assert rows_of(sky.outcome(third)) == [0, 1, 2]
    assert rows_of(sky.outcome(first)) == [3, 4]
    assert rows_of(sky.outcome(second)) == [5]


def test_an_answer_says_where_its_time_went(sky: Sky) -> None:
    (flight,) = flying(sky, 1)
    sky.table.land(result(entry(flight.request_id, 1)))
    outcome = sky.outcome(flight)
    assert isinstance(outcome, Landed)
    assert outcome.timings == Timings(queue_s=0.001, batch_s=0.002, run_s=0.003)


def test_a_second_result_is_a_stray_and_changes_nothing(sky: Sky) -> None:
    (flight,) = flying(sky, 1)
    frame = result(entry(flight.request_id, 1))
    assert sky.table.land(frame) == Landing(matched=1, strays=0)
    assert sky.table.land(frame) == Landing(matched=0, strays=1)
    assert rows_of(sky.outcome(flight)) == [0]


def test_an_id_that_nobody_flies_under_is_a_stray(sky: Sky) -> None:
    (flight,) = flying(sky, 1)
    assert sky.table.land(result(entry(b"?" * 16, 1))) == Landing(matched=0, strays=1)
    assert sky.outcomes[flight.request_id] == []


def test_the_rows_of_a_stray_are_nobody_elses(sky: Sky) -> None:
    gone, here = flying(sky, 2, 1)
    sky.table.abandon(gone)
    sky.table.land(result(entry(gone.request_id, 2), entry(here.request_id, 1)))
    assert rows_of(sky.outcome(here)) == [2]


def test_an_id_of_another_gateway_never_lands_here() -> None:
    here, there = Sky(), Sky()
    (mine,), (other,) = flying(here, 1), flying(there, 1)
    assert here.table.land(result(entry(other.request_id, 1))) == Landing(0, 1)
    assert here.outcomes[mine.request_id] == []


def test_ids_are_never_used_twice(sky: Sky) -> None:
    ids = {flight.request_id for flight in flying(sky, *[1] * 100)}
    assert len(ids) == 100


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (ResultStatus.EXPIRED, "deadline_exceeded"),
        (ResultStatus.ROWS_FAILED, "rows_failed"),
        (ResultStatus.MODEL_FAILED, "model_failed"),
        (ResultStatus.BAD_OUTPUT, "bad_output"),
        (ResultStatus.UNSERVED, "no_worker"),
    ],
)
def test_a_failure_of_the_worker_is_the_callers_problem(
    sky: Sky, status: ResultStatus, code: str
) -> None:
    (flight,) = flying(sky, 1)
    sky.table.land(result(entry(flight.request_id, 1, status=status)))
    assert sky.code(flight) == code


def test_a_failed_request_takes_no_rows_from_its_neighbours(sky: Sky) -> None:
    bad, good = flying(sky, 2, 2)
    failed = entry(bad.request_id, 2, status=ResultStatus.ROWS_FAILED)
    sky.table.land(result(failed, entry(good.request_id, 2)))
    assert sky.code(bad) == "rows_failed"
    assert rows_of(sky.outcome(good)) == [0, 1]


def test_a_wrong_number_of_rows_is_a_bad_result(sky: Sky) -> None:
    short, good = flying(sky, 2, 1)
    sky.table.land(result(entry(short.request_id, 1), entry(good.request_id, 1)))
    assert sky.code(short) == "bad_result"
    assert rows_of(sky.outcome(good)) == [1]


@pytest.mark.parametrize("part", [1, 99])
def test_a_part_that_was_never_sent_is_a_bad_result(sky: Sky, part: int) -> None:
    (flight,) = flying(sky, 1)
    sky.table.land(result(entry(flight.request_id, 1, part=part)))
    assert sky.code(flight) == "bad_result"


def test_a_result_of_another_model_is_a_bad_result(sky: Sky) -> None:
    (flight,) = flying(sky, 1)
    sky.table.land(result(entry(flight.request_id, 1), model_key="m@2"))
    assert sky.code(flight) == "bad_result"


def test_a_result_before_the_request_was_sent_is_a_bad_result(sky: Sky) -> None:
    flight = sky.launch(1.0)
    sky.table.land(result(entry(flight.request_id, 1)))
    assert sky.code(flight) == "bad_result"


@pytest.mark.parametrize("rows", [1, 4])
def test_a_frame_whose_blocks_do_not_add_up_gives_rows_to_nobody(sky: Sky, rows: int) -> None:
    first, second = flying(sky, 1, 1)
    frame = result(entry(first.request_id, 1), entry(second.request_id, 1), y=np.zeros((rows, 1)))
    assert sky.table.land(frame) == Landing(matched=2, strays=0)
    assert [sky.code(first), sky.code(second)] == ["bad_result", "bad_result"]


def test_a_frame_that_is_refused_settles_those_it_names_and_no_others(sky: Sky) -> None:
    named, other = flying(sky, 1, 1)
    landing = sky.table.refuse(result(entry(named.request_id, 1), entry(b"?" * 16, 1)))
    assert landing == Landing(matched=1, strays=1)
    assert sky.code(named) == "bad_result"
    assert sky.outcomes[other.request_id] == []


def split(sky: Sky, rows: int) -> tuple[Flight, list[int]]:
    """A request of more rows than a batch, and the rows of its parts."""
    flight = sky.launch(*range(rows))
    parts = [item.rows for frame in sky.framed() for item in frame.requests]
    return flight, parts


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 2, 0]])
def test_the_parts_of_a_request_are_put_together_in_any_order(sky: Sky, order: list[int]) -> None:
    flight, parts = split(sky, 20)
    assert parts == [8, 8, 4]
    starts = [0, 8, 16]
    for part in order:
        values = np.arange(starts[part], starts[part] + parts[part], dtype=float).reshape(-1, 1)
        sky.table.land(result(entry(flight.request_id, parts[part], part), y=values))
    assert rows_of(sky.outcome(flight)) == list(range(20))


def test_a_request_waits_for_all_its_parts(sky: Sky) -> None:
    flight, _ = split(sky, 16)
    sky.table.land(result(entry(flight.request_id, 8, 0)))
    sky.table.land(result(entry(flight.request_id, 8, 0)))
    assert sky.outcomes[flight.request_id] == []


def test_one_failed_part_fails_the_request_once(sky: Sky) -> None:
    flight, _ = split(sky, 16)
    sky.table.land(result(entry(flight.request_id, 8, 1, ResultStatus.ROWS_FAILED)))
    sky.table.land(result(entry(flight.request_id, 8, 0)))
    assert sky.code(flight) == "rows_failed"


def test_parts_with_different_outputs_are_a_bad_result(sky: Sky) -> None:
    flight, _ = split(sky, 16)
    sky.table.land(result(entry(flight.request_id, 8, 0)))
    sky.table.land(result(entry(flight.request_id, 8, 1), name="z"))
    assert sky.code(flight) == "bad_result"


def test_parts_with_different_row_shapes_are_a_bad_result(sky: Sky) -> None:
    flight, _ = split(sky, 16)
    sky.table.land(result(entry(flight.request_id, 8, 0)))
    sky.table.land(result(entry(flight.request_id, 8, 1), y=np.zeros((8, 2))))
    assert sky.code(flight) == "bad_result"


def test_a_flight_expires_at_its_deadline(sky: Sky) -> None:
    flight = sky.launch(1.0, timeout_s=5.0)
    sky.loop.advance(4.75)
    assert sky.outcomes[flight.request_id] == []
    sky.loop.advance(0.25)
    assert sky.code(flight) == "deadline_exceeded"


def test_a_result_after_the_deadline_is_a_stray(sky: Sky) -> None:
    (flight,) = flying(sky, 1)
    sky.loop.advance(60)
    assert sky.table.land(result(entry(flight.request_id, 1))) == Landing(0, 1)
    assert sky.code(flight) == "deadline_exceeded"


def test_a_flight_that_has_landed_does_not_expire(sky: Sky) -> None:
    (flight,) = flying(sky, 1)
    sky.table.land(result(entry(flight.request_id, 1)))
    sky.loop.advance(60)
    assert rows_of(sky.outcome(flight)) == [0]


def test_a_flight_that_has_left_keeps_no_timer(sky: Sky) -> None:
    landed, abandoned, failed = flying(sky, 1, 1, 1)
    sky.table.land(result(entry(landed.request_id, 1)))
    sky.table.abandon(abandoned)
    sky.table.fail(failed, queue_unavailable())
    assert sky.loop.timers_waiting == 0


def test_an_abandoned_flight_is_told_nothing(sky: Sky) -> None:
    (flight,) = flying(sky, 1)
    sky.table.abandon(flight)
    sky.table.land(result(entry(flight.request_id, 1)))
    sky.loop.advance(60)
    assert sky.outcomes[flight.request_id] == []


def test_abandoned_ids_are_given_out_once(sky: Sky) -> None:
    first, second, _ = flying(sky, 1, 1, 1)
    sky.table.abandon(first)
    sky.table.abandon(second)
    sky.table.abandon(first)
    assert sky.table.take_abandoned() == [first.request_id, second.request_id]
    assert sky.table.take_abandoned() == []


def test_a_flight_that_was_answered_cannot_be_abandoned(sky: Sky) -> None:
    (flight,) = flying(sky, 1)
    sky.table.land(result(entry(flight.request_id, 1)))
    sky.table.abandon(flight)
    assert sky.table.take_abandoned() == []


def test_when_the_queue_is_lost_everyone_is_told_once(sky: Sky) -> None:
    flights = flying(sky, 1, 2)
    assert sky.table.fail_all(queue_unavailable) == 2
    assert sky.table.fail_all(queue_unavailable) == 0
    assert [sky.code(flight) for flight in flights] == ["queue_unavailable"] * 2


@pytest.mark.parametrize("end", ["land", "fail", "abandon", "expire"])
def test_however_a_flight_ends_its_room_is_given_back(sky: Sky, end: str) -> None:
    (flight,) = flying(sky, 3)
    assert (sky.admission.own_rows(MODEL), len(sky.table)) == (3, 1)
    if end == "land":
        sky.table.land(result(entry(flight.request_id, 3)))
    elif end == "fail":
        sky.table.fail(flight, queue_unavailable())
    elif end == "abandon":
        sky.table.abandon(flight)
    else:
        sky.loop.advance(60)
    assert (sky.admission.own_rows(MODEL), len(sky.table)) == (0, 0)
    assert not sky.table.waits_for(flight)


async def test_who_waits_for_an_empty_sky_is_woken_by_the_last_flight(sky: Sky) -> None:
    first, second = flying(sky, 1, 1)
    waiting = asyncio.create_task(sky.table.wait_empty())
    sky.table.abandon(first)
    done, _ = await asyncio.wait([waiting], timeout=0)
    assert not done
    sky.table.abandon(second)
    await waiting


async def test_an_empty_sky_needs_no_waiting(sky: Sky) -> None:
    await sky.table.wait_empty()


def test_a_batch_lane_request_that_has_expired_is_not_to_be_run() -> None:
    sky = Sky()
    online, batch = sky.launch(1, timeout_s=1.0), sky.launch(2, lane="batch", timeout_s=1.0)
    sky.packed()
    sky.loop.advance(1.0)
    assert (sky.code(online), sky.code(batch)) == ("deadline_exceeded", "deadline_exceeded")
    assert sky.table.take_abandoned() == [batch.request_id]


def test_the_room_of_a_batch_lane_request_is_free_when_it_is_answered() -> None:
    sky = Sky()
    sky.launch(1, 2, lane="batch", timeout_s=1.0)
    assert sky.batch_room.taken > 0
    sky.loop.advance(1.0)
    assert sky.batch_room.taken == 0.0
