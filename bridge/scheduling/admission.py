"""Accept a request only if it can be answered in time; say when to come back otherwise."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bridge.scheduling.service_time import ServiceTime


@dataclass(frozen=True, slots=True)
class Capacity:
    """What serves one model version: workers, their batch size and S(b), gateways sharing them."""

    workers: int
    batch_rows: int
    service: ServiceTime
    gateways: int = 1
    overhead_s: float = 0.002


@dataclass(frozen=True, slots=True)
class Refusal:
    """Refused at the door: nothing was started, it is safe to come back after `retry_after_s`."""

    retry_after_s: float


class Permit:
    """Room for `rows` rows of one model version; the framer takes no request without one.

    Released once, when the request is answered or dropped.
    """

    __slots__ = ("_admission", "rows")

    def __init__(self, admission: Admission, rows: int) -> None:
        self._admission: Admission | None = admission
        self.rows = rows

    def release(self) -> None:
        """Give the room back; a second call changes nothing."""
        admission, self._admission = self._admission, None
        if admission is not None:
            admission.rows_in_flight -= self.rows


class Admission:
    """The queue of one model version, as this gateway sees it: a bound on the rows in flight.

    Accepts iff now + o + r + ceil((Q + w) / (N B)) S(B) <= deadline, with r <= S(B) the rest of
    the present run and Q the rows in flight: this gateway's own, times the number of gateways
    (design.md, section 4). So an admitted request waits at most its deadline minus now, and the
    rows in flight never exceed N B ((deadline - now - o) / S(B) - 1), except that a lone request
    is always accepted: an empty system tries. A refused request that comes back after
    `retry_after_s` is accepted, if the queue has drained at X(B) and nobody else was let in.
    """

    __slots__ = ("rows_in_flight",)

    def __init__(self) -> None:
        self.rows_in_flight = 0

    def admit(
        self, now_s: float, rows: int, wanted_by_s: float, capacity: Capacity
    ) -> Permit | Refusal:
        """Return a permit for `rows` rows to be answered by `wanted_by_s`, or a refusal.

        Times are seconds on the caller's monotonic clock.
        """
        late_s = self._finish_s(now_s, rows, capacity) - wanted_by_s
        if late_s > 0 and self.rows_in_flight > 0:
            return Refusal(self._room_in_s(late_s, capacity))
        self.rows_in_flight += rows
        return Permit(self, rows)

    def _finish_s(self, now_s: float, rows: int, capacity: Capacity) -> float:
        ahead = self.rows_in_flight * capacity.gateways + rows
        run_s = capacity.service.batch_s(capacity.batch_rows)
        return now_s + capacity.overhead_s + (_runs(ahead, capacity) + 1) * run_s

    def _room_in_s(self, late_s: float, capacity: Capacity) -> float:
        """Return when a request that is now too late by `late_s` would be admitted.

        Time alone does not help, its deadline moves with it: batches must end, each of which makes
        the estimate shorter by S(B). The present run comes on top: it may just have begun, and
        hold a single row. When nothing is in flight any more the request is admitted anyhow.
        """
        service = capacity.service
        run_s = service.batch_s(capacity.batch_rows)
        in_flight = _runs(self.rows_in_flight * capacity.gateways, capacity)
        ending = min(math.ceil(late_s / run_s), in_flight) + 1
        return ending * run_s * (1 + service.jitter) + capacity.overhead_s


def _runs(rows: int, capacity: Capacity) -> int:
    """Return how many runs, one after the other, `rows` take on all workers."""
    return math.ceil(rows / (max(capacity.workers, 1) * capacity.batch_rows))
