"""One run from a scenario to its result: traffic made, sent, recorded, judged."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import msgspec
import numpy as np

from loadtest.arrivals import Ramp, draw
from loadtest.open_loop import Floats, Recording, Traffic
from loadtest.result import FORMAT_VERSION, RunResult, ServerSide
from loadtest.runner import Begin, ClosedPlan, run_closed, run_open
from loadtest.scenario import Clients, Scenario
from loadtest.summary import (
    after_warm_up,
    generator_cost,
    latency_summary,
    outcomes,
    rate_steps,
    series,
)

_PACKAGES = ("batchbridge", "httptools", "hdrhistogram", "numpy", "uvloop")


@dataclass(frozen=True, slots=True)
class Subject:
    """What is asked, and where: prepared requests to one server, and what is known of it.

    `requests` are complete HTTP/1.1 requests; `is_right` judges the body of a 200 for one of them.
    `described` says what the bodies are, `server` what answers.
    """

    url: str
    host: str
    port: int
    model: str
    requests: Sequence[bytes]
    is_right: Callable[[int, bytes], bool] | None
    described: dict[str, Any]
    server: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Terms:
    """How a run is judged and repeated: the latency target, the seed, how many generators."""

    target_ms: float
    seed: int
    processes: int


def run_scenario(
    name: str,
    scenario: Scenario,
    subject: Subject,
    terms: Terms,
    on_begin: Begin | None = None,
    server_side: Callable[[], ServerSide | None] | None = None,
) -> RunResult:
    """Run a scenario and return its result; it ends by itself.

    Everything random is drawn from `terms.seed` before the first request.

    Raises:
        ArrivalsError: arrivals that cannot be drawn.
        OSError: the server cannot be connected to (closed loop), or a process cannot be started.
    """
    before = server_side() if server_side else None
    recording = after_warm_up(_recorded(scenario, subject, terms, on_begin), scenario.warm_seconds)
    after = server_side() if server_side else None
    seconds = scenario.seconds
    counts = outcomes(recording, terms.target_ms)
    is_open = scenario.loop == "open"
    return RunResult(
        format_version=FORMAT_VERSION,
        name=name,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        command=shlex.join(sys.argv),
        seed=terms.seed,
        scenario={**msgspec.to_builtins(scenario), "pool": subject.described},
        url=subject.url,
        model=subject.model,
        server=subject.server,
        machine=_machine(),
        versions=_versions(),
        loop=scenario.loop,
        seconds=seconds,
        target_ms=terms.target_ms,
        offered=len(recording.intended_s),
        offered_per_s=len(recording.intended_s) / seconds,
        goodput_per_s=counts["in_time"] / seconds,
        outcomes=counts,
        latency=latency_summary(recording),
        generator=generator_cost(recording, terms.target_ms, terms.processes, is_open=is_open),
        series=series(recording, seconds, terms.target_ms),
        steps=rate_steps(recording, seconds, terms.target_ms)
        if isinstance(scenario.arrivals, Ramp)
        else [],
        server_side=None if before is None or after is None else _difference(before, after),
    )


def _recorded(
    scenario: Scenario, subject: Subject, terms: Terms, on_begin: Begin | None
) -> Recording:
    length_s = scenario.seconds + scenario.warm_seconds
    random = np.random.default_rng([terms.seed, 1])
    if scenario.loop == "closed":
        choice = _choices(random, len(subject.requests), len(subject.requests))
        traffic = _traffic(scenario.clients, subject, choice, None)
        plan = ClosedPlan(scenario.callers, length_s)
        return run_closed(traffic, plan, min(terms.processes, scenario.callers), on_begin)
    intended_s = draw(scenario.arrivals, length_s, terms.seed)
    choice = _choices(random, len(subject.requests), len(intended_s))
    leaves_s = _leaving(scenario.clients, len(intended_s), random)
    traffic = _traffic(scenario.clients, subject, choice, leaves_s)
    return run_open(traffic, intended_s, terms.processes, on_begin)


def _traffic(clients: Clients, subject: Subject, choice: Any, leaves_s: Floats | None) -> Traffic:
    return Traffic(
        host=subject.host,
        port=subject.port,
        requests=subject.requests,
        choice=choice,
        connections_max=clients.connections_max,
        timeout_s=clients.timeout_ms / 1e3,
        leaves_s=leaves_s,
        pieces=clients.slow_pieces,
        piece_gap_s=clients.slow_gap_ms / 1e3,
        retries=clients.retries,
        is_right=subject.is_right,
    )


def _choices(random: np.random.Generator, bodies: int, count: int) -> Any:
    return random.integers(0, bodies, count).astype(np.int32)


def _leaving(clients: Clients, count: int, random: np.random.Generator) -> Floats | None:
    """When the caller of each request leaves, NaN for one who stays."""
    if not clients.leave_share:
        return None
    after_s = random.exponential(clients.leave_after_ms / 1e3, count)
    leaves_s: Floats = np.where(random.random(count) < clients.leave_share, after_s, np.nan)
    return leaves_s


def _difference(before: ServerSide, after: ServerSide) -> ServerSide:
    def less(new: dict[str, int], old: dict[str, int]) -> dict[str, int]:
        return {bound: count - old.get(bound, 0) for bound, count in new.items()}

    return ServerSide(
        batch_rows=less(after.batch_rows, before.batch_rows),
        queue_delay_s=less(after.queue_delay_s, before.queue_delay_s),
    )


def _machine() -> dict[str, Any]:
    return {
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
