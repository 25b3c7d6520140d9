"""MLPerf Inference's SingleStream, Server and Offline, through the real MLPerf LoadGen.

LoadGen decides what is sent when, measures, and judges; here is only what stands between it and an
HTTP server. Needs the package `mlcommons-loadgen`. Lengths are shorter than the official ones, and
a submission needs much more than LoadGen, so the figures are never an official MLPerf result.
"""

from __future__ import annotations

import importlib
import math
import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import msgspec

from loadtest.caller import Caller
from loadtest.errors import LoadtestError, NoAnswer
from loadtest.subject import Subject

Scenario = Literal["SingleStream", "Server", "Offline"]
PACKAGE = "mlcommons-loadgen"
OFFICIAL_SECONDS = 600
SECONDS_MAX = 3_600.0
CONNECTIONS_MAX = 1_024
SUMMARY = "mlperf_log_summary.txt"
NOT_OFFICIAL = (
    "not an official MLPerf result: own model, own data, own lengths; official runs take at least "
    f"{OFFICIAL_SECONDS} s"
)
_OK = 200


class MlperfError(LoadtestError):
    """MLPerf's LoadGen is not installed, or cannot run this."""


@dataclass(frozen=True, slots=True)
class MlperfPlan:
    """What LoadGen is told.

    `rate` is what to offer (Server) or to expect (Offline) in requests per second; `target_ms` the
    latency that 99 % must keep (Server). `seconds` and `queries` are least values. `connections`
    callers share the work of Server and Offline; SingleStream has one.
    """

    scenario: Scenario
    rate: float
    seconds: float
    queries: int
    connections: int
    target_ms: float
    seed: int
    logs: Path

    def checked(self) -> MlperfPlan:
        """Return the plan itself.

        Raises:
            MlperfError: a value out of its bounds, named.
        """
        bounds = (
            ("rate", self.rate, 0.01, 1e6),
            ("seconds", self.seconds, 0.1, SECONDS_MAX),
            ("queries", self.queries, 1, 10**8),
            ("connections", self.connections, 1, CONNECTIONS_MAX),
            ("target-ms", self.target_ms, 0.001, 1e6),
        )
        for name, value, lowest, highest in bounds:
            if not (lowest <= value <= highest and math.isfinite(value)):
                raise MlperfError(f"{name}: {value} is not between {lowest:g} and {highest:g}")
        return self


class MlperfResult(msgspec.Struct, frozen=True, kw_only=True):
    """What LoadGen said, as it said it, and what must be known to read it.

    `summary` holds LoadGen's own lines, name and value. `failed` counts answers other than 200,
    which LoadGen does not know of; with any, `is_valid` is False.
    """

    note: str
    scenario: str
    is_valid: bool
    failed: int
    url: str
    model: str
    plan: dict[str, Any]
    bodies: dict[str, Any]
    loadgen: str
    summary: dict[str, str]


def run_mlperf(plan: MlperfPlan, subject: Subject) -> MlperfResult:
    """Let LoadGen ask the server; it ends by itself.

    Raises:
        MlperfError: LoadGen is not installed, or its logs cannot be written or read.
        NoAnswer: nobody answers at the server's URL.
    """
    loadgen = _loadgen()
    with Caller(subject.url) as caller:
        caller.ask(subject.requests[0])  # fails here, not in LoadGen's thread
    callers = _Callers(loadgen, subject, plan)
    system = loadgen.ConstructSUT(callers.issue, lambda: None)
    count = len(subject.requests)
    # All bodies are in memory before: there is nothing to load.
    library = loadgen.ConstructQSL(count, count, lambda _: None, lambda _: None)
    try:
        plan.logs.mkdir(parents=True, exist_ok=True)
        loadgen.StartTestWithLogSettings(system, library, _settings(loadgen, plan), _logs(plan))
        summary = parse_summary((plan.logs / SUMMARY).read_text())
    except OSError as error:
        raise MlperfError(f"{plan.logs}: {error.strerror or error}") from error
    finally:
        callers.end()
        loadgen.DestroyQSL(library)
        loadgen.DestroySUT(system)
    return MlperfResult(
        note=NOT_OFFICIAL,
        scenario=plan.scenario,
        is_valid=summary.get("Result is") == "VALID" and not callers.failed,
        failed=callers.failed,
        url=subject.url,
        model=subject.model,
        plan=_described(plan),
        bodies=subject.described,
        loadgen=f"{PACKAGE} {version(PACKAGE)}",
        summary=summary,
    )


def parse_summary(text: str) -> dict[str, str]:
    """Return the "name : value" lines of LoadGen's summary, in its order."""
    pairs = (line.partition(" : ") for line in text.splitlines())
    return {name.strip(" *:"): value.strip() for name, colon, value in pairs if colon}


def print_mlperf(result: MlperfResult) -> None:
    """Print LoadGen's figures and what they are not."""
    verdict = "VALID" if result.is_valid else "INVALID"
    print(f"MLPerf {result.scenario} on {result.model} at {result.url}: {verdict}")
    if result.failed:
        print(f"  {result.failed} answers were no 200; LoadGen took them for answers")
    for name, value in result.summary.items():
        print(f"  {name}: {value}")
    print(f"({result.note}; {result.loadgen})")


def write_mlperf(result: MlperfResult, path: Path) -> None:
    """Write a result as indented JSON."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")


@dataclass(slots=True)
class _Callers:
    """MLPerf's "system under test": callers who ask the server what LoadGen issues."""

    loadgen: Any
    subject: Subject
    plan: MlperfPlan
    failed: int = 0
    _waiting: queue.SimpleQueue[Any] = field(default_factory=queue.SimpleQueue)
    _threads: list[threading.Thread] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _alone: Caller = field(init=False)

    def __post_init__(self) -> None:
        self._alone = Caller(self.subject.url)
        for _ in range(0 if self.plan.scenario == "SingleStream" else self.plan.connections):
            thread = threading.Thread(target=self._work, daemon=True)
            thread.start()
            self._threads.append(thread)

    def issue(self, samples: Sequence[Any]) -> None:
        """Ask at once (SingleStream: LoadGen waits anyway), or hand over to the callers."""
        for sample in samples:
            if self._threads:
                self._waiting.put((sample.id, sample.index))
            else:
                self._ask(self._alone, sample.id, sample.index)

    def end(self) -> None:
        """Let all callers go."""
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join()
        self._alone.close()

    def _work(self) -> None:
        with Caller(self.subject.url) as caller:
            while (sample := self._waiting.get()) is not None:
                self._ask(caller, *sample)

    def _ask(self, caller: Caller, sample_id: int, index: int) -> None:
        try:
            is_ok = caller.ask(self.subject.requests[index]).status == _OK
        except NoAnswer:
            is_ok = False
        if not is_ok:
            with self._lock:
                self.failed += 1
        response = self.loadgen.QuerySampleResponse(sample_id, 0, 0)
        self.loadgen.QuerySamplesComplete([response])


def _loadgen() -> Any:
    try:
        return importlib.import_module("mlperf_loadgen")  # an optional package
    except ImportError as error:
        raise MlperfError(f"MLPerf's LoadGen is not installed: pip install {PACKAGE}") from error


def _settings(loadgen: Any, plan: MlperfPlan) -> Any:
    settings = loadgen.TestSettings()
    settings.scenario = getattr(loadgen.TestScenario, plan.scenario)
    settings.mode = loadgen.TestMode.PerformanceOnly
    settings.min_duration_ms = int(plan.seconds * 1e3)
    settings.min_query_count = plan.queries
    settings.server_target_qps = plan.rate
    settings.server_target_latency_ns = int(plan.target_ms * 1e6)
    settings.server_target_latency_percentile = 0.99
    settings.offline_expected_qps = plan.rate
    settings.single_stream_expected_latency_ns = 1_000_000
    settings.qsl_rng_seed = plan.seed
    settings.sample_index_rng_seed = plan.seed + 1
    settings.schedule_rng_seed = plan.seed + 2
    return settings


def _logs(plan: MlperfPlan) -> Any:
    loadgen = _loadgen()
    output = loadgen.LogOutputSettings()
    output.outdir = str(plan.logs)
    logs = loadgen.LogSettings()
    logs.log_output = output
    logs.enable_trace = False
    return logs


def _described(plan: MlperfPlan) -> dict[str, Any]:
    return {name: getattr(plan, name) for name in MlperfPlan.__slots__ if name != "logs"}
