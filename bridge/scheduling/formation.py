"""Batch formation: which waiting requests run next, together; a pure state machine.

Requests are put in, batches are taken out at the last moment. Nothing waits for a timer: `take`
returns a batch whenever anything is there. The rules, and the longest wait that each allows:

- **Online, between models**: the request that is due first goes first. It is due by its model's
  latency target D, or by its deadline if that is sooner; not by the deadline alone, for a timeout
  of minutes would starve its model. So no batch passes a request whose own first request was
  enqueued D or more after it, and beside those before it a request waits only for the run that
  has begun and for what the batch lane gets by right.
- **Within a model and one set of row shapes**: first in, first out, whole requests; one that does
  not fit is not passed by smaller ones behind it.
- **The batch lane** fills what online requests leave of a batch, as long as no online request of
  that batch misses its due time for it. It runs by itself when no online request of any model is
  here.
- **The batch lane's floor**: its oldest request goes by right once the lane has earned its cost
  (`FloorAccount`): in places kept free for it in its model's next online batch, or by itself
  where there is no such batch. So a request that costs c seconds waits, from when it is the
  oldest, for at most c / floor seconds of runs and then for its model's next batch. It never
  expires.
- **Early drop**: an online request is not run when now + S(min(B, n)) is past its deadline, n
  being the rows that would run with it. The batch is never made smaller to save it: that ends in
  small batches, less throughput and more late requests (design.md, section 4).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping
from typing import Generic

from bridge.scheduling.forming import Formed, Forming, Kind, Moment, Pace, T
from bridge.scheduling.lanes import LANES, FloorAccount, LaneShares, ModelLane


class Formation(Generic[T]):
    """What waits for a run, by model version, lane and row shapes; not safe between threads."""

    def __init__(self, paces: Mapping[str, Pace], shares: LaneShares) -> None:
        self._paces = dict(paces)
        self._shares = shares
        self._floor = FloorAccount(shares.floor)
        self._kinds: dict[tuple[str, Hashable], Kind[T]] = {}
        self._rows = {ModelLane(key, lane): 0 for lane in LANES for key in self._paces}
        # As it was worked out last, until something changes: it is asked for far more often.
        self._wanted: dict[ModelLane, int] | None = None

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return bool(self._kinds)

    def set_pace(self, model_key: str, pace: Pace) -> None:
        """Change a model version's batch size, time and target."""
        self._paces[model_key] = pace
        self._wanted = None

    def put(self, lane: ModelLane, signature: Hashable, item: T) -> None:
        """Add a request; those of one model with equal `signature` may share a batch."""
        key = (lane.model_key, signature)
        kind = self._kinds.get(key)
        if kind is None:
            kind = self._kinds[key] = Kind(key)
        if lane.lane == "online":
            kind.online.append(item)
            kind.online_rows += item.rows
        else:
            kind.batch.append(item)
        self._rows[lane] += item.rows
        self._wanted = None

    def rows_wanted(self) -> Mapping[ModelLane, int]:
        """Return, for each lane with less than one batch waiting, how many rows it lacks.

        A batch lane is left out while its model's online lane has a batch: nothing is left to
        fill.
        """
        if self._wanted is None:
            self._wanted = self._lacking()
        return self._wanted

    def _lacking(self) -> dict[ModelLane, int]:
        wanted: dict[ModelLane, int] = {}
        for lane, rows in self._rows.items():  # the online lanes come first
            lacking = self._paces[lane.model_key].batch_rows - rows
            if lacking > 0 and (lane.lane == "online" or (lane.model_key, "online") in wanted):
                wanted[lane] = lacking
        return wanted

    def rows_next(self, model_key: str) -> int:
        """Return the rows waiting for a model, those of the batch lane as far as they will fill."""
        online = self._rows[ModelLane(model_key, "online")]
        room = self._shares.fill_rows(self._paces[model_key].batch_rows) - online
        return online + max(0, min(self._rows[ModelLane(model_key, "batch")], room))

    def online_rows(self, model_key: str) -> int:
        """Return how many rows of each batch online requests of a model can count on."""
        batch_rows = self._paces[model_key].batch_rows
        is_shared = self._rows[ModelLane(model_key, "batch")] > 0
        return self._shares.online_rows(batch_rows) if is_shared else batch_rows

    def take(self, now_us: int, is_unwanted: Callable[[T], bool]) -> Formed[T] | None:
        """Return the next batch, None when nothing waits.

        `is_unwanted` says of each request that comes up whether it leaves without a run.
        """
        due, oldest = self._due_first(), self._oldest()
        moment = Moment(now_us, is_unwanted)
        if due is not None and oldest is not None:
            return self._left(self._shared(due, oldest, moment))
        if due is not None:
            return self._left(self._online(due, 0, moment))
        if oldest is not None:
            return self._left(self._batch_lane(oldest, self._fill_rows(oldest), moment))
        return None

    def _due_first(self) -> Kind[T] | None:
        """The kind whose first online request is due first."""
        kinds = [kind for kind in self._kinds.values() if kind.online]
        return min(kinds, key=lambda kind: self._pace(kind).due_us(kind.online[0]), default=None)

    def _oldest(self) -> Kind[T] | None:
        """The kind whose first batch-lane request is the oldest."""
        kinds = [kind for kind in self._kinds.values() if kind.batch]
        return min(kinds, key=lambda kind: kind.batch[0].enqueued_us, default=None)

    def _shared(self, due: Kind[T], oldest: Kind[T], moment: Moment[T]) -> Forming[T]:
        """Form a batch while both lanes wait, and keep the floor's account."""
        alone_us = self._pace(oldest).batch_us(oldest.batch[0].rows)
        is_earned = self._floor.pays(self._cost_us(oldest))
        if is_earned and not self._has_place(oldest):
            forming = self._batch_lane(oldest, oldest.batch[0].rows, moment)
        else:
            reserved = self._reserved_rows(oldest) if is_earned and due is oldest else 0
            forming = self._online(due, reserved, moment)
        formed = forming.formed
        if formed.run:
            run_us = self._pace(forming.kind).batch_us(formed.rows)
            spent_us = run_us * formed.batch_lane_rows / formed.rows
            self._floor.book(run_us, spent_us if forming.kind is oldest else 0.0, alone_us)
        return forming

    def _online(self, kind: Kind[T], reserved: int, moment: Moment[T]) -> Forming[T]:
        """Form a batch of online requests, with `reserved` rows for the batch lane or more."""
        pace = self._pace(kind)
        forming = Forming(kind, pace, moment)
        forming.add_online(reserved, has_others=len(self._kinds) > 1)
        online_rows = forming.formed.online_rows
        # Without online rows the other models' online requests come first.
        if online_rows and kind.batch:
            due_us = forming.due_us()
            forming.add_batch_lane(min(pace.batch_rows, online_rows + reserved), math.inf)
            forming.add_batch_lane(self._fill_rows(kind), due_us)
        return forming

    def _batch_lane(self, kind: Kind[T], rows_max: int, moment: Moment[T]) -> Forming[T]:
        forming = Forming(kind, self._pace(kind), moment)
        forming.add_batch_lane(rows_max, math.inf)
        return forming

    def _has_place(self, kind: Kind[T]) -> bool:
        """Whether the first batch-lane request could share a batch with the first online one."""
        if not kind.online:
            return False
        guest, host = kind.batch[0], kind.online[0]
        fits = guest.rows + host.rows <= self._pace(kind).batch_rows
        return fits and not guest.runs_alone and not host.runs_alone

    def _cost_us(self, kind: Kind[T]) -> float:
        """The run time that the first batch-lane request costs: its share of a batch, or a run."""
        pace, rows = self._pace(kind), kind.batch[0].rows
        return rows * pace.row_us if self._has_place(kind) else pace.batch_us(rows)

    def _reserved_rows(self, kind: Kind[T]) -> int:
        """The rows of a batch that the batch lane has earned, in whole requests."""
        pace = self._pace(kind)
        places = pace.batch_rows - kind.online[0].rows
        rows = 0
        for item in kind.batch:
            after = rows + item.rows
            if item.runs_alone or after > places or not self._floor.pays(after * pace.row_us):
                break
            rows = after
        return rows

    def _fill_rows(self, kind: Kind[T]) -> int:
        return self._shares.fill_rows(self._pace(kind).batch_rows)

    def _pace(self, kind: Kind[T]) -> Pace:
        return self._paces[kind.model_key]

    def _left(self, forming: Forming[T]) -> Formed[T]:
        """Strike out what has left."""
        kind = forming.kind
        self._rows[ModelLane(kind.model_key, "online")] -= forming.online_left
        self._rows[ModelLane(kind.model_key, "batch")] -= forming.batch_lane_left
        self._wanted = None
        if not kind.online and not kind.batch:
            del self._kinds[kind.key]
        return forming.formed
