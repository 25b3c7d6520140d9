"""Several models on the same workers: who runs before whom, and who would be made late."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bridge.scheduling.ask import Ask
from bridge.scheduling.forecast import Forecast


@dataclass(frozen=True, slots=True)
class _Work:
    """Seconds of worker time that are due between two instants."""

    due_s: float
    last_due_s: float
    seconds: float
    wanted_by_s: float
    is_mine: bool

    def before_s(self, due_s: float) -> float:
        """Return the seconds of it that are due by then."""
        if due_s >= self.last_due_s:
            return self.seconds
        if due_s < self.due_s:
            return 0.0
        return self.seconds * (due_s - self.due_s) / (self.last_due_s - self.due_s)


@dataclass(frozen=True, slots=True)
class _ToCome:
    """What is kept for requests to come: a share of the time, and so much of the time left."""

    share: float
    head_start_s: float


@dataclass(frozen=True, slots=True)
class Demand:
    """One model version: what is in flight, and how many rows a second come to this door."""

    forecast: Forecast
    asked_per_s: float


class SharedWorkers:
    """The work in flight of one model and its neighbours at one moment.

    Workers run the model whose head is due first, one batch at a time and without preemption
    (earliest deadline first). Work counts in seconds of worker time, not in rows.
    """

    def __init__(
        self, me: Demand, neighbours: Sequence[Demand], now_s: float, way_s: float
    ) -> None:
        """`way_s`: how long a request takes to the workers."""
        self._me, self._neighbours, self._now_s = me, neighbours, now_s
        self._workers = max(1, len(me.forecast.capacity.workers))
        others = [other.forecast for other in neighbours]
        self._longest_run_s = max(other.longest_run_s() for other in others)
        my_rest_s = me.forecast.rest_s(now_s)
        rest_s = max(other.rest_s(now_s) for other in others)
        # A worker runs one model at a time, and which one it took is known only when it ends: if
        # both seem to run it may be either. If none does, the workers are free before this request
        # arrives, and may begin with another model just then.
        is_known = my_rest_s <= way_s < rest_s
        self._begun_s = rest_s if is_known else max(0.0, self._longest_run_s - my_rest_s)
        work = [one for other in others for one in _work(other, is_known, is_mine=False)]
        work += _work(me.forecast, False, is_mine=True)
        self._work = sorted(work, key=lambda one: one.due_s)

    def wait_s(self, due_s: float) -> float:
        """Return how long the other models keep a request that is due then waiting, at most.

        It waits for what is due before it, in flight or still to come, and for one run of what is
        due later but has begun, or may have. And it leaves the quicker models a head start.
        """
        left_s = due_s - self._now_s
        before_s = sum(one.before_s(due_s) for one in self._work if not one.is_mine)
        waits_s = before_s / self._workers + self._begun_s
        to_come = self._to_come(left_s)
        return waits_s + to_come.share * left_s + to_come.head_start_s

    def lateness_caused_s(self, ask: Ask, overhead_s: float) -> float:
        """Return by how much somebody else would be late if `ask` came before; 0 if nobody.

        Who is late by more than a run already is past helping.
        """
        forecast = self._me.forecast
        due_s = min(ask.wanted_by_s, self._now_s + forecast.capacity.target_s)
        added_s = forecast.work_s(ask.rows) / self._workers
        end_s = self._now_s + overhead_s + self._begun_s + forecast.rest_s(self._now_s)
        worst_s = 0.0
        for one in self._work:
            end_s += one.seconds / self._workers
            if one.due_s <= due_s or one.is_mine:
                continue
            if end_s <= one.wanted_by_s + self._longest_run_s:
                worst_s = max(worst_s, end_s + added_s - one.wanted_by_s)
        return worst_s

    def _to_come(self, left_s: float) -> _ToCome:
        """Return what is kept for requests to come that pass one with `left_s` to its due.

        Models with a shorter target get what they ask for, but no more than an equal share where
        all ask for more than there is. Without this a slow model would fill its long queue first,
        and the fast one would be refused for ever because it would make that queue late.

        Who asks for no more than that share also gets a head start of its target, or the oldest of
        a full queue would always be due before those who have just come, and be in their way. With
        it 68 to 79 % of a fast model's requests are let in beside a slow one asked for 2 to 6 times
        what fits, in place of 56 to 69 (simulated).
        """
        between_s = max(self._longest_run_s, self._me.forecast.longest_run_s())
        quicker = [other for other in self._neighbours if other.forecast.capacity.target_s < left_s]
        asked = sum(other.forecast.load(other.asked_per_s, between_s) for other in quicker)
        equal = 1 / (1 + len(self._neighbours))
        left_over = 1 - self._me.forecast.load(self._me.asked_per_s, between_s)
        share = max(len(quicker) * equal, left_over)
        if asked > share:
            return _ToCome(share, 0.0)
        # More than half of what is left would be no head start but a place of its own.
        targets_s = [other.forecast.capacity.target_s for other in quicker if other.asked_per_s]
        return _ToCome(asked, min(max(targets_s, default=0.0), left_s / 2))


def _work(forecast: Forecast, is_running: bool, *, is_mine: bool) -> list[_Work]:
    """Return the work in flight by when it is due, without what is running."""
    found, rows, before_s = [], 0, 0.0
    running = forecast.running_rows() if is_running else 0
    for group in forecast.groups():
        skipped = min(running, group.rows)
        running -= skipped
        rows += group.rows - skipped
        until_s = forecast.work_s(rows)
        seconds = until_s - before_s
        found.append(_Work(group.due_s, group.last_due_s, seconds, group.wanted_by_s, is_mine))
        before_s = until_s
    return found
