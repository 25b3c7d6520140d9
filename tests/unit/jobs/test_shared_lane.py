"""Jobs of several threads at one lane: who must wait is nudged when it is its turn."""

from __future__ import annotations

from bridge.jobs.chunks import CHUNK_ROWS
from bridge.jobs.shared_lane import CHUNKS_PER_WORKER, WORKER_SEEN_S, Seat, SharedLane


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Lane:
    """A lane, and who was nudged."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.shared = SharedLane(self.clock)
        self.nudged: list[str] = []

    def join(self, job: str, tenant: str = "") -> Seat:
        return self.shared.join(job, tenant, lambda: self.nudged.append(job))

    def filled_by(self, seat: Seat) -> int:
        """Let a job send until it must wait; return how many chunks it sent."""
        count = 0
        while seat.ask(CHUNK_ROWS):
            count += 1
        return count


def test_a_job_alone_may_send_what_keeps_one_worker_busy() -> None:
    lane = Lane()
    assert lane.filled_by(lane.join("a")) == CHUNKS_PER_WORKER


def test_more_is_in_flight_where_more_workers_answer() -> None:
    lane = Lane()
    seat = lane.join("a")
    lane.filled_by(seat)
    for worker in ("one", "two", "three"):
        seat.give_back(CHUNK_ROWS, worker)
    assert lane.filled_by(seat) == 2 * CHUNKS_PER_WORKER + 3


def test_a_worker_that_has_not_answered_for_long_counts_no_more() -> None:
    lane = Lane()
    seat = lane.join("a")
    lane.filled_by(seat)
    seat.give_back(CHUNK_ROWS, "one")
    lane.clock.now_s = WORKER_SEEN_S + 1
    seat.give_back(CHUNK_ROWS, "two")
    assert lane.filled_by(seat) == 2


def test_who_waits_is_nudged_once_and_may_send_then() -> None:
    lane = Lane()
    huge, small = lane.join("huge", "a"), lane.join("small", "b")
    lane.filled_by(huge)
    before = small.ask(1), small.ask(1)
    huge.give_back(CHUNK_ROWS, "one")
    after = small.ask(1)
    assert (before, after, lane.nudged) == ((False, False), True, ["small"])


def test_a_job_is_not_nudged_by_what_it_gives_back_itself() -> None:
    lane = Lane()
    seat = lane.join("a")
    lane.filled_by(seat)
    seat.give_back(CHUNK_ROWS, "one")
    assert (lane.nudged, seat.ask(CHUNK_ROWS)) == ([], True)


def test_a_job_that_leaves_lets_others_send() -> None:
    lane = Lane()
    huge, small = lane.join("huge"), lane.join("small")
    lane.filled_by(huge)
    small.ask(1)
    huge.leave()
    assert (lane.nudged, small.ask(1)) == (["small"], True)
