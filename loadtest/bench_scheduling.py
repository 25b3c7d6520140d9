"""`make bench-scheduling`: is the latency promise kept at any load, and what does it cost?

One model, one worker, Poisson single-row JSON requests, latency from the intended send time. The
hardware's limit is a bare `session.run` loop with batches of 64 on the same core, measured between
the parts; rates are given as shares of it. The latency target is 30 times the time of one row.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from loadtest.arrivals import Poisson, draw
from loadtest.bench_offered import OK, Offered, median, offered
from loadtest.bench_server import PORT, BenchServer, machine, running_server
from loadtest.bench_subject import OFFLINE_ROWS, Subject, make_subject, print_subject
from loadtest.capacity import CapacitySearch
from loadtest.returning_callers import Returned, burst_and_return, offer_and_return
from loadtest.runner import run_open
from loadtest.traffic import Recording, Traffic

WANTED_SHARE = 0.99
BUSY, GAP = "worker_busy_seconds_total", "worker_gap_seconds_total"
LOADS = (0.4, 0.6, 0.8, 1.0, 1.5, 2.0, 4.0, 10.0)
LANE_LOADS = (0.1, 0.3, 0.5, 0.7)
CONNECTIONS_MAX = 2_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=("bulk", "breast_cancer"), default="bulk")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="medians are shown")
    parser.add_argument("--width", type=int, default=2048, help="of the bulk model's layers")
    parser.add_argument("--target-ms", type=float, help="default: 30 S(1)")
    parser.add_argument("--loads", type=float, nargs="+", default=list(LOADS))
    parser.add_argument("--only", nargs="+", choices=tuple(PARTS), default=list(PARTS))
    parser.add_argument("--one", type=float, help="requests/s that count as 1 instead of offline")
    parser.add_argument("--pin", action="store_true", help="the worker alone on the last core")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        subject = make_subject(
            Path(folder) / "models", options.model, options.width, options.target_ms
        )
        print_subject(subject)
        with running_server(Path(folder), Path(folder) / "models") as server:
            if options.pin:
                _pin(server)
            bench = Bench(subject, server, options.seconds, options.rounds, options.one)
            found = {part: PARTS[part](bench, options) for part in options.only}
    if options.json:
        document = {
            "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": " ".join(sys.argv),
            "machine": machine(),
            "limits": asdict(subject.limits),
            "target_ms": subject.target_s * 1e3,
            **found,
        }
        options.json.write_text(json.dumps(document, indent=2, default=str) + "\n")


@dataclass(frozen=True, slots=True)
class Bench:
    """What every part of the benchmark needs."""

    subject: Subject
    server: BenchServer
    seconds: float
    rounds: int
    one_per_s: float | None

    def offer(self, rate: float, seconds: float, seed: int) -> Offered:
        """Offer a Poisson stream and say what became of it."""
        server = self.server
        before, busy_s, gap_s = server.cpu_s(), server.metric(BUSY), server.metric(GAP)
        recording = self.record(rate, seconds, seed)
        cores = {
            role: (spent - before.get(role, 0.0)) / seconds
            for role, spent in self.server.cpu_s().items()
        }
        cores["generator"] = recording.cpu_s / seconds
        busy_s, gap_s = server.metric(BUSY) - busy_s, server.metric(GAP) - gap_s
        return replace(
            offered(recording, self.subject, seconds, cores),
            forecast_error_ms=server.metric("forecast_error_seconds") * 1e3,
            idle_between_runs=gap_s / max(1e-9, busy_s + gap_s),
        )

    def record(self, rate: float, seconds: float, seed: int) -> Recording:
        """Offer a Poisson stream."""
        times = draw(Poisson(rate=rate), seconds, seed=seed)
        return run_open(self.traffic(len(times)), times, 1)

    def traffic(self, count: int) -> Traffic:
        """The subject's request, so many times."""
        return Traffic(
            host="127.0.0.1",
            port=PORT,
            requests=[self.subject.request],
            choice=np.zeros(count, dtype=np.int32),
            connections_max=CONNECTIONS_MAX,
            timeout_s=10.0,
        )

    def offline_per_s(self) -> float:
        """The bare loop's rows/s now, while the server is idle, or what counts instead."""
        return self.one_per_s or self.subject.loop.rows_per_s(
            OFFLINE_ROWS, max(1.0, self.seconds / 4)
        )


def _pin(server: BenchServer) -> None:
    cores = sorted(os.sched_getaffinity(0))
    for role, pids in server.pids().items():
        for pid in pids:
            for thread in Path(f"/proc/{pid}/task").iterdir():
                chosen = cores[-1:] if role == "worker" else cores[:-1]
                os.sched_setaffinity(int(thread.name), chosen)
    os.sched_setaffinity(0, cores[:-1])


def _capacity(bench: Bench, options: argparse.Namespace) -> dict[str, Any]:
    """The largest Poisson rate of which 99 % is answered in time."""
    offline = bench.offline_per_s()
    found = []
    for number in range(bench.rounds):
        search = CapacitySearch(offline * 0.6)
        while not search.is_done:
            offered = bench.offer(search.rate, bench.seconds, seed=number + 1)
            search.record(offered.in_time >= WANTED_SHARE)
        found.append((search.kept or 0.0) / offline)
    print(f"capacity, 99 % in time / offline: {_spread(found, '.3f')}", flush=True)
    return {"offline_per_s": offline, "capacity": found}


def _overload(bench: Bench, options: argparse.Namespace) -> dict[str, Any]:
    """Goodput at each load, beside the peak."""
    found: dict[float, list[Offered]] = {load: [] for load in options.loads}
    offline = []
    for number in range(bench.rounds):
        offline.append(bench.offline_per_s())
        for load in options.loads:
            offered = bench.offer(load * offline[-1], bench.seconds, seed=number + 1)
            found[load].append(offered)
    rows = {load: median(offered) for load, offered in found.items()}
    peak = max(row.goodput_per_s for row in rows.values())
    print("\n| offered / offline | in time | goodput / peak | goodput / offline | late of admitted "
          "| other | p50 ms | p99 ms | refusal p99 ms | cores: gateway, worker, queue, generator "
          "| generator's lag p99 ms | forecast error p95 / D | idle between runs |")  # fmt: skip
    print("|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|---:|---:|---:|")
    base = statistics.median(offline)
    for load, row in rows.items():
        cores = ", ".join(
            f"{row.cores.get(role, 0):.2f}" for role in ("gateway", "worker", "queue", "generator")
        )
        print(f"| {load:g} | {row.in_time:.3f} | {row.goodput_per_s / peak:.3f} "
              f"| {row.goodput_per_s / base:.3f} | {row.late_of_admitted:.4f} | {row.other:.4f} "
              f"| {row.p50_ms:.1f} | {row.p99_ms:.1f} | {row.refusal_p99_ms:.1f} | {cores} "
              f"| {row.lag_p99_ms:.2f} "
              f"| {row.forecast_error_ms / 1e3 / bench.subject.target_s:.2f} "
              f"| {row.idle_between_runs:.3f} |", flush=True)  # fmt: skip
    return {
        "offline_per_s": offline,
        "loads": {load: [asdict(one) for one in offered] for load, offered in found.items()},
    }


def _step(bench: Bench, options: argparse.Namespace) -> dict[str, Any]:
    """From half to twice the offline rate at once: how long until the goodput is there?"""
    offline, target_s = bench.offline_per_s(), bench.subject.target_s
    found = []
    for number in range(max(5, bench.rounds)):
        low = draw(Poisson(rate=0.5 * offline), 2.0, seed=number + 1)
        high = draw(Poisson(rate=2.0 * offline), 2.0, seed=number + 101) + 2.0
        times = np.concatenate([low, high])
        recording = run_open(bench.traffic(len(times)), times, 1)
        found.append(_recovery_s(recording, target_s, step_s=2.0, end_s=4.0) / target_s)
    print(f"\nstep from 0.5 to 2: back to 95 % of the goodput after {_spread(found, '.1f')} D",
          flush=True)  # fmt: skip
    return {"step_recovery_targets": found}


def _recovery_s(recording: Recording, target_s: float, step_s: float, end_s: float) -> float:
    """How long after the step until answers in time come at 95 % of the rate of the last second.

    In windows of 2 D, by when the answers came; from the first window on that reaches it.
    """
    latency_s = recording.done_s - recording.intended_s
    good = np.sort(recording.done_s[(recording.status == OK) & (latency_s <= target_s)])
    steady = np.count_nonzero((good > end_s - 1) & (good <= end_s))
    window_s = 2 * target_s
    for start_s in np.arange(step_s, end_s - window_s, target_s / 2):
        inside = np.count_nonzero((good > start_s) & (good <= start_s + window_s))
        if inside / window_s >= 0.95 * steady:
            return float(start_s - step_s)
    return end_s - step_s


def _hints(bench: Bench, options: argparse.Namespace) -> dict[str, Any]:
    """Clients that come back after exactly the hinted time: how many are let in?"""
    offline, request = bench.offline_per_s(), bench.subject.request
    bursts = [
        burst_and_return(
            "127.0.0.1", PORT, request, callers=int(offline * bench.subject.target_s * 3)
        )
        for _ in range(max(5, bench.rounds))
    ]
    print(f"\nbursts of 3 X D callers, the refused come back once: {_let_in(bursts)}")
    result: dict[str, Any] = {"bursts": [asdict(one) for one in bursts]}
    for load in (0.9, 1.5):
        times = draw(Poisson(rate=load * offline), bench.seconds, seed=7)
        found = offer_and_return("127.0.0.1", PORT, request, times)
        print(f"Poisson at {load:g}, the refused come back once: {_let_in([found])}", flush=True)
        result[f"poisson_{load:g}"] = asdict(found)
    return result


def _let_in(found: list[Returned]) -> str:
    returned, let_in = sum(one.returned for one in found), sum(one.let_in for one in found)
    return f"{let_in} of {returned} let in" + (f", {let_in / returned:.1%}" if returned else "")


def _lane(bench: Bench, options: argparse.Namespace) -> dict[str, Any]:
    return {
        f"{load:g}": found for load, found in zip(LANE_LOADS, lane(bench, LANE_LOADS), strict=True)
    }


def lane(bench: Bench, loads: Sequence[float]) -> list[dict[str, Any]]:
    """A saturating batch lane beside online callers: their p99, and what both get together."""
    print("\n| online / offline | online p99 / D | late of admitted | refused "
          "| (online + batch rows) / offline |")  # fmt: skip
    print("|---:|---:|---:|---:|---:|")
    result: list[dict[str, Any]] = []
    for load in loads:
        offline = bench.offline_per_s()
        seconds = bench.seconds + 1
        feeder = subprocess.Popen(
            [sys.executable, "-m", "bridge.jobs.feeder", "--redis", f"unix://{bench.server.queue}",
             "--model", f"{bench.subject.name}@1", "--seconds", str(seconds)],
            stdout=subprocess.PIPE,
        )  # fmt: skip
        offered = bench.offer(load * offline, seconds, seed=3)
        said, _ = feeder.communicate()
        batch_per_s = json.loads(said)["rows_per_s"]
        total = (offered.goodput_per_s + batch_per_s) / offline
        print(f"| {load:g} | {offered.p99_ms / 1e3 / bench.subject.target_s:.2f} "
              f"| {offered.late_of_admitted:.4f} | {offered.refused:.4f} | {total:.3f} |",
              flush=True)  # fmt: skip
        result.append(
            {
                "load": load,
                "offered": asdict(offered),
                "batch_rows_per_s": batch_per_s,
                "total": total,
            }
        )
    return result


PARTS: dict[str, Callable[[Bench, argparse.Namespace], dict[str, Any]]] = {
    "capacity": _capacity,
    "overload": _overload,
    "step": _step,
    "hints": _hints,
    "lane": _lane,
}


def _spread(values: list[float], form: str) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:{form}} ({low:{form}} to {high:{form}})"


if __name__ == "__main__":
    main()
