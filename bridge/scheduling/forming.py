"""One batch in the making: what it takes from those that may share it, and what is left out."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from bridge.scheduling.forecast import shared_frame_rows

# A deadline further in the past than this is no deadline but a clock that jumped: the gateway,
# which measures on its own monotonic clock, still ends the request in time.
CLOCK_SANE_US = 3_600_000_000
# What is left for the way back when a batch takes more than B rows.
WAY_BACK_US = 2_000


class Waiting(Protocol):
    """A request, or a part of one, that waits; times are microseconds on one clock."""

    @property
    def rows(self) -> int:
        """Its rows, at least 1."""

    @property
    def enqueued_us(self) -> int:
        """When it was sent."""

    @property
    def deadline_us(self) -> int:
        """When its answer is of no use any more; means nothing in the batch lane."""

    @property
    def runs_alone(self) -> bool:
        """Whether it shares a batch with nobody."""


T = TypeVar("T", bound=Waiting)


@dataclass(frozen=True, slots=True)
class Pace:
    """What batch formation must know of a model version.

    `batch_rows` is B, at least 1; `batch_us` is S(b) in microseconds; `target_us` is D, its
    latency target; `rows_cap` is what a run must never exceed.
    """

    batch_rows: int
    batch_us: Callable[[int], float]
    target_us: float = math.inf
    rows_cap: float = math.inf

    @property
    def row_us(self) -> float:
        """A row's share of a full batch's run."""
        return self.batch_us(self.batch_rows) / self.batch_rows

    def due_us(self, item: Waiting) -> float:
        """Return when an online request is due: by its model's target, or its own deadline."""
        return min(item.deadline_us, item.enqueued_us + self.target_us)


@dataclass(slots=True)
class Formed(Generic[T]):
    """One model's next batch, online requests first, and what leaves without a run.

    `run` may be empty: the next call may still find something.
    """

    model_key: str
    run: list[T] = field(default_factory=list)
    expired: list[T] = field(default_factory=list)
    unwanted: list[T] = field(default_factory=list)
    online_rows: int = 0
    batch_lane_rows: int = 0

    @property
    def rows(self) -> int:
        """The rows to run."""
        return self.online_rows + self.batch_lane_rows


@dataclass(slots=True, eq=False)
class Kind(Generic[T]):
    """What may share a batch: one model version's requests with one set of row shapes."""

    key: tuple[str, Hashable]
    online: deque[T] = field(default_factory=deque)
    batch: deque[T] = field(default_factory=deque)
    online_rows: int = 0

    @property
    def model_key(self) -> str:
        """The model version."""
        return self.key[0]


@dataclass(frozen=True, slots=True)
class Moment(Generic[T]):
    """The present, and who is not wanted any more."""

    now_us: int
    is_unwanted: Callable[[T], bool]


class Forming(Generic[T]):
    """One batch in the making, from one kind's requests."""

    def __init__(self, kind: Kind[T], pace: Pace, moment: Moment[T]) -> None:
        self.kind = kind
        self.formed: Formed[T] = Formed(kind.model_key)
        # The rows that left their lanes.
        self.online_left = 0
        self.batch_lane_left = 0
        self._pace = pace
        self._full_us = pace.batch_us(pace.batch_rows)
        self._moment = moment

    def due_us(self) -> float:
        """Return when the first of the batch's requests is due."""
        return min(map(self._pace.due_us, self.formed.run), default=math.inf)

    def add_online(self, reserved: int, *, has_others: bool) -> None:
        """Add online requests, up to a batch less `reserved` rows; a larger one by itself.

        What a frame brought beyond a full batch goes with it as far as its first request stays in
        time: it would wait for the run after this one, whoever else is idle.
        """
        # The session waits meanwhile: a loop over some hundred requests that looks up little.
        kind, formed, is_unwanted = self.kind, self.formed, self._moment.is_unwanted
        queue, run = kind.online, formed.run
        room = self._pace.batch_rows - reserved
        waiting = kind.online_rows
        safe_us = self._moment.now_us + self._full_us
        while queue:
            item = queue[0]
            rows = item.rows
            if run and (item.runs_alone or run[-1].runs_alone):
                break
            if (
                run
                and rows > room
                and (reserved or not self._may_stretch(formed.online_rows + rows))
            ):
                break
            queue.popleft()
            if is_unwanted(item):
                formed.unwanted.append(item)
            elif (item.deadline_us <= safe_us or rows > room) and self._is_late(
                item, formed.online_rows + waiting + reserved, has_others
            ):
                formed.expired.append(item)
            else:
                run.append(item)
                formed.online_rows += rows
                room -= rows
            waiting -= rows
        self.online_left = kind.online_rows - waiting
        kind.online_rows = waiting

    def _may_stretch(self, rows: int) -> bool:
        """Whether the batch may hold so many rows, more than B."""
        pace = self._pace
        most = pace.batch_rows + shared_frame_rows(pace.batch_rows) - 1
        if rows > min(most, pace.rows_cap):
            return False
        return self._moment.now_us + pace.batch_us(rows) + WAY_BACK_US <= pace.due_us(
            self.formed.run[0]
        )

    def add_batch_lane(self, rows_max: int, due_us: float) -> None:
        """Add batch-lane requests up to `rows_max` rows, as long as the run ends by `due_us`."""
        queue, formed, moment = self.kind.batch, self.formed, self._moment
        while queue and self._has_room(queue[0], rows_max):
            after = formed.rows + queue[0].rows
            if moment.now_us + self._pace.batch_us(after) > due_us:
                return
            item = queue.popleft()
            self.batch_lane_left += item.rows
            if moment.is_unwanted(item):
                formed.unwanted.append(item)
            else:
                formed.run.append(item)
                formed.batch_lane_rows += item.rows

    def _has_room(self, item: T, rows_max: int) -> bool:
        run = self.formed.run
        if not run:
            return True
        fits = self.formed.rows + item.rows <= rows_max
        return fits and not item.runs_alone and not run[-1].runs_alone

    def _is_late(self, item: T, rows: int, has_others: bool) -> bool:
        """Whether too little time is left for its run, of `rows` rows as far as a batch holds."""
        left_us = item.deadline_us - self._moment.now_us
        if left_us <= -CLOCK_SANE_US:
            return False
        if left_us <= 0:
            return True
        run_us = self._pace.batch_us(max(item.rows, min(rows, self._pace.batch_rows)))
        # Too little time by the estimate: dropped while others wait. With nothing else to run it
        # is tried, or a wrong estimate could never be corrected.
        return left_us < run_us and bool(has_others or self.kind.online or self.kind.batch)
