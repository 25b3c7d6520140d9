"""Results of runs that never took place: sound, overloaded, stalled, void, and a ramp.

Latencies are drawn from a seed and their percentiles computed from the very histogram that the
result carries, so that a report can be held to the figures of its result.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]

from loadtest.arrivals import Poisson
from loadtest.result import (
    FORMAT_VERSION,
    GeneratorCost,
    Latency,
    ModelPart,
    RateStep,
    RunResult,
    Second,
    ServerSide,
)
from loadtest.scenario import Scenario
from loadtest.summary import percentile_interval_ms, percentile_ms

Floats = np.ndarray[Any, np.dtype[np.float64]]
MACHINE = {
    "cpu": "AMD EPYC 7B13",
    "cores": 2,
    "memory_bytes": 25769803776,
    "system": "Linux 6.1.0 x86_64",
    "governor": None,
}
VERSIONS = {"batchbridge": "0.1.0", "python": "3.11.7", "httptools": "0.7.1", "numpy": "2.4.6"}
SCENARIO: dict[str, Any] = msgspec.to_builtins(
    Scenario(description="Independent callers", seconds=60.0, arrivals=Poisson(rate=2000.0))
)
BATCH_ROWS = {"1": 410, "2": 1208, "4": 3911, "8": 5240, "16": 1530, "32": 0, "64": 0, "+Inf": 0}
QUEUE_DELAY = {"0.0005": 21043, "0.001": 40211, "0.002": 38822, "0.005": 17644, "0.01": 2210}
QUEUE_DELAY |= {"0.025": 70, "0.05": 0, "+Inf": 0}


def latency_of(latencies_ms: Floats) -> Latency:
    """Return the latency of a run that saw these."""
    histogram = HdrHistogram(1, 120_000_000, 3)
    micros = np.rint(latencies_ms * 1000)
    for value, count in zip(*np.unique(micros, return_counts=True), strict=True):
        histogram.record_value(int(value), int(count))
    samples, ascending_ms = len(latencies_ms), np.sort(latencies_ms)
    percentiles = {f"{name:g}": percentile_ms(ascending_ms, name) for name in (50, 90, 99, 99.9)}
    return Latency(
        samples=samples,
        mean_ms=float(latencies_ms.mean()) if samples else None,
        percentiles_ms=percentiles | {"100": float(latencies_ms.max()) if samples else None},
        p99_interval_ms=percentile_interval_ms(ascending_ms, 99),
        histogram=histogram.encode().decode(),
    )


def second_of(at_s: int, offered: int, latencies_ms: Floats, refused: int, failed: int) -> Second:
    """Return second `at_s` of a run whose target is 50 ms."""
    in_time = int((latencies_ms <= 50).sum())
    ascending_ms = np.sort(latencies_ms)
    return Second(
        at_s=float(at_s),
        offered=offered,
        in_time=in_time,
        late=len(latencies_ms) - in_time,
        refused=refused,
        failed=failed,
        p50_ms=percentile_ms(ascending_ms, 50),
        p99_ms=percentile_ms(ascending_ms, 99),
        max_ms=float(ascending_ms[-1]) if len(ascending_ms) else None,
    )


def result_of(series: list[Second], latencies_ms: Floats, **changes: Any) -> RunResult:
    """Return the result of a run with this series; `changes` replace fields."""
    seconds = float(len(series))
    total = {
        name: sum(getattr(second, name) for second in series)
        for name in ("offered", "in_time", "late", "refused", "failed")
    }
    outcomes = {
        "in_time": total["in_time"],
        "late": total["late"],
        "refused": total["refused"],
        "expired": total["failed"],
    }
    result = RunResult(
        format_version=FORMAT_VERSION,
        name="steady",
        made_at="2026-11-20T14:03:22Z",
        command="batchbridge loadtest steady --url http://127.0.0.1:8080 --model churn --seed 7",
        seed=7,
        scenario=SCENARIO,
        url="http://127.0.0.1:8080",
        model="churn",
        server={"name": "batchbridge", "version": "0.1.0", "model_version": "3"},
        machine=MACHINE,
        versions=VERSIONS,
        loop="open",
        seconds=seconds,
        target_ms=50.0,
        offered=total["offered"],
        offered_per_s=total["offered"] / seconds,
        goodput_per_s=total["in_time"] / seconds,
        outcomes={name: count for name, count in outcomes.items() if count},
        latency=latency_of(latencies_ms),
        generator=GENERATOR,
        series=series,
        steps=[],
        server_side=ServerSide(batch_rows=BATCH_ROWS, queue_delay_s=QUEUE_DELAY),
    )
    return msgspec.structs.replace(result, **changes)


GENERATOR = GeneratorCost(
    lag_p50_ms=0.021,
    lag_p99_ms=0.113,
    lag_max_ms=1.42,
    cpu_s=6.31,
    cpu_us_per_request=52.6,
    processes=1,
    connections=64,
    void_reason=None,
)


def _service(random: np.random.Generator, count: int, middle_ms: float, width: float) -> Floats:
    latencies_ms: Floats = middle_ms * np.exp(random.normal(0.0, width, count))
    return latencies_ms


def sound(seed: int = 7, middle_ms: float = 6.0, **changes: Any) -> RunResult:
    """A minute at 2,000 requests per second that the server carries."""
    random = np.random.default_rng(seed)
    series, parts = [], []
    for at_s in range(60):
        latencies_ms = _service(random, int(random.poisson(2000)), middle_ms, 0.42)
        series.append(second_of(at_s, len(latencies_ms), latencies_ms, 0, 0))
        parts.append(latencies_ms)
    return result_of(series, np.concatenate(parts), seed=seed, **changes)


def mixed(**changes: Any) -> RunResult:
    """A quick model and a slow one, whose answers are late and too few for a p99."""
    random = np.random.default_rng(12)
    quick_ms = _service(random, 1_800, 6.0, 0.42)
    slow_ms = _service(random, 200, 60.0, 0.2)
    both_ms = np.concatenate([quick_ms, slow_ms])
    late = int((slow_ms > 50).sum())
    slow = {"in_time": len(slow_ms) - late, "late": late, "refused": 40}
    parts = [
        ModelPart(
            model="digits",
            offered=len(quick_ms),
            outcomes={"in_time": len(quick_ms)},
            latency=latency_of(quick_ms),
        ),
        ModelPart(model="churn", offered=240, outcomes=slow, latency=latency_of(slow_ms)),
    ]
    series = [second_of(0, 2_040, both_ms, 40, 0)]
    defaults: dict[str, Any] = {"name": "mixed", "model": "digits (90%), churn (10%)"}
    return result_of(series, both_ms, **(defaults | {"models": parts} | changes))


def overloaded(**changes: Any) -> RunResult:
    """Forty seconds at twice what the server carries: it refuses the rest, some is late."""
    random = np.random.default_rng(8)
    series, parts = [], []
    for at_s in range(40):
        offered = int(random.poisson(16000))
        admitted, failed = min(offered, int(random.normal(7900, 120))), int(random.poisson(12))
        latencies_ms = _service(random, admitted - failed, 38.0, 0.1)
        series.append(second_of(at_s, offered, latencies_ms, offered - admitted, failed))
        parts.append(latencies_ms)
    scenario = SCENARIO | {"seconds": 40.0, "arrivals": {"kind": "poisson", "rate": 16000.0}}
    defaults: dict[str, Any] = {"name": "overload-2x", "scenario": scenario}
    return result_of(series, np.concatenate(parts), **(defaults | changes))


def stalled(**changes: Any) -> RunResult:
    """A server that answers in 10 ms and stands still for one second in every ten."""
    random = np.random.default_rng(9)
    series, parts = [], []
    for at_s in range(60):
        sent_ms = np.sort(random.uniform(0, 1000, int(random.poisson(500))))
        latencies_ms = _service(random, len(sent_ms), 10.2, 0.02)
        if at_s % 10 == 9:
            latencies_ms = latencies_ms + (1000 - sent_ms)
        series.append(second_of(at_s, len(sent_ms), latencies_ms, 0, 0))
        parts.append(latencies_ms)
    defaults: dict[str, Any] = {"name": "stalling-server", "server_side": None}
    return result_of(series, np.concatenate(parts), **(defaults | changes))


def void(**changes: Any) -> RunResult:
    """A short run whose generator could not keep up."""
    random = np.random.default_rng(10)
    latencies_ms = _service(random, 320, 4.2, 0.5)
    series = [second_of(at_s, 40, latencies_ms[40 * at_s :][:40], 0, 0) for at_s in range(8)]
    reason = "the generator's own send lag was 3.81 ms at p99, more than 1 % of the 50 ms target"
    cost = msgspec.structs.replace(GENERATOR, lag_p99_ms=3.81, lag_max_ms=44.0, void_reason=reason)
    defaults: dict[str, Any] = {"name": "smoke", "generator": cost, "server_side": None}
    return result_of(series, latencies_ms, **(defaults | changes))


def ramp(**changes: Any) -> RunResult:
    """Ten levels of ten seconds, 1,000 to 10,000 requests per second; capacity is near 8,000."""
    random = np.random.default_rng(11)
    series: list[Second] = []
    parts, steps = [], []
    for rate in range(1000, 10001, 1000):
        level = []
        for at_s in range(len(series), len(series) + 10):
            offered = int(random.poisson(rate))
            admitted = min(offered, int(random.normal(7900, 100)))
            latencies_ms = _service(
                random, admitted, 4.5 + 26 * (min(rate, 8000) / 8000) ** 6, 0.17
            )
            series.append(second_of(at_s, offered, latencies_ms, offered - admitted, 0))
            level.append(latencies_ms)
        steps.append(_step(rate, np.concatenate(level), series[-10:]))
        parts.extend(level)
    scenario = SCENARIO | {"arrivals": {"kind": "ramp", "rate": 1000.0, "end_rate": 10000.0}}
    defaults: dict[str, Any] = {"name": "ramp", "scenario": scenario, "steps": steps}
    return result_of(series, np.concatenate(parts), **(defaults | changes))


def _step(rate: int, latencies_ms: Floats, seconds: list[Second]) -> RateStep:
    return RateStep(
        offered_per_s=float(rate),
        goodput_per_s=sum(second.in_time for second in seconds) / len(seconds),
        refused_per_s=sum(second.refused for second in seconds) / len(seconds),
        p50_ms=float(np.quantile(latencies_ms, 0.5)),
        p99_ms=float(np.quantile(latencies_ms, 0.99)),
    )
