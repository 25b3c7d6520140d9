"""Accept a request only if it can be answered in time; say when to come back otherwise."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from bridge.scheduling.arrival_rate import ArrivalRate
from bridge.scheduling.ask import Ask, Priority
from bridge.scheduling.forecast import Capacity, DueGroup, Forecast
from bridge.scheduling.lanes import Lane
from bridge.scheduling.late_margin import LateMargin
from bridge.scheduling.overhead import Overhead, nearest_rank
from bridge.scheduling.shared_workers import Demand, SharedWorkers

ERRORS_KEPT = 1_024
# Below this nobody is said to ask.
ASKED_PER_S_MIN = 0.01
# Less than so many rows of higher priorities are no reason to keep a place.
RESERVED_MIN = 0.1
# Those who were told to come back get this share of the rows; the rest is for new callers.
RETURN_SHARE = 0.3
RETRY_AFTER_S_MAX = 5.0
ERROR_PERCENT = 95


@dataclass(frozen=True, slots=True)
class Refusal:
    """Refused at the door: nothing was started, it is safe to come back after `retry_after_s`."""

    retry_after_s: float


class Permit:
    """Room for `rows` rows of one model version; the framer takes no request without one.

    Its rows are released once each, when their requests are answered or dropped. `expected_s` is
    when the answer is expected, `wanted_by_s` when it is wanted.
    """

    __slots__ = ("_forecast", "_group", "_held_rows", "expected_s", "rows", "wanted_by_s")

    lane: ClassVar[Lane] = "online"

    def __init__(
        self,
        forecast: Forecast,
        group: DueGroup,
        rows: int,
        expected_s: float,
        wanted_by_s: float,
    ) -> None:
        self._forecast = forecast
        self._group = group
        self._held_rows = self.rows = rows
        self.expected_s = expected_s
        self.wanted_by_s = wanted_by_s

    def release(self, rows: int | None = None) -> None:
        """Give the room of `rows` rows back, by default of all; never of more than are held."""
        released = self._held_rows if rows is None else min(rows, self._held_rows)
        if released:
            self._held_rows -= released
            self._forecast.leave(self._group, released)


class Line:
    """One model version at the door: the forecast of its queue, and who asks how often."""

    __slots__ = ("_promised_s", "_rates", "errors_s", "forecast", "margin")

    def __init__(self, capacity: Capacity) -> None:
        self.forecast = Forecast(capacity)
        self.errors_s: deque[float] = deque(maxlen=ERRORS_KEPT)
        self.margin = LateMargin()
        self._rates = [ArrivalRate() for _ in Priority]
        self._promised_s = -math.inf

    def observe_ask(self, now_s: float, rows: int, priority: Priority) -> None:
        """Take in that so many rows want to come in, whether or not they may."""
        self._rates[priority].observe(now_s, rows)

    def asked_per_s(self, now_s: float) -> float:
        """Return the rows a second that want to come in."""
        return sum(rate.per_s(now_s) for rate in self._rates)

    def promise_s(self, now_s: float, rows: int, soonest_s: float) -> float:
        """Return after how long, at least `soonest_s`, there is room that nobody was told of.

        Room is told of at `RETURN_SHARE` of the throughput, up to `RETRY_AFTER_S_MAX` ahead: who
        is refused then may be refused again.
        """
        capacity = self.forecast.capacity
        at_s = max(now_s + soonest_s, self._promised_s)
        latest_s = now_s + RETRY_AFTER_S_MAX
        if at_s >= latest_s:
            return RETRY_AFTER_S_MAX
        per_s = capacity.service.rows_per_s(capacity.online_rows) * max(1, len(capacity.workers))
        self._promised_s = at_s + rows * capacity.gateways / (per_s * RETURN_SHARE)
        return at_s - now_s

    def reserved_rows(self, now_s: float, priority: Priority) -> int:
        """Return the rows of higher priorities that are expected within one run.

        A request that leaves room for them is refused before any of them is; where nobody asks
        with a higher priority nothing is kept.
        """
        if not priority:
            return 0
        asked_per_s = self._rates[0].per_s(now_s)
        if priority > 1:
            asked_per_s += self._rates[1].per_s(now_s)
        if not asked_per_s:
            return 0
        capacity = self.forecast.capacity
        expected = capacity.service.batch_s(capacity.batch_rows) * asked_per_s
        return math.ceil(expected + math.sqrt(expected) - RESERVED_MIN)


class Admission:
    """One gateway's door: lets in what can be answered in time, across models and priorities.

    One model: accepts iff now + o + r + ceil((Q + w) / (N B)) S(B) <= the time wanted, with r the
    rest of the present run and Q the rows that wait (design.md, section 4; `Forecast.bound_s`),
    less the `LateMargin`. So an admitted request waits at most until the time it wants, less S(B)
    and the way back.

    Several models on the same workers run by earliest due time, without preemption. A request is
    let in iff the work due before it, a run of another model that may just have begun, and its own
    batch end in time, and nobody who was let in before is made late by it. A request that is alone
    is always let in: an empty system tries.
    """

    def __init__(self, overhead: Overhead) -> None:
        self._overhead = overhead
        self._lines: dict[str, Line] = {}

    def set_capacity(self, model_key: str, capacity: Capacity) -> None:
        """Say what serves a model version from now on."""
        line = self._lines.get(model_key)
        if line is None:
            self._lines[model_key] = Line(capacity)
        else:
            line.forecast.set_capacity(capacity)

    def forecast(self, model_key: str) -> Forecast | None:
        """Return the forecast of a model version, None if no capacity was ever known."""
        line = self._lines.get(model_key)
        return None if line is None else line.forecast

    def own_rows(self, model_key: str) -> int:
        """Return the rows of a model version that this gateway has in flight."""
        line = self._lines.get(model_key)
        return 0 if line is None else line.forecast.own_rows

    def observe_answers(
        self, model_key: str, permit: Permit, now_s: float, requests: int = 1
    ) -> None:
        """Take in that the answers of so many requests are there, or past their deadline."""
        line = self._lines[model_key]
        line.errors_s.append(abs(now_s - permit.expected_s))
        line.margin.observe(now_s > permit.wanted_by_s, requests)

    def end_frame(self, model_key: str) -> None:
        """Take in that the answers of one result frame have been observed."""
        line = self._lines.get(model_key)
        if line is not None:
            line.margin.end_frame()

    def error_s(self, model_key: str) -> float:
        """Return by how much answers came sooner or later than expected: p95 of the last ones."""
        line = self._lines.get(model_key)
        return 0.0 if line is None else nearest_rank(sorted(line.errors_s), ERROR_PERCENT)

    def forget_runs(self) -> None:
        """Forget what workers do: the queue that said so is gone."""
        for line in self._lines.values():
            line.forecast.forget_runs()

    def admit(self, now_s: float, ask: Ask) -> Permit | Refusal:
        """Return a permit for the rows of `ask`, or a refusal.

        Times are seconds on the caller's monotonic clock. The model's capacity is known.
        """
        permit, refusals = self.admit_together(now_s, ask, (ask.rows,))
        return refusals[0] if permit is None else permit

    def admit_together(
        self, now_s: float, ask: Ask, sizes: Sequence[int]
    ) -> tuple[Permit | None, list[Refusal]]:
        """Let in the first of several requests that came at once, as many as fit.

        `sizes` are their rows, at least one request's; everything else is as in `ask`. They are
        judged as one request with all their rows, so that the last of them is in time. Returns one
        permit for those let in, and the refusals of the others.
        """
        line, count, rows = self._lines[ask.model_key], len(sizes), sum(sizes)
        late_s, waits_s = self._judge(line, now_s, ask, rows, is_single=count == 1)
        line.observe_ask(now_s, rows, ask.priority)
        if late_s <= 0:
            return self._enter(line, now_s, ask, rows, count, waits_s), []
        if count == 1:
            return None, self._refusals(line, now_s, sizes, late_s)
        fitting, late_s = self._fitting(line, now_s, ask, sizes)
        permit = None
        if fitting:
            permit = self._enter(line, now_s, ask, sum(sizes[:fitting]), fitting, waits_s)
        return permit, self._refusals(line, now_s, sizes[fitting:], late_s)

    def refuse_early(self, now_s: float, ask: Ask, requests: int = 1) -> list[Refusal]:
        """Return the refusals that the last of so many requests like `ask` would get.

        For callers whose bodies nobody has looked at yet: those that are not refused here come to
        `admit` and are counted there.
        """
        line = self._lines[ask.model_key]
        sizes = [ask.rows] * requests
        fitting, late_s = self._fitting(line, now_s, ask, sizes)
        refused = sizes[fitting:]
        if not refused:
            return []
        line.observe_ask(now_s, sum(refused), ask.priority)
        return self._refusals(line, now_s, refused, late_s)

    def _fitting(
        self, line: Line, now_s: float, ask: Ask, sizes: Sequence[int]
    ) -> tuple[int, float]:
        """Return how many of the first requests fit, and by how much one more would be late."""

        def late_s(count: int) -> float:
            rows = sum(sizes[:count])
            return self._judge(line, now_s, ask, rows, is_single=count == 1)[0]

        # Mostly none fit, or all.
        first_s = late_s(1)
        if first_s > 0:
            return 0, first_s
        if len(sizes) == 1 or late_s(len(sizes)) <= 0:
            return len(sizes), 0.0
        counts = range(1, len(sizes) + 1)
        fitting = bisect_right(counts, False, key=lambda count: late_s(count) > 0)
        return fitting, late_s(fitting + 1)

    def _enter(
        self, line: Line, now_s: float, ask: Ask, rows: int, requests: int, waits_s: float
    ) -> Permit:
        forecast, overhead = line.forecast, self._overhead
        asked_per_s = line.asked_per_s(now_s)
        expected_s = waits_s + forecast.expected_s(now_s, rows, asked_per_s, overhead)
        group = forecast.enter(now_s, rows, ask.wanted_by_s, overhead.typical_s / 2, requests)
        return Permit(forecast, group, rows, expected_s, ask.wanted_by_s)

    def _judge(
        self, line: Line, now_s: float, ask: Ask, rows: int, *, is_single: bool
    ) -> tuple[float, float]:
        """Return by how much `rows`, or others for them, would be late, and their wait for others.

        At most 0 if they may come in; where nothing is in flight a single request always may.
        Everything but the rows is as in `ask`.
        """
        forecast = line.forecast
        is_alone = is_single and not forecast.rows_in_flight(now_s)
        reserved = line.reserved_rows(now_s, ask.priority)
        late_s = forecast.bound_s(now_s, rows, reserved, self._overhead) - ask.wanted_by_s
        late_s += line.margin.share * forecast.capacity.target_s
        others = self._neighbours(line, now_s)
        if not others:
            return 0.0 if is_alone else late_s, 0.0
        if is_alone and not any(other.forecast.own_rows for other in others):
            return 0.0, 0.0  # others may come, but nobody is here
        me = Demand(forecast, line.asked_per_s(now_s))
        shared = SharedWorkers(me, others, now_s, self._overhead.typical_s / 2)
        waits_s = shared.wait_s(min(ask.wanted_by_s, now_s + forecast.capacity.target_s))
        whole = ask if ask.rows == rows else replace(ask, rows=rows)
        caused_s = shared.lateness_caused_s(whole, self._overhead.worst_s)
        return max(late_s + waits_s, caused_s), waits_s

    def _refusals(
        self, line: Line, now_s: float, sizes: Sequence[int], late_s: float
    ) -> list[Refusal]:
        """Say when each of these requests would be in time, the first of them being so late now.

        The queue's end stands still while the workers work and nobody else is let in, so a request
        that is late by so much now is in time so much later. What S(B) varies by comes on top. And
        those who were refused before come back first, or all would come at once.
        """
        capacity = line.forecast.capacity
        run_s = capacity.service.batch_s(capacity.batch_rows)
        soonest_s = max(0.0, late_s) + run_s * capacity.service.jitter + self._overhead.typical_s
        soonest_s = min(soonest_s, RETRY_AFTER_S_MAX)
        return [Refusal(line.promise_s(now_s, rows, soonest_s)) for rows in sizes]

    def _neighbours(self, line: Line, now_s: float) -> list[Demand]:
        """The other models on the same workers that have rows in flight or want to."""
        if len(self._lines) == 1:
            return []
        mine = line.forecast.capacity.workers
        demands = [
            Demand(other.forecast, other.asked_per_s(now_s))
            for other in self._lines.values()
            if other is not line and not mine.isdisjoint(other.forecast.capacity.workers)
        ]
        return [
            one for one in demands if one.forecast.own_rows or one.asked_per_s > ASKED_PER_S_MIN
        ]
