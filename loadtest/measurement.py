"""One run from a scenario to its result: traffic made, sent, recorded, judged."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from loadtest.arrivals import Ramp, draw
from loadtest.progress import Progress
from loadtest.result import FORMAT_VERSION, ModelPart, RunResult, ServerSide
from loadtest.runner import ClosedPlan, Onlooker, run_closed, run_open
from loadtest.scenario import Clients, Scenario
from loadtest.server_metrics import difference, read_server_side
from loadtest.subject import Subject
from loadtest.summary import (
    after_warm_up,
    generator_cost,
    latency_summary,
    model_parts,
    outcomes,
    rate_steps,
    series,
)
from loadtest.traffic import Floats, Ints, Recording, Traffic

# So many that the shares of several models come out right.
CLOSED_CALLS_MIN = 10_000
_PACKAGES = ("batchbridge", "httptools", "hdrhistogram", "numpy", "uvloop")


@dataclass(frozen=True, slots=True)
class Terms:
    """How a run is judged and repeated: the latency target, the seed, how many generators.

    `asked` is what was asked for on the command line, for the result: what repeats the run.
    """

    target_ms: float
    seed: int
    processes: int
    asked: dict[str, Any] = field(default_factory=dict)


def run_scenario(
    name: str,
    scenario: Scenario,
    subject: Subject,
    terms: Terms,
    on_progress: Callable[[Progress], None] | None = None,
) -> RunResult:
    """Run a scenario and return its result; it ends by itself.

    Everything random is drawn from `terms.seed` before the first request. `on_progress` is called
    twice a second. The server's own metrics are read before and after, warm-up included, where it
    has some.

    Raises:
        ArrivalsError: arrivals that cannot be drawn.
        OSError: the server cannot be connected to (closed loop), or a process cannot be started.
        GeneratorDied: a generator process ended too soon.
    """
    before = read_server_side(subject.url, subject.models)
    whole = _recorded(scenario, subject, terms, on_progress)
    server_side = _since(before, subject)
    recording = after_warm_up(whole, scenario.warm_seconds)
    seconds = scenario.seconds
    counts = outcomes(recording, terms.target_ms)
    is_open = scenario.loop == "open"
    return RunResult(
        format_version=FORMAT_VERSION,
        name=name,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        command=_command(),
        seed=terms.seed,
        scenario={**msgspec.to_builtins(scenario), "pool": subject.described, "asked": terms.asked},
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
        first_wrong=recording.first_wrong,
        latency=latency_summary(recording),
        generator=generator_cost(recording, terms.target_ms, terms.processes, is_open=is_open),
        series=series(recording, seconds, terms.target_ms),
        steps=rate_steps(recording, seconds, terms.target_ms)
        if isinstance(scenario.arrivals, Ramp)
        else [],
        server_side=server_side,
        models=_models(recording, subject, terms.target_ms),
    )


def _models(recording: Recording, subject: Subject, target_ms: float) -> list[ModelPart]:
    if len(subject.models) == 1:
        return []  # the run's own figures
    which = subject.model_of(recording.choice)
    return model_parts(recording, target_ms, subject.models, which)


def _since(before: ServerSide | None, subject: Subject) -> ServerSide | None:
    after = None if before is None else read_server_side(subject.url, subject.models)
    return None if before is None or after is None else difference(before, after)


def _recorded(
    scenario: Scenario,
    subject: Subject,
    terms: Terms,
    on_progress: Callable[[Progress], None] | None,
) -> Recording:
    length_s = scenario.seconds + scenario.warm_seconds
    onlooker = on_progress and Onlooker(on_progress, length_s, terms.target_ms / 1e3)
    if scenario.loop == "closed":
        traffic = _traffic(scenario.clients, subject, _calls(subject, terms.seed), None)
        plan = ClosedPlan(scenario.callers, length_s)
        processes = min(terms.processes, scenario.callers)
        return run_closed(traffic, plan, processes, onlooker=onlooker)
    sends = drawn_sends(scenario, subject, terms.seed)
    traffic = _traffic(scenario.clients, subject, sends.choice, sends.leaves_s)
    return run_open(traffic, sends.intended_s, terms.processes, onlooker=onlooker)


@dataclass(frozen=True, slots=True)
class Sends:
    """All that chance decides of an open loop: arrays of shape (n,), see `Traffic`."""

    intended_s: Floats
    choice: Ints
    leaves_s: Floats | None


def drawn_sends(scenario: Scenario, subject: Subject, seed: int) -> Sends:
    """Draw what is sent when, and who leaves; the same arguments give the same draws.

    Raises:
        ArrivalsError: arrivals that cannot be drawn.
    """
    intended_s = draw(scenario.arrivals, scenario.seconds + scenario.warm_seconds, seed)
    random = np.random.default_rng([seed, 1])
    choice = subject.choose(random, len(intended_s))
    return Sends(intended_s, choice, _leaving(scenario.clients, len(intended_s), random))


def _calls(subject: Subject, seed: int) -> Ints:
    """What the callers of a closed loop ask in turn, again and again."""
    random = np.random.default_rng([seed, 1])
    return subject.choose(random, max(CLOSED_CALLS_MIN, len(subject.requests)))


def _traffic(clients: Clients, subject: Subject, choice: Ints, leaves_s: Floats | None) -> Traffic:
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


def _leaving(clients: Clients, count: int, random: np.random.Generator) -> Floats | None:
    """When the caller of each request leaves, NaN for one who stays."""
    if not clients.leave_share:
        return None
    after_s = random.exponential(clients.leave_after_ms / 1e3, count)
    leaves_s: Floats = np.where(random.random(count) < clients.leave_share, after_s, np.nan)
    return leaves_s


def _command() -> str:
    """The command line, so that it can be typed again."""
    program = Path(sys.argv[0]).name
    words = ["python", "-m", "loadtest"] if program == "__main__.py" else [program]
    return shlex.join([*words, *sys.argv[1:]])


def _machine() -> dict[str, Any]:
    return {
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }


def _cpu() -> str | None:
    """The processor's name, None where the system does not say (Linux does)."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return None
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else None


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
