"""A simulated gateway: the real admission, frames of one turn, and everything in flight."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from bridge.scheduling.admission import Admission, Permit, Refusal
from bridge.scheduling.ask import Ask, Priority
from bridge.scheduling.forecast import Capacity
from bridge.scheduling.overhead import Overhead
from bridge.scheduling.service_time import ServiceTime
from bridge.scheduling.simulated_setup import SimulatedModel

US = 1e6


class Call:
    """One attempt of a request; in the queue and in hand it is what a batch is formed from."""

    __slots__ = (
        "answers",
        "asked_s",
        "deadline_s",
        "deadline_us",
        "enqueued_us",
        "error_s",
        "finished_s",
        "is_open",
        "model_key",
        "number",
        "permit",
        "priority",
        "retry_after_s",
        "rows",
        "runs_alone",
        "timeout_s",
        "traffic",
        "wanted_by_s",
    )

    def __init__(
        self,
        traffic: int,
        model_key: str,
        rows: int,
        priority: Priority,
        timeout_s: float | None,
        number: int,
    ) -> None:
        self.traffic = traffic
        self.model_key = model_key
        self.rows = rows
        self.priority = priority
        self.timeout_s = timeout_s
        self.number = number
        self.runs_alone = False
        self.is_open = False
        self.answers = 0
        self.permit: Permit | None = None
        self.finished_s = self.retry_after_s = self.error_s = math.nan
        self.asked_s = self.wanted_by_s = self.deadline_s = 0.0
        self.enqueued_us = self.deadline_us = 0


@dataclass(slots=True, eq=False)
class Frame:
    """The calls that one gateway sends together; `open_calls` have no result yet."""

    gateway: int
    model_key: str
    calls: list[Call]
    in_flight_rows: int
    overhead_s: float = 0.0
    open_calls: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker says of a model version: S(b), B, and B for online callers."""

    service: ServiceTime
    batch_rows: int
    online_rows: int


@dataclass(frozen=True, slots=True)
class Result:
    """What a worker sends to one gateway after a run, or for calls that did not run."""

    worker: str
    model_key: str
    calls: list[Call]
    report: Report
    ended_s: float | None
    waiting_rows: int = 0
    others_rows: int = 0


class SimulatedGateway:
    """One gateway. `send` takes its frames; what it is told comes in by the methods below."""

    def __init__(
        self,
        number: int,
        gateways: int,
        models: dict[str, SimulatedModel],
        send: Callable[[float, Frame], None],
        later: Callable[[float, Callable[[float], None]], None],
        turn_s: float,
    ) -> None:
        self.number = number
        self.strays = 0
        self.overhead = Overhead()
        self.admission = Admission(self.overhead)
        self.most_in_flight = dict.fromkeys(models, 0)
        self._gateways = gateways
        self._models = models
        self._send = send
        self._later = later
        self._turn_s = turn_s
        self._heard: dict[str, dict[str, Report]] = {key: {} for key in models}
        self._frame_rows: dict[str, int] = {}
        self._turn: dict[str, list[Call]] = {}
        # By timeout: calls in the order of their deadlines.
        self._expiring: dict[float, deque[Call]] = {}

    def hear(self, worker: str, model_key: str, report: Report) -> None:
        """Take in a worker's report."""
        heard = self._heard[model_key]
        if heard.get(worker) is not report:
            heard[worker] = report
            self._set_capacity(model_key)

    def forget(self, worker: str) -> None:
        """Take note that a worker has fallen silent."""
        for model_key, heard in self._heard.items():
            if heard.pop(worker, None) is not None and heard:
                self._set_capacity(model_key)

    def beat(self, now_s: float) -> None:
        """Do what a gateway does a few times a second."""
        self.overhead.refresh(now_s)

    def ask(self, now_s: float, call: Call) -> Refusal | None:
        """Let a call in, or return why not."""
        model = self._models[call.model_key]
        own_s = call.timeout_s
        call.asked_s = now_s
        call.wanted_by_s = now_s + (model.target_s if own_s is None else own_s)
        ask = Ask(call.model_key, call.rows, call.wanted_by_s, call.priority)
        decision = self.admission.admit(now_s, ask)
        if isinstance(decision, Refusal):
            call.retry_after_s = decision.retry_after_s
            return decision
        call.permit = decision
        call.is_open = True
        self._expect(now_s, call, model.ends_after_s if own_s is None else own_s)
        in_flight = self.admission.own_rows(call.model_key)
        self.most_in_flight[call.model_key] = max(self.most_in_flight[call.model_key], in_flight)
        if not self._turn:
            self._later(now_s + self._turn_s, self._end_turn)
        self._turn.setdefault(call.model_key, []).append(call)
        return None

    def receive(self, now_s: float, result: Result) -> None:
        """Take in a result."""
        self.hear(result.worker, result.model_key, result.report)
        for call in result.calls:
            if not call.is_open:
                self.strays += 1
                continue
            permit = call.permit
            self._settle(call)
            if result.ended_s is None or permit is None:
                continue  # it came up too late to be run
            call.answers += 1
            call.finished_s = now_s
            call.error_s = now_s - permit.expected_s
            self.admission.observe_answers(result.model_key, permit, now_s)
        forecast = self.admission.forecast(result.model_key)
        if forecast is not None and result.ended_s is not None:
            self.overhead.observe_return(now_s, now_s - result.ended_s)
            forecast.observe_run(result.worker, result.ended_s, result.waiting_rows)
            forecast.observe_others(now_s, result.others_rows)
            self.admission.end_frame(result.model_key)

    def _set_capacity(self, model_key: str) -> None:
        heard, model = self._heard[model_key], self._models[model_key]
        # What each worker can be counted on for.
        batch_rows = min(report.batch_rows for report in heard.values())
        slowest = max(heard.values(), key=lambda report: report.service.batch_s(batch_rows))
        capacity = Capacity(
            workers=frozenset(heard),
            batch_rows=batch_rows,
            online_rows=min(report.online_rows for report in heard.values()),
            service=slowest.service,
            target_s=model.target_s,
            gateways=self._gateways,
        )
        self._frame_rows[model_key] = capacity.frame_rows
        self.admission.set_capacity(model_key, capacity)

    def _end_turn(self, now_s: float) -> None:
        turn, self._turn = self._turn, {}
        first_s = min(calls[0].asked_s for calls in turn.values())
        self.overhead.observe_lag(now_s, now_s - first_s)
        for model_key, calls in turn.items():
            in_flight = self.admission.own_rows(model_key)
            frame_rows = self._frame_rows[model_key]
            load: list[Call] = []
            rows = 0
            for call in calls:
                if load and rows + call.rows > frame_rows:
                    self._send(now_s, self._frame(model_key, load, in_flight))
                    load, rows = [], 0
                load.append(call)
                rows += call.rows
            self._send(now_s, self._frame(model_key, load, in_flight))

    def _frame(self, model_key: str, calls: list[Call], in_flight: int) -> Frame:
        return Frame(self.number, model_key, calls, in_flight, self.overhead.worst_s)

    def _expect(self, now_s: float, call: Call, timeout_s: float) -> None:
        call.deadline_s = now_s + timeout_s
        call.enqueued_us, call.deadline_us = int(now_s * US), int(call.deadline_s * US)
        expiring = self._expiring.get(timeout_s)
        if expiring is None:
            expiring = self._expiring[timeout_s] = deque()
        if not expiring:
            self._later(call.deadline_s, lambda now_s: self._expire(now_s, timeout_s))
        expiring.append(call)

    def _expire(self, now_s: float, timeout_s: float) -> None:
        expiring = self._expiring[timeout_s]
        while expiring and (not expiring[0].is_open or expiring[0].deadline_s <= now_s):
            call = expiring.popleft()
            if call.is_open:
                self._settle(call)
        if expiring:
            self._later(expiring[0].deadline_s, lambda now_s: self._expire(now_s, timeout_s))

    def _settle(self, call: Call) -> None:
        call.is_open = False
        if call.permit is not None:
            call.permit.release()
