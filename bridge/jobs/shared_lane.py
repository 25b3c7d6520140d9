"""The batch lane as several jobs of one process share it: who waits is woken when it may send."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from bridge.jobs.chunks import CHUNK_ROWS
from bridge.jobs.fair_share import FairShare

# What keeps a worker busy: the chunk that it runs, one in its hand, and two on their way. More
# would only let a small job wait for longer behind a large one.
CHUNKS_PER_WORKER = 4
WORKERS_MAX = 64
# A worker that has answered for nobody for so long is gone, or serves another model.
WORKER_SEEN_S = 60.0


class SharedLanes:
    """The lanes of all models that jobs of this process use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lanes: dict[str, SharedLane] = {}

    def join(self, model_key: str, job: str, tenant: str, nudge: Callable[[], None]) -> Seat:
        """Take a job in at its model's lane; see `SharedLane.join`."""
        with self._lock:
            lanes = self._lanes.items()
            self._lanes = {key: lane for key, lane in lanes if not lane.is_empty}
            lane = self._lanes.setdefault(model_key, SharedLane())
            return lane.join(job, tenant, nudge)


class SharedLane:
    """One model's lane; for the threads of all jobs that send to it.

    How many rows are in flight together follows from how many workers have answered lately.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._share = FairShare(_window_rows(1))
        self._seats: dict[str, Seat] = {}
        self._seen_s: dict[str, float] = {}

    def join(self, job: str, tenant: str, nudge: Callable[[], None]) -> Seat:
        """Take in a job; `nudge` is called, from any thread, when it may send what it asked for."""
        seat = Seat(self, job, nudge)
        with self._lock:
            self._share.join(job, tenant)
            self._seats[job] = seat
        return seat

    @property
    def is_empty(self) -> bool:
        """Whether no job uses it."""
        with self._lock:
            return not self._seats

    def ask(self, seat: Seat, rows: int) -> bool:
        """For `Seat`."""
        with self._lock:
            if not (seat.is_granted or seat.has_asked):
                seat.has_asked = True
                woken = self._granted(self._share.ask(seat.job, rows), seat)
            else:
                woken = []
            may, seat.is_granted = seat.is_granted, False
        _nudge(woken)
        return may

    def give_back(self, seat: Seat, rows: int, worker: str) -> None:
        """For `Seat`."""
        with self._lock:
            self._note_worker(worker)
            woken = self._granted(self._share.give_back(seat.job, rows), seat)
        _nudge(woken)

    def leave(self, seat: Seat) -> None:
        """For `Seat`."""
        with self._lock:
            del self._seats[seat.job]
            woken = self._granted(self._share.leave(seat.job), seat)
        _nudge(woken)

    def _granted(self, jobs: list[str], own: Seat) -> list[Seat]:
        """Note who may send now; return those of other threads."""
        seats = [self._seats[job] for job in jobs]
        for seat in seats:
            seat.is_granted, seat.has_asked = True, False
        return [seat for seat in seats if seat is not own]

    def _note_worker(self, worker: str) -> None:
        now_s = self._clock()
        self._seen_s[worker] = now_s
        if len(self._seen_s) > 1:
            self._seen_s = {
                name: seen_s
                for name, seen_s in self._seen_s.items()
                if now_s - seen_s < WORKER_SEEN_S
            }
        # Whom that lets send is found by the `give_back` that follows.
        self._share.rows_max = _window_rows(len(self._seen_s))


class Seat:
    """One job's turn at the lane; for its own thread."""

    def __init__(self, lane: SharedLane, job: str, nudge: Callable[[], None]) -> None:
        """For `SharedLane`."""
        self.job = job
        self.nudge = nudge
        self.has_asked = False
        self.is_granted = False
        self._lane = lane

    def ask(self, rows: int) -> bool:
        """Ask to send a chunk, again and again until the answer is yes; who waits is nudged."""
        return self._lane.ask(self, rows)

    def give_back(self, rows: int, worker: str) -> None:
        """Note that rows which were sent have their results, by this worker."""
        self._lane.give_back(self, rows, worker)

    def leave(self) -> None:
        """Give back everything."""
        self._lane.leave(self)


def _window_rows(workers: int) -> int:
    return CHUNKS_PER_WORKER * CHUNK_ROWS * min(workers, WORKERS_MAX)


def _nudge(seats: list[Seat]) -> None:
    for seat in seats:
        seat.nudge()
