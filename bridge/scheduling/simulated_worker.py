"""A simulated worker: the real batch formation and service time; runs that take simulated time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from bridge.scheduling.batch_choice import BatchBounds
from bridge.scheduling.formation import Formation
from bridge.scheduling.forming import Formed, Pace
from bridge.scheduling.lanes import ModelLane
from bridge.scheduling.reported_overhead import ReportedOverhead
from bridge.scheduling.service_time import ServiceTime, ServiceTimeFit
from bridge.scheduling.simulated_gateway import US, Call, Frame, Report, Result
from bridge.scheduling.simulated_setup import Setup, SimulatedModel

REFIT_EVERY_S = 0.1
# What a gateway last said of its rows in flight is believed for so long.
GATEWAY_BELIEVED_S = 1.0
PROFILED_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
PROFILED_RUNS = 3


class SimulatedVersion:
    """A model version on one worker, with its current model of time."""

    def __init__(self, setup: Setup, model: SimulatedModel, random: np.random.Generator) -> None:
        self.model = model
        self._random = random
        self._fit = ServiceTimeFit()
        self._refit_s = 0.0
        self._bounds = BatchBounds(
            target_s=model.target_s,
            overhead_s=setup.overhead_s,
            rows_cap=model.rows_cap,
            tightest_target_s=min(other.target_s for other in setup.models),
        )
        for rows in PROFILED_ROWS:
            if rows <= (model.rows_cap or PROFILED_ROWS[-1]):
                for _ in range(PROFILED_RUNS):
                    self._fit.profile(rows, self.run_s(rows))
        self._set_service(self._fit.estimate())

    def run_s(self, rows: int) -> float:
        """Draw how long a run takes."""
        model = self.model
        run_s = model.fixed_s + model.per_row_s * rows
        if model.run_cv:
            shape = 1 / model.run_cv**2
            run_s *= self._random.gamma(shape, 1 / shape)
        if model.hiccup_share and self._random.random() < model.hiccup_share:
            run_s += model.hiccup_s
        return run_s

    def set_overhead(self, measured_s: float) -> None:
        """Say what o is, for the next fit."""
        self._bounds = self._bounds.with_overhead(measured_s)

    def observe(self, now_s: float, rows: int, run_s: float) -> bool:
        """Take in a run; return whether the model of time was fitted anew."""
        self._fit.observe(rows, run_s)
        if now_s - self._refit_s < REFIT_EVERY_S:
            return False
        self._refit_s = now_s
        self._set_service(self._fit.estimate())
        return True

    def _set_service(self, service: ServiceTime) -> None:
        self.service = service
        self.batch_rows = self._bounds.rows(service)
        self.pace = Pace(
            self.batch_rows, lambda rows: service.batch_s(rows) * US, self.model.target_s * US
        )
        self._report: Report | None = None

    def report(self, online_rows: int) -> Report:
        """Return what the gateways are told; the same object as long as nothing changes."""
        if self._report is None or self._report.online_rows != online_rows:
            self._report = Report(self.service, self.batch_rows, online_rows)
        return self._report


@dataclass(slots=True)
class Run:
    """The run that a worker is in, or was in."""

    formed: Formed[Call]
    started_s: float
    ended_s: float
    late_starts: int


@dataclass(slots=True)
class Ports:
    """What a worker is connected to.

    `later`: be called at a time. `reply`: a result's way to a gateway. `fetch`: frames for what
    is wanted. `record`: a run that has ended.
    """

    later: Callable[[float, Callable[[float], None]], None]
    reply: Callable[[float, int, Result], None]
    fetch: Callable[[float, SimulatedWorker], None]
    record: Callable[[int, Run], None]


@dataclass(slots=True)
class SimulatedWorker:
    """One worker: takes frames while it has less than a batch in hand, runs one batch at a time."""

    name: str
    number: int
    versions: Mapping[str, SimulatedVersion]
    setup: Setup
    ports: Ports
    is_alive: bool = True
    most_in_hand: float = 0.0
    frames: dict[int, Frame] = field(default_factory=dict)
    formation: Formation[Call] = field(init=False)
    _frame_of: dict[int, Frame] = field(default_factory=dict)
    _in_flight: dict[tuple[str, int], tuple[int, float]] = field(default_factory=dict)
    _rows: dict[str, int] = field(default_factory=dict)
    _overhead: ReportedOverhead = field(init=False)
    _is_running: bool = False

    def __post_init__(self) -> None:
        """Start with nothing in hand."""
        paces = {key: version.pace for key, version in self.versions.items()}
        self.formation = Formation(paces, self.setup.shares)
        self._rows = dict.fromkeys(paces, 0)
        self._overhead = ReportedOverhead(self.setup.overhead_s)

    def wants(self, lane: ModelLane) -> bool:
        """Return whether frames of a lane are to be taken: less than a batch is in hand."""
        return lane in self.formation.rows_wanted()

    def take(self, now_s: float, frame: Frame, lane: ModelLane) -> None:
        """Take a frame into the hand; it runs at once if nothing does."""
        self.frames[id(frame)] = frame
        frame.open_calls = len(frame.calls)
        for call in frame.calls:
            self._frame_of[id(call)] = frame
            self.formation.put(lane, (), call)
        if lane.lane == "online":
            self._hear(now_s, frame)
            self._in_flight[frame.model_key, frame.gateway] = (frame.in_flight_rows, now_s)
            self._rows[frame.model_key] += sum(call.rows for call in frame.calls)
            # What an idle worker takes is run at once.
            if self._is_running:
                held = self._rows[frame.model_key] / self.versions[frame.model_key].batch_rows
                self.most_in_hand = max(self.most_in_hand, held)
        if not self._is_running:
            self._start(now_s)

    def _hear(self, now_s: float, frame: Frame) -> None:
        before_s = self._overhead.in_use_s
        self._overhead.observe(str(frame.gateway), frame.overhead_s, now_s)
        if self._overhead.in_use_s != before_s:
            for version in self.versions.values():
                version.set_overhead(self._overhead.in_use_s)

    def die(self) -> list[Frame]:
        """End at once; return the frames that were not acknowledged."""
        self.is_alive = False
        return list(self.frames.values())

    def _start(self, now_s: float) -> None:
        """Start the next run, if there is anything to run."""
        self._is_running = False
        while self.is_alive and (formed := self.formation.take(int(now_s * US), _wanted)):
            self._count_out(formed)
            self._drop(now_s, formed)
            if formed.run:
                self._is_running = True
                self._run(now_s, formed)
                break
        if self.is_alive:
            self.ports.fetch(now_s, self)

    def _count_out(self, formed: Formed[Call]) -> None:
        for call in formed.run + formed.expired:
            if call.traffic >= 0:  # requests leave in the order in which they came
                self._rows[formed.model_key] -= call.rows

    def _run(self, now_s: float, formed: Formed[Call]) -> None:
        run_s = self.versions[formed.model_key].run_s(formed.rows)
        late = sum(call.deadline_s < now_s and call.deadline_us > 0 for call in formed.run)
        run = Run(formed, now_s, now_s + run_s, late)
        self.ports.later(run.ended_s, partial(self._end, run))

    def _end(self, run: Run, now_s: float) -> None:
        if not self.is_alive:
            return
        formed = run.formed
        version = self.versions[formed.model_key]
        if version.observe(now_s, formed.rows, now_s - run.started_s):
            self.formation.set_pace(formed.model_key, version.pace)
        self.ports.record(self.number, run)
        self._reply(now_s, formed.model_key, formed.run, self.formation.rows_next(formed.model_key))
        if self.setup.gap_s:
            self.ports.later(now_s + self.setup.gap_s, self._start)
        else:
            self._start(now_s)

    def _drop(self, now_s: float, formed: Formed[Call]) -> None:
        if formed.expired:
            self._reply(now_s, formed.model_key, formed.expired, None)

    def _reply(self, now_s: float, key: str, calls: list[Call], waiting: int | None) -> None:
        """Send results; `waiting` rows are in hand, None for calls that did not run."""
        by_gateway: dict[int, list[Call]] = {}
        for call in calls:
            frame = self._finish(call)
            if frame.gateway >= 0:
                by_gateway.setdefault(frame.gateway, []).append(call)
        report = self.versions[key].report(self.formation.online_rows(key))
        ended_s = None if waiting is None else now_s
        for gateway, own in by_gateway.items():
            others = self._others_rows(now_s, key, gateway)
            result = Result(self.name, key, own, report, ended_s, waiting or 0, others)
            self.ports.reply(now_s, gateway, result)

    def _finish(self, call: Call) -> Frame:
        frame = self._frame_of.pop(id(call))
        frame.open_calls -= 1
        if not frame.open_calls:
            self.frames.pop(id(frame), None)
        return frame

    def _others_rows(self, now_s: float, model_key: str, gateway: int) -> int:
        return sum(
            rows
            for (key, other), (rows, seen_s) in self._in_flight.items()
            if key == model_key and other != gateway and now_s - seen_s <= GATEWAY_BELIEVED_S
        )


def _wanted(_: Call) -> bool:
    return False
