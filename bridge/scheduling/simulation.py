"""A whole system in simulated time: callers, gateways, queue and workers, with the real policies.

Nothing here decides anything: `Admission` lets in, `Formation` makes batches, `ServiceTimeFit`
learns S(b) from the simulated runs, `batch_rows` chooses B. What is simulated is what these meet:
arrivals, the ways between the processes, runs of varying length, workers that die. The same setup
gives the same outcome, to the last digit.

    outcome = simulate(Setup(models, traffic, duration_s=10.0, workers=2))
    outcome.attempts.tally(from_s=1.0).in_time_share
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable
from functools import partial

import numpy as np

from bridge.scheduling.lanes import ModelLane
from bridge.scheduling.simulated_gateway import Call, Frame, Result, SimulatedGateway
from bridge.scheduling.simulated_outcome import Attempts, Outcome, Runs, Tally, Verdict
from bridge.scheduling.simulated_queue import Queue, batch_entry
from bridge.scheduling.simulated_setup import Death, Phase, Setup, SimulatedModel, Traffic
from bridge.scheduling.simulated_traffic import arrival_times_s
from bridge.scheduling.simulated_worker import Ports, Run, SimulatedVersion, SimulatedWorker

# Who simulates needs this one module.
__all__ = [
    "Attempts",
    "Death",
    "Outcome",
    "Phase",
    "Runs",
    "Setup",
    "SimulatedModel",
    "Tally",
    "Traffic",
    "Verdict",
    "simulate",
]

Event = Callable[[float], None]

GATEWAY_BEAT_S = 0.3
# A worker that has not been heard for so long is not counted on.
WORKER_SILENT_S = 1.0


def simulate(setup: Setup) -> Outcome:
    """Run a setup from its start until all that was let in has been answered."""
    return System(setup).run()


class System:
    """One simulation, from its start to its end."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._random = np.random.default_rng(setup.seed)
        self._events: list[tuple[float, int, Event]] = []
        self._order = itertools.count()
        self._queue = Queue(setup)
        self._calls: list[Call] = []
        self._runs: list[tuple[int, Run]] = []
        self._arrived_s: dict[tuple[int, int], float] = {}
        models = {model.key: model for model in setup.models}
        self._gateways = [
            SimulatedGateway(number, setup.gateways, models, self._send, self._later, setup.turn_s)
            for number in range(setup.gateways)
        ]
        self._ports = Ports(self._later, self._reply, self._queue.fetch, self._record)
        self._workers = [self._new_worker(number, 0) for number in range(setup.workers)]

    def run(self) -> Outcome:
        """Let everything happen."""
        setup = self._setup
        for worker in self._workers:
            self._join(worker, 0.0)
        for gateway in self._gateways:
            self._beat(gateway, 0.0)
        for death in setup.deaths:
            self._later(death.at_s, partial(self._die, death))
        self._start_batch_lane()
        self._play()
        return self._outcome()

    def _play(self) -> None:
        """Merge the arrivals, known beforehand, with the events that follow from them."""
        times_s, sources = self._arrivals()
        traffic = self._setup.traffic
        events = self._events
        for asked_s, source in zip(times_s, sources, strict=True):
            while events and events[0][0] <= asked_s:
                now_s, _, event = heapq.heappop(events)
                event(now_s)
            kind = traffic[source]
            call = Call(source, kind.model_key, kind.rows, kind.priority, kind.timeout_s, 0)
            self._ask(call, asked_s)
        while events:
            now_s, _, event = heapq.heappop(events)
            event(now_s)

    def _arrivals(self) -> tuple[list[float], list[int]]:
        duration_s = self._setup.duration_s
        each = [arrival_times_s(one, duration_s, self._random) for one in self._setup.traffic]
        times = np.concatenate(each)
        sources = np.repeat(np.arange(len(each)), [len(one) for one in each])
        order = np.argsort(times, kind="stable")
        return times[order].tolist(), sources[order].tolist()

    def _ask(self, call: Call, now_s: float) -> None:
        self._calls.append(call)
        gateway = self._gateways[len(self._calls) % len(self._gateways)]
        refusal = gateway.ask(now_s, call)
        kind = self._setup.traffic[call.traffic]
        if refusal is None or call.number >= kind.returns:
            return
        again = Call(
            call.traffic, call.model_key, call.rows, call.priority, call.timeout_s, call.number + 1
        )
        self._later(now_s + refusal.retry_after_s, partial(self._ask, again))

    def _later(self, at_s: float, event: Event) -> None:
        heapq.heappush(self._events, (at_s, next(self._order), event))

    def _way_s(self) -> float:
        setup = self._setup
        if not setup.way_cv:
            return setup.way_s
        shape = 1 / setup.way_cv**2
        return self._random.gamma(shape, setup.way_s / shape)

    def _in_order_s(self, now_s: float, link: tuple[int, int]) -> float:
        """Return when something sent now arrives: after what was sent before on the same link."""
        arrives_s = max(now_s + self._way_s(), self._arrived_s.get(link, 0.0))
        self._arrived_s[link] = arrives_s
        return arrives_s

    def _send(self, now_s: float, frame: Frame) -> None:
        lane = ModelLane(frame.model_key, "online")
        arrives_s = self._in_order_s(now_s, (frame.gateway, -1))
        self._later(arrives_s, lambda now_s: self._queue.add(now_s, frame, lane))

    def _reply(self, now_s: float, gateway: int, result: Result) -> None:
        worker = int(result.worker.partition(".")[0])
        arrives_s = self._in_order_s(now_s, (gateway, worker))
        receive = self._gateways[gateway].receive
        self._later(arrives_s, lambda now_s: receive(now_s, result))

    def _record(self, worker: int, run: Run) -> None:
        self._runs.append((worker, run))

    def _beat(self, gateway: SimulatedGateway, now_s: float) -> None:
        gateway.beat(now_s)
        if now_s < self._setup.duration_s:
            self._later(now_s + GATEWAY_BEAT_S, partial(self._beat, gateway))

    def _new_worker(self, number: int, life: int) -> SimulatedWorker:
        versions = {
            model.key: SimulatedVersion(self._setup, model, self._random)
            for model in self._setup.models
        }
        return SimulatedWorker(f"{number}.{life}", number, versions, self._setup, self._ports)

    def _join(self, worker: SimulatedWorker, now_s: float) -> None:
        for gateway in self._gateways:
            for key, version in worker.versions.items():
                gateway.hear(worker.name, key, version.report(version.batch_rows))
        self._queue.fetch(now_s, worker)

    def _die(self, death: Death, now_s: float) -> None:
        worker = self._workers[death.worker]
        frames = worker.die()
        self._queue.leave(worker)
        self._later(now_s + WORKER_SILENT_S, lambda _: self._forget(worker))
        self._later(now_s + self._setup.lease_s, partial(self._queue.reclaim, frames))
        if death.back_s < math.inf:
            self._later(death.back_s, partial(self._replace, death.worker))

    def _replace(self, number: int, now_s: float) -> None:
        life = int(self._workers[number].name.partition(".")[2]) + 1
        self._workers[number] = worker = self._new_worker(number, life)
        self._join(worker, now_s)

    def _forget(self, worker: SimulatedWorker) -> None:
        for gateway in self._gateways:
            gateway.forget(worker.name)

    def _start_batch_lane(self) -> None:
        for model in self._setup.models:
            if 0 < model.batch_lane_rows_per_s < math.inf:
                every_s = model.batch_request_rows / model.batch_lane_rows_per_s
                self._later(every_s, partial(self._add_batch_entry, model, every_s))

    def _add_batch_entry(self, model: SimulatedModel, every_s: float, now_s: float) -> None:
        if now_s < self._setup.duration_s:
            frame = batch_entry(model.key, model.batch_request_rows, now_s)
            self._queue.add(now_s, frame, ModelLane(model.key, "batch"))
            self._later(now_s + every_s, partial(self._add_batch_entry, model, every_s))

    def _outcome(self) -> Outcome:
        first = self._workers[0]
        return Outcome(
            attempts=_attempts(self._calls),
            runs=_table_of_runs([model.key for model in self._setup.models], self._runs),
            batch_rows={key: version.batch_rows for key, version in first.versions.items()},
            most_in_hand=max(worker.most_in_hand for worker in self._workers),
            most_in_flight={
                model.key: max(gateway.most_in_flight[model.key] for gateway in self._gateways)
                for model in self._setup.models
            },
            strays=sum(gateway.strays for gateway in self._gateways),
            left_in_flight=sum(
                gateway.admission.own_rows(model.key)
                for gateway in self._gateways
                for model in self._setup.models
            ),
        )


def _attempts(calls: list[Call]) -> Attempts:
    def floats(name: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.array([getattr(call, name) for call in calls], dtype=np.float64)

    def integers(name: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.array([getattr(call, name) for call in calls], dtype=np.int64)

    asked_s = floats("asked_s")
    return Attempts(
        traffic=integers("traffic"),
        rows=integers("rows"),
        asked_s=asked_s,
        verdict=np.array([_verdict(call) for call in calls], dtype=np.int64),
        latency_s=floats("finished_s") - asked_s,
        retry_after_s=floats("retry_after_s"),
        error_s=floats("error_s"),
        number=integers("number"),
        answers=integers("answers"),
    )


def _verdict(call: Call) -> Verdict:
    if call.permit is None:
        return Verdict.REFUSED
    if call.is_open:
        return Verdict.UNANSWERED
    if not call.answers:
        return Verdict.EXPIRED
    return Verdict.IN_TIME if call.finished_s <= call.wanted_by_s else Verdict.LATE


def _table_of_runs(model_keys: list[str], runs: list[tuple[int, Run]]) -> Runs:
    formed = [run.formed for _, run in runs]
    return Runs(
        model=np.array([model_keys.index(one.model_key) for one in formed], dtype=np.int64),
        worker=np.array([worker for worker, _ in runs], dtype=np.int64),
        started_s=np.array([run.started_s for _, run in runs]),
        ended_s=np.array([run.ended_s for _, run in runs]),
        rows=np.array([one.rows for one in formed], dtype=np.int64),
        online_rows=np.array(
            [sum(call.rows for call in one.run if call.traffic >= 0) for one in formed],
            dtype=np.int64,
        ),
        late_starts=np.array([run.late_starts for _, run in runs], dtype=np.int64),
    )
