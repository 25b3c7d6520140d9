"""`batchbridge plan --verify`: the planned configuration, started and measured on this machine."""

from __future__ import annotations

import math
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from bridge.contract.repository import VersionFolder
from bridge.plan.answer import Formation, Plan
from bridge.plan.errors import PlanError
from bridge.plan.model_copy import copied_model
from bridge.plan.planner import Planner
from bridge.plan.question import MeasuredModel
from bridge.plan.running_system import read_running_system
from bridge.plan.trials import Load
from bridge.plan.verified import Compared, Probe, Verification

# Of the capacity that is predicted with the load tester on the same cores: where p50 and p99 are
# compared. Above it they depend on luck.
COMPARED_SHARE = 0.7
SEARCH_STEP = 1.12
PRECISION = 1.06
PROBES_MAX = 12
WANTED_SHARE = 0.99
STOP_S_MAX = 40.0
CAPACITY_WITHIN = 0.10
LATENCY_WITHIN = 0.20
READY_WORD = "Try:"


class _Latency(msgspec.Struct, frozen=True):
    percentiles_ms: dict[str, float | None]


class _Generator(msgspec.Struct, frozen=True):
    lag_p99_ms: float


class _Result(msgspec.Struct, frozen=True):
    """What is read of the load tester's result."""

    offered: int
    outcomes: dict[str, int]
    latency: _Latency
    generator: _Generator

    @property
    def in_time_share(self) -> float:
        return self.outcomes.get("in_time", 0) / self.offered


def verify(plan: Plan, folder: VersionFolder, seconds: float) -> Verification:
    """Start the plan as far as the cores go, load it, and return predicted beside measured.

    Raises:
        PlanError: the server or the load tester ended without a result.
    """
    workers, gateways = _as_far_as_cores_go(plan)
    idle = _Prediction(plan, plan.model, workers, gateways)
    formation = idle.formation()
    capacity = formation.machine_per_s
    asked = plan.question.rate_per_s * workers / plan.formation.workers
    rate = min(asked, COMPARED_SHARE * capacity)
    with (
        copied_model(folder, plan.question.target_s) as models,
        _served(models, plan, workers, gateways) as url,
    ):
        tester = _Tester(url, plan.model.name, plan.question.target_s, seconds)
        held = largest_kept(
            capacity / SEARCH_STEP, lambda tried: tester.run(tried).in_time_share >= WANTED_SHARE
        )
        full = replace(idle, model=read_running_system(url, plan.model.key))
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
    )


@dataclass(frozen=True, slots=True)
class _Prediction:
    """What is predicted of a configuration; the load tester's arrivals are Poisson."""

    plan: Plan
    model: MeasuredModel
    workers: int
    gateways: int

    def formation(self) -> Formation:
        guest_s = self.plan.costs.generator_s
        return self._planner().formation(self.workers, self.gateways, guest_s=guest_s)

    def offer(self, rate: float) -> Load:
        return self._planner().offer(rate, self.workers)

    def _planner(self) -> Planner:
        return Planner(replace(self.plan.question, cv=1.0), self.model, self.plan.costs)


def _latencies(idle: Load, loaded: Load, steady: _Result) -> Iterator[Compared]:
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
def _served(models: Path, plan: Plan, workers: int, gateways: int) -> Iterator[str]:
    """Run `batchbridge serve` for as long as it is needed; give its URL."""
    port = _free_port()
    words = ["serve", "--models", str(models), "--port", str(port)]
    words += ["--workers", str(workers), "--gateways", str(gateways)]
    words += ["--threads", str(plan.question.threads)]
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            _command(words), stdout=subprocess.PIPE, stderr=log, text=True, env=_environment()
        )
        try:
            _await_ready(server)
            yield f"http://127.0.0.1:{port}"
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


class _Tester:
    """The load tester as a program: it is a stranger to the bridge.

    Its `find-capacity` takes no run in which it was late itself by 1 % of the target. On the cores
    of the system under test it is: here its runs count, and its lag counts as latency.
    """

    def __init__(self, url: str, model: str, target_s: float, seconds: float) -> None:
        self._asked = ["--url", url, "--model", model, "--target-ms", f"{target_s * 1e3:g}"]
        self._asked += ["--seconds", f"{seconds:g}"]
        self.probes: list[Probe] = []

    def run(self, rate: float) -> _Result:
        result = self._result(["run", "steady", "--rate", f"{rate:.6g}", "--warm-seconds", "1"])
        self.probes.append(
            Probe(
                rate_per_s=rate,
                in_time_share=result.in_time_share,
                refused_share=result.outcomes.get("refused", 0) / result.offered,
                p99_ms=result.latency.percentiles_ms["99"],
            )
        )
        return result

    def _result(self, words: Sequence[str]) -> _Result:
        with tempfile.TemporaryDirectory(prefix="batchbridge-plan-") as folder:
            path = Path(folder) / "result.json"
            ended = subprocess.run(
                _command(["loadtest", *words, *self._asked, "--json", str(path)]),
                check=False,
                capture_output=True,
                text=True,
                env=_environment(),
            )
            if not path.is_file():
                raise PlanError(f"verify: loadtest {words[0]}: {ended.stderr.strip()[-500:]}")
            return msgspec.json.decode(path.read_bytes(), type=_Result)


def _command(words: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "bridge.cli", *words]


def _environment() -> dict[str, str]:
    """This process's environment without settings: they are all said in words."""
    return {key: text for key, text in os.environ.items() if not key.startswith("BATCHBRIDGE_")}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
