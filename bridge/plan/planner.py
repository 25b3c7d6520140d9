"""From a question and a measured model to a plan: the policies' closed forms, and simulation."""

from __future__ import annotations

import math
from collections.abc import Callable

from bridge.plan.answer import (
    Autoscaling,
    BatchLane,
    Ceiling,
    Formation,
    Impossible,
    PerWorker,
    Plan,
    Tighter,
)
from bridge.plan.question import MeasuredModel, Question
from bridge.plan.request_costs import (
    GATEWAY_SHARE_MAX,
    MACHINE_SHARE_MAX,
    ProcessCosts,
    RequestCosts,
)
from bridge.plan.trials import REQUESTS, SIMULATED_WORKERS_MAX, WANTED_SHARE, Load, Trials
from bridge.scheduling.batch_size import (
    BATCH_ROWS_CEILING,
    batch_rows,
    keeps_target,
    shortest_target_s,
)

# o, as workers take it to be when they choose their batch size.
OVERHEAD_S = 0.004
TARGET_SHARES = (1.0, 0.75, 0.5, 0.25)
# What an autoscaler keeps a worker at, as a share of its capacity: a new worker takes time to load.
AUTOSCALED_SHARE = 0.75
HOUR_S = 3600
BURSTY_CV = 2.0
# The machine's limit is looked for below this rate, to within a millionth of it.
RATE_PER_S_MAX = 1e7
HALVINGS = 40


def make_plan(
    question: Question,
    model: MeasuredModel,
    costs: RequestCosts | None = None,
    requests: int = REQUESTS,
) -> Plan | Impossible:
    """Return what `question` needs of `model`, or why nothing is enough.

    Each simulated trial has about so many `requests`; there are some 30 trials.
    """
    return Planner(question, model, costs or RequestCosts(), requests).plan()


class Planner:
    """One question about one model."""

    def __init__(
        self,
        question: Question,
        model: MeasuredModel,
        costs: RequestCosts,
        requests: int = REQUESTS,
    ) -> None:
        self._question = question
        self._model = model
        self._costs = costs
        self._trials = Trials(model, costs, OVERHEAD_S, requests)

    def plan(self) -> Plan | Impossible:
        """Return the plan."""
        question, service = self._question, self._model.service
        if not keeps_target(service, question.target_s, OVERHEAD_S):
            return Impossible(
                question=question,
                model=self._model,
                one_row_s=service.batch_s(1),
                overhead_s=OVERHEAD_S,
                shortest_target_s=shortest_target_s(service, OVERHEAD_S),
            )
        per_worker = self._per_worker()
        needed = self._workers(question.rate_per_s, question.target_s, per_worker.asked_per_s)
        workers = min(needed, question.workers_max)
        formation = self.formation(workers, self._gateways(question.rate_per_s))
        batch = self._batch_rows(question.target_s)
        return Plan(
            question=question,
            model=self._model,
            costs=self._costs,
            overhead_s=OVERHEAD_S,
            batch_rows=batch,
            run_s=service.batch_s(batch),
            per_worker=per_worker,
            workers_needed=needed,
            formation=formation,
            expected=self.offer(question.rate_per_s, workers),
            doubled=self.offer(2 * question.rate_per_s, workers),
            tighter=tuple(self._tighter(share, per_worker, needed) for share in TARGET_SHARES),
            ceiling=self._ceiling(),
            batch_lane=self._batch_lane(workers),
            autoscaling=self._autoscaling(per_worker, batch),
        )

    def formation(
        self, workers: int, gateways: int, guest: ProcessCosts | None = None
    ) -> Formation:
        """Return what so many workers and gateways hold; a `guest` process shares the machine."""
        question, costs = self._question, self._costs
        run_s = self._run_cpu_s(question.target_s)

        def cores(rate: float) -> float:
            system = costs.cores(rate, gateways=gateways, workers=workers) + rate * run_s
            return system if guest is None else system + guest.cores(rate)

        return Formation(
            workers=workers,
            gateways=gateways,
            workers_per_s=self._trials.capacity_per_s(workers, question.target_s, question.cv),
            gateways_per_s=_rate_at(
                gateways * GATEWAY_SHARE_MAX, lambda rate: costs.gateway.cores(rate, gateways)
            ),
            cores_per_s=_rate_at(question.cores * MACHINE_SHARE_MAX, cores),
            cores=costs.cores(question.rate_per_s, gateways=gateways, workers=workers)
            + question.rate_per_s * run_s,
        )

    def offer(self, rate: float, workers: int) -> Load:
        """Return what becomes of `rate` requests a second."""
        return self._trials.offer(rate, workers, self._question.target_s, self._question.cv)

    def _per_worker(self) -> PerWorker:
        question, trials = self._question, self._trials
        service, rows = self._model.service, self._batch_rows(question.target_s)
        poisson = trials.capacity_per_s(1, question.target_s, 1.0)
        is_poisson = question.cv == 1.0
        return PerWorker(
            rows_per_s=rows / service.typical_s(rows),
            poisson_per_s=poisson,
            asked_per_s=poisson
            if is_poisson
            else trials.capacity_per_s(1, question.target_s, question.cv),
        )

    def _workers(self, rate: float, target_s: float, worker_per_s: float) -> int:
        """Return the fewest workers that hold `rate`; several hold more than as many alone."""
        question, trials = self._question, self._trials
        if worker_per_s <= 0:
            return question.workers_max + 1
        alone = math.ceil(rate / worker_per_s)
        fewest = math.ceil(rate / trials.row_limit_per_s(target_s))
        if alone > SIMULATED_WORKERS_MAX:
            pool = trials.capacity_per_s(SIMULATED_WORKERS_MAX, target_s, question.cv)
            return math.ceil(rate * SIMULATED_WORKERS_MAX / pool) if pool else alone
        for workers in range(fewest, alone):
            held = trials.offer(rate, workers, target_s, question.cv)
            if held.in_time_share >= WANTED_SHARE:
                return workers
        return max(fewest, alone)

    def _gateways(self, rate: float) -> int:
        costs = self._costs.gateway
        return max(1, math.ceil(rate * costs.request_s / (GATEWAY_SHARE_MAX - costs.turns)))

    def _tighter(self, share: float, per_worker: PerWorker, workers: int) -> Tighter:
        question = self._question
        target_s = share * question.target_s
        if not keeps_target(self._model.service, target_s, OVERHEAD_S):
            return Tighter(target_s=target_s, batch_rows=0, worker_per_s=0.0, workers=0)
        worker_per_s = per_worker.asked_per_s
        if share != 1:
            worker_per_s = self._trials.capacity_per_s(1, target_s, question.cv)
            workers = self._workers(question.rate_per_s, target_s, worker_per_s)
        return Tighter(
            target_s=target_s,
            batch_rows=self._batch_rows(target_s),
            worker_per_s=worker_per_s,
            workers=workers,
        )

    def _ceiling(self) -> Ceiling:
        service, question = self._model.service, self._question
        rows = min(BATCH_ROWS_CEILING, self._model.rows_cap or BATCH_ROWS_CEILING)
        row_s = service.typical_s(rows) / rows

        def cores(rate: float) -> float:
            beside = self._costs.cores(rate, gateways=1, workers=1)
            return beside + rate * row_s * question.threads

        return Ceiling(
            worker_rows_per_s=1 / row_s,
            machine_per_s=_rate_at(question.cores, cores),
            p99_s=service.batch_s(1) + OVERHEAD_S,
        )

    def _batch_lane(self, workers: int) -> BatchLane:
        question = self._question
        asked_per_s = question.batch_rows_per_hour / HOUR_S
        tried = workers
        load = self._batch_lane_beside(tried)
        got = load.batch_lane_rows_per_s
        if got < asked_per_s:
            rows = self._batch_rows(question.target_s)
            full_per_s = rows / self._model.service.typical_s(rows)
            tried += max(1, math.ceil((asked_per_s - got) / full_per_s))
        return BatchLane(rows_per_hour=got * HOUR_S, online_p99_s=load.p99_s, workers=tried)

    def _batch_lane_beside(self, workers: int) -> Load:
        question = self._question
        return self._trials.offer(
            question.rate_per_s, workers, question.target_s, question.cv, fills_batch_lane=True
        )

    def _autoscaling(self, per_worker: PerWorker, rows: int) -> Autoscaling:
        """What one worker is kept at, and the backlog of half the time that admission allows."""
        question, service = self._question, self._model.service
        rate = AUTOSCALED_SHARE * per_worker.asked_per_s
        # Of a model whose rows cost next to nothing, the work beside the runs holds less than X(B).
        held = min(service.rows_per_s(rows), per_worker.asked_per_s)
        load = self._trials.offer(rate, 1, question.target_s, question.cv)
        return Autoscaling(
            requests_per_s=rate,
            in_flight_rows=load.in_flight_rows,
            in_flight_rows_max=held * (question.target_s - OVERHEAD_S) / 2,
        )

    def _run_cpu_s(self, target_s: float) -> float:
        rows = self._batch_rows(target_s)
        return self._model.service.typical_s(rows) / rows * self._question.threads

    def _batch_rows(self, target_s: float) -> int:
        return batch_rows(self._model.service, target_s, OVERHEAD_S, self._model.rows_cap)


def _rate_at(cores: float, cores_at: Callable[[float], float]) -> float:
    """Return the rate at which so many `cores` are busy, `cores_at` rising with the rate."""
    low, high = 0.0, RATE_PER_S_MAX
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if cores_at(middle) < cores else (low, middle)
    return low
