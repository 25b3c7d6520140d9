"""`batchbridge plan --verify`: the planned configuration, started and measured on this machine."""

from __future__ import annotations

import math
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bridge.contract.repository import VersionFolder
from bridge.plan.answer import Formation, Plan
from bridge.plan.errors import PlanError
from bridge.plan.load_tester import LoadTester, TesterResult, command, environment
from bridge.plan.model_copy import copied_model
from bridge.plan.planner import Planner
from bridge.plan.question import MeasuredModel
from bridge.plan.request_costs import RequestCosts
from bridge.plan.running_system import read_running_system
from bridge.plan.trials import Load
from bridge.plan.verified import Compared, Verification

# Of the capacity that is predicted with the load tester on the same cores: where p50 and p99 are
# compared. Above it they depend on luck.
COMPARED_SHARE = 0.7
SEARCH_STEP = 1.12
PRECISION = 1.06
PROBES_MAX = 12
STOP_S_MAX = 40.0
CAPACITY_WITHIN = 0.10
LATENCY_WITHIN = 0.20
READY_WORD = "Try:"


def verify(plan: Plan, folder: VersionFolder, seconds: float) -> Verification:
    """Start the plan as far as the cores go, load it, and return predicted beside measured.

    Raises:
        PlanError: the server or the load tester ended without a result.
    """
    workers, gateways = _as_far_as_cores_go(plan)
    idle = _Prediction(plan, plan.model, plan.costs, workers, gateways)
    formation = idle.formation()
    capacity = formation.machine_per_s
    asked = plan.question.rate_per_s * workers / plan.formation.workers
    rate = min(asked, COMPARED_SHARE * capacity)
    with (
        copied_model(folder, plan.question.target_s) as models,
        _served(models, plan, workers, gateways) as (url, server),
    ):
        tester = LoadTester(url, server, plan.model.name, plan.question.target_s, seconds)
        held = largest_kept(capacity / SEARCH_STEP, lambda tried: tester.run(tried).is_kept)
        costs = _measured_costs(plan, tester)
        full = replace(
            idle, model=read_running_system(url, plan.model.key), costs=costs or plan.costs
        )
        steady = tester.run(rate)
        loaded = replace(idle, model=read_running_system(url, plan.model.key))
    latency = _latencies(idle.offer(rate), loaded.offer(rate), steady)
    found = Compared(
        name="capacity",
        unit="requests/s",
        predicted=capacity,
        predicted_under_load=full.formation().machine_per_s,
        measured=held,
        within=CAPACITY_WITHIN,
    )
    return Verification(
        workers=workers,
        gateways=gateways,
        bound=formation.bound,
        rate_per_s=rate,
        lag_s=steady.generator.lag_p99_ms / 1e3,
        figures=(found, *latency),
        probes=tuple(tester.probes),
        costs=costs,
    )


def _measured_costs(plan: Plan, tester: LoadTester) -> RequestCosts | None:
    """Return what a request cost at the largest rate that was kept."""
    if tester.spent is None:
        return None
    run_s = plan.model.service.typical_s(plan.batch_rows) / plan.batch_rows
    return tester.spent.costs(run_s * plan.question.threads, plan.costs)


@dataclass(frozen=True, slots=True)
class _Prediction:
    """What is predicted of a configuration; the load tester's arrivals are Poisson."""

    plan: Plan
    model: MeasuredModel
    costs: RequestCosts
    workers: int
    gateways: int

    def formation(self) -> Formation:
        guest = self.costs.generator
        return self._planner().formation(self.workers, self.gateways, guest=guest)

    def offer(self, rate: float) -> Load:
        return self._planner().offer(rate, self.workers)

    def _planner(self) -> Planner:
        return Planner(replace(self.plan.question, cv=1.0), self.model, self.costs)


def _latencies(idle: Load, loaded: Load, steady: TesterResult) -> Iterator[Compared]:
    for percent, first_s, second_s in (
        ("50", idle.p50_s, loaded.p50_s),
        ("99", idle.p99_s, loaded.p99_s),
    ):
        yield Compared(
            name=f"p{percent}",
            unit="ms",
            predicted=first_s * 1e3,
            predicted_under_load=second_s * 1e3,
            measured=steady.latency.percentiles_ms[percent] or 0.0,
            within=LATENCY_WITHIN,
        )


def largest_kept(start: float, keeps: Callable[[float], bool]) -> float:
    """Return the largest rate that `keeps` is true of, within 6 %; 0 where no rate was found.

    From `start` by steps until one is kept and one is not, then between them.
    """
    kept, missed, rate = 0.0, math.inf, start
    for _ in range(PROBES_MAX):
        if keeps(rate):
            kept = max(kept, rate)
        else:
            missed = min(missed, rate)
        if not kept:
            rate = missed / SEARCH_STEP**2
        elif missed == math.inf:
            rate = kept * SEARCH_STEP
        elif missed / kept > PRECISION:
            rate = math.sqrt(kept * missed)
        else:
            break
    return kept


def _as_far_as_cores_go(plan: Plan) -> tuple[int, int]:
    """Return how many workers and gateways this machine has cores for."""
    question = plan.question
    gateways = min(plan.formation.gateways, max(1, question.cores // 4))
    room = max(1, (question.cores - gateways) // question.threads)
    return min(plan.formation.workers, room), gateways


@contextmanager
def _served(models: Path, plan: Plan, workers: int, gateways: int) -> Iterator[tuple[str, int]]:
    """Run `batchbridge serve` for as long as it is needed; give its URL and its process id."""
    port = _free_port()
    words = ["serve", "--models", str(models), "--port", str(port)]
    words += ["--workers", str(workers), "--gateways", str(gateways)]
    words += ["--threads", str(plan.question.threads)]
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            command(words), stdout=subprocess.PIPE, stderr=log, text=True, env=environment()
        )
        try:
            _await_ready(server)
            yield f"http://127.0.0.1:{port}", server.pid
        finally:
            server.send_signal(signal.SIGTERM)
            try:
                server.communicate(timeout=STOP_S_MAX)
            except subprocess.TimeoutExpired:
                server.kill()
                server.communicate()


def _await_ready(server: subprocess.Popen[str]) -> None:
    assert server.stdout is not None
    for line in server.stdout:
        if READY_WORD in line:
            return
    raise PlanError(f"verify: batchbridge serve ended with {server.wait()}; try it by itself")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
