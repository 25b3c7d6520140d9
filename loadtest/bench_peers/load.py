"""One measurement: a server, a request, a load; what came of it and what it cost whom."""

from __future__ import annotations

import resource
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from loadtest.arrivals import Poisson, draw
from loadtest.bare_loop import BareLoop
from loadtest.bench_peers import wrk
from loadtest.bench_peers.requests import Asked
from loadtest.bench_peers.servers import Server
from loadtest.runner import ClosedPlan, run_closed, run_open
from loadtest.summary import latency_ms, nearest_rank
from loadtest.traffic import Floats, Recording, Traffic

TIMEOUT_S = 10.0
GENERATOR = "generator"
Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True)
class Measured:
    """What one measurement found.

    `answered` with status 200 in `seconds`, the last answer included, `other` with another one or
    not at all; `cpu_s` by process, the generator among them; `commands` of the queue by name;
    `lag_p99_ms` is how late the generator itself was (open loop only), `offered_per_s` what it was
    to send.
    """

    tester: str
    seconds: float
    answered: int
    other: int
    p50_ms: float
    p99_ms: float
    cpu_s: dict[str, float]
    commands: dict[str, int]
    offered_per_s: float | None = None
    lag_p99_ms: float | None = None

    @property
    def per_s(self) -> float:
        """Answers with status 200 per second."""
        return self.answered / self.seconds

    @property
    def cores(self) -> dict[str, float]:
        """How many cores each process used."""
        return {role: spent_s / self.seconds for role, spent_s in self.cpu_s.items()}

    @property
    def cpu_us(self) -> dict[str, float]:
        """The CPU time of each process per answered request, in microseconds."""
        return {role: spent * 1e6 / max(1, self.answered) for role, spent in self.cpu_s.items()}

    @property
    def commands_per_request(self) -> float:
        """The queue's commands per answered request."""
        return sum(self.commands.values()) / max(1, self.answered)


@dataclass(frozen=True, slots=True)
class Load:
    """What one server is asked, over so many connections."""

    server: Server
    asked: Asked
    connections: int


def closed(load: Load, seconds: float) -> Measured:
    """Measure with a closed loop: wrk where it is installed, else our own."""
    return closed_wrk(load, seconds) if wrk.is_there() else closed_ours(load, seconds)


def closed_wrk(load: Load, seconds: float) -> Measured:
    """Measure with wrk."""

    def run() -> Measured:
        asked = load.asked
        url = f"http://127.0.0.1:{load.server.port}{asked.path}"
        before_s = _children_cpu_s()
        said = wrk.run_wrk(url, asked.headers, asked.body, load.connections, seconds)
        cpu = {GENERATOR: _children_cpu_s() - before_s}
        return Measured(
            "wrk", said.seconds, said.answered, said.other, said.p50_s * 1e3, said.p99_s * 1e3,
            cpu, {},
        )  # fmt: skip

    return watched(load.server, run)


def closed_ours(load: Load, seconds: float) -> Measured:
    """Measure with our own closed loop."""

    def run() -> Measured:
        plan = ClosedPlan(load.connections, seconds)
        return _measured("ours, closed", run_closed(_traffic(load, 1), plan, 1), seconds)

    return watched(load.server, run)


def offered(load: Load, rate: float, seconds: float, seed: int) -> Measured:
    """Measure with our own open loop: `rate` independent requests per second (Poisson)."""

    def run() -> Measured:
        times = draw(Poisson(rate=rate), seconds, seed=seed)
        recording = run_open(_traffic(load, len(times)), times, 1)
        return _measured("ours, open", recording, seconds, rate)

    return watched(load.server, run)


def bare(loop: BareLoop, rows: int, seconds: float) -> Measured:
    """Measure a bare `session.run` loop on one thread; a run of `rows` rows counts as an answer."""
    times_s = np.array(loop.run_times_s(rows, seconds))
    return Measured(
        "session.run", float(times_s.sum()), len(times_s), 0,
        percentile(times_s, 50) * 1e3, percentile(times_s, 99) * 1e3, {}, {},
    )  # fmt: skip


def watched(server: Server, run: Callable[[], Measured]) -> Measured:
    """Return what `run` finds, with what it cost the server's processes."""
    commands, cpu_s = server.commands(), server.cpu_s()
    found = run()
    return replace(
        found,
        cpu_s={**found.cpu_s, **_growth(cpu_s, server.cpu_s())},
        commands=_growth(commands, server.commands()),
    )


def _growth(before: dict[str, Number], after: dict[str, Number]) -> dict[str, Number]:
    grown = {name: value - before.get(name, 0) for name, value in after.items()}
    return {name: value for name, value in grown.items() if value}


def _measured(
    tester: str, recording: Recording, seconds: float, rate: float | None = None
) -> Measured:
    latency = latency_ms(recording)
    lag = recording.lag_s[~np.isnan(recording.lag_s)] * 1e3
    answered = len(latency)
    # A server that falls behind is still answering when the last request was due.
    took_s = max(seconds, float(np.nanmax(recording.done_s, initial=0.0)))
    return Measured(
        tester, took_s, answered, len(recording.status) - answered,
        percentile(latency, 50), percentile(latency, 99), {GENERATOR: recording.cpu_s}, {},
        offered_per_s=rate, lag_p99_ms=None if rate is None else percentile(lag, 99),
    )  # fmt: skip


def _traffic(load: Load, count: int) -> Traffic:
    return Traffic(
        host="127.0.0.1",
        port=load.server.port,
        requests=[load.asked.request(load.server.port)],
        choice=np.zeros(count, dtype=np.int32),
        connections_max=load.connections,
        timeout_s=TIMEOUT_S,
    )


def percentile(values: Floats, percent: float) -> float:
    """Return a nearest-rank percentile, NaN of nothing."""
    if not len(values):
        return float("nan")
    return float(np.sort(values)[nearest_rank(percent, len(values)) - 1])


def _children_cpu_s() -> float:
    """CPU seconds of the processes that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
