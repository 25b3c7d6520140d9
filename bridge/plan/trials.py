"""Simulated trials of a configuration: the policies that serve, in simulated time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bridge.plan.question import MeasuredModel
from bridge.plan.request_costs import RequestCosts
from bridge.scheduling.batch_size import batch_rows
from bridge.scheduling.lanes import request_rows
from bridge.scheduling.simulated_outcome import Outcome
from bridge.scheduling.simulated_setup import Phase, Setup, SimulatedModel, Traffic
from bridge.scheduling.simulation import simulate

WANTED_SHARE = 0.99
REQUESTS = 12_000
REQUESTS_MIN = 2_000
SECONDS_MAX = 120.0
# A trial must be long enough for an overload to show.
TARGETS_MIN = 20.0
STRETCHED = 4
# The beginning, while queue and forecast fill, is not counted.
WARM_SHARE = 0.15
# A larger pool is simulated by a part of it; pooling makes the whole a little better than that.
SIMULATED_WORKERS_MAX = 8
PRECISION = 1.03
# Of what an overloaded system answers, each of what the one before left; bursts cost the most.
SEARCHED_SHARES = (0.98, 0.97, 0.94, 0.9, 0.8, 0.6, 0.3, 0.1)
# From the p95 to the coefficient of variation of a normal distribution.
DEVIATIONS_AT_P95 = 1.645
# Runs of microseconds vary by more than their length while they are profiled; that is no rule.
RUN_CV_MAX = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What became of an offered rate; latencies are of those answered, NaN where there were none.

    Shares are of the offered requests; `retry_after_s` is the median hint of the refused, 0 where
    nobody was refused. `batch_lane_rows_per_s` is what the batch lane got.
    """

    workers: int
    offered_per_s: float
    goodput_per_s: float
    in_time_share: float
    refused_share: float
    late_share: float
    p50_s: float
    p99_s: float
    retry_after_s: float
    in_flight_rows: float
    batch_lane_rows_per_s: float


class Trials:
    """Offers rates to simulated workers of one model; the same question gives the same answer.

    A trial has so many `requests`, up to `STRETCHED` times as many where the target is long, and
    fewer where they are rare. A worker's own work on each request is taken as part of its run:
    the thread that runs the model waits for it.
    """

    def __init__(
        self, model: MeasuredModel, costs: RequestCosts, overhead_s: float, requests: int = REQUESTS
    ) -> None:
        self._model = model
        self._costs = costs
        self._overhead_s = overhead_s
        self._requests = requests
        self._capacities: dict[tuple[int, float, float], float] = {}

    def capacity_per_s(self, workers: int, target_s: float, cv: float) -> float:
        """Return the largest rate of which 99 % is answered in time, to within 3 %; 0 for none."""
        asked = (min(workers, SIMULATED_WORKERS_MAX), target_s, cv)
        if asked not in self._capacities:
            self._capacities[asked] = self._search(*asked)
        return self._capacities[asked] * workers / asked[0]

    def _search(self, workers: int, target_s: float, cv: float) -> float:
        """Step down from what an overloaded system answers, then halve the gap."""
        high = self.offer(
            1.2 * workers * self.row_limit_per_s(target_s), workers, target_s, cv
        ).goodput_per_s
        if high <= 0:
            return 0.0
        low = 0.0
        for share in SEARCHED_SHARES:
            low = share * high
            if self._keeps(low, workers, target_s, cv):
                break
            high = low
        else:
            return 0.0
        while high / low > PRECISION:
            middle = math.sqrt(low * high)
            low, high = (
                (middle, high) if self._keeps(middle, workers, target_s, cv) else (low, middle)
            )
        return low

    def _keeps(self, rate: float, workers: int, target_s: float, cv: float) -> bool:
        return self.offer(rate, workers, target_s, cv).in_time_share >= WANTED_SHARE

    def offer(
        self,
        rate: float,
        workers: int,
        target_s: float,
        cv: float,
        *,
        fills_batch_lane: bool = False,
    ) -> Load:
        """Return what becomes of `rate` requests a second at so many workers."""
        simulated = min(workers, SIMULATED_WORKERS_MAX)
        part = simulated / workers
        setup = self._setup(rate * part, simulated, target_s, cv, fills_batch_lane)
        return _load(simulate(setup), setup, workers, rate)

    def row_limit_per_s(self, target_s: float) -> float:
        """Return the rows per second of a worker with batches as large as a policy makes them."""
        model = self._simulated(target_s, fills_batch_lane=False)
        rows = model.rows_cap or 1024
        return rows / model.mean_s(rows)

    def _setup(
        self, rate: float, workers: int, target_s: float, cv: float, fills_batch_lane: bool
    ) -> Setup:
        model = self._simulated(target_s, fills_batch_lane)
        targets = TARGETS_MIN * target_s * rate
        requests = min(max(self._requests, targets), STRETCHED * self._requests)
        fewest = min(self._requests, REQUESTS_MIN)
        return Setup(
            models=(model,),
            traffic=(Traffic(model.key, (Phase(math.inf, rate),), cv=cv),),
            duration_s=max(fewest, min(SECONDS_MAX * rate, requests)) / rate,
            workers=workers,
            overhead_s=self._overhead_s,
        )

    def _simulated(self, target_s: float, fills_batch_lane: bool) -> SimulatedModel:
        service = self._model.service
        return SimulatedModel(
            key=self._model.key,
            fixed_s=service.fixed_s * service.typical,
            per_row_s=service.per_row_s * service.typical + self._costs.worker.request_s,
            target_s=target_s,
            rows_cap=self._model.rows_cap,
            run_cv=min(RUN_CV_MAX, (1 / service.typical - 1) / DEVIATIONS_AT_P95),
            batch_lane_rows_per_s=math.inf if fills_batch_lane else 0.0,
            batch_request_rows=request_rows(self._batch_rows(target_s)),
        )

    def _batch_rows(self, target_s: float) -> int:
        model = self._model
        return batch_rows(model.service, target_s, self._overhead_s, model.rows_cap)


def _load(outcome: Outcome, setup: Setup, workers: int, rate: float) -> Load:
    from_s, to_s = WARM_SHARE * setup.duration_s, setup.duration_s
    attempts, runs = outcome.attempts, outcome.runs
    tally = attempts.tally(from_s, to_s)
    chosen = attempts.chosen(from_s, to_s)
    latency_s = attempts.latency_s[chosen]
    answered_s = latency_s[~np.isnan(latency_s)]
    hints_s = attempts.retry_after_s[chosen]
    hints_s = hints_s[~np.isnan(hints_s)]
    counted = (runs.ended_s > from_s) & (runs.ended_s <= to_s)
    scale = workers / setup.workers / (to_s - from_s)
    offered = max(1, tally.offered)
    return Load(
        workers=workers,
        offered_per_s=rate,
        goodput_per_s=tally.in_time_share * rate,
        in_time_share=tally.in_time_share,
        refused_share=tally.refused / offered,
        late_share=(tally.late + tally.expired) / offered,
        p50_s=_percentile(answered_s, 50),
        p99_s=_percentile(answered_s, 99),
        retry_after_s=_percentile(hints_s, 50) if len(hints_s) else 0.0,
        in_flight_rows=float(answered_s.sum()) * scale,
        batch_lane_rows_per_s=float((runs.rows - runs.online_rows)[counted].sum()) * scale,
    )


def _percentile(values: np.ndarray[tuple[int], np.dtype[np.float64]], percent: float) -> float:
    return float(np.percentile(values, percent)) if len(values) else math.nan
