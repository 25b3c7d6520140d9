"""`make bench-trust`: is the load tester itself to be believed?

On the same server, one after another and in several rounds: our closed loop beside `wrk` with as
many connections, and our open loop beside a second, independent one at the same rate. Then how many
requests per second one generator process can offer. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from loadtest.arrivals import Poisson, draw
from loadtest.runner import ClosedPlan, run_closed, run_open
from loadtest.summary import generator_cost, latency_ms, nearest_rank
from loadtest.traffic import Recording, Traffic

ROOT = Path(__file__).parent.parent
MODEL = "breast_cancer"
ZERO_PORT, SLEEPER_PORT, SERVE_PORT = 18_081, 18_082, 18_083
SLEEPER_MS = 10
CONNECTIONS = 64
RATES = (5_000, 10_000, 20_000, 30_000, 40_000)
TIMEOUT_S = 10.0
OK = 200
_UNITS_MS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}
# wrk's own language; a name that holds a body cannot be passed on its command line.
_WRK_SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = [==[{body}]==]
"""


@dataclass(frozen=True, slots=True)
class Server:
    """A server under both load testers; `open_rate` is what is offered in the open loops."""

    name: str
    port: int
    open_rate: float

    @property
    def path(self) -> str:
        """What is asked."""
        return f"/v2/models/{MODEL}/infer"


@dataclass(frozen=True, slots=True)
class Measured:
    """What one load tester says of a server."""

    per_s: float
    p50_ms: float
    p99_ms: float
    failed: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="the median is shown")
    parser.add_argument("--rate", type=float, default=1_000.0, help="of the open loops")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not installed (Debian: apt-get install wrk)")
    body = (ROOT / "models" / MODEL / "1" / "example.json").read_bytes()
    servers = (
        Server("answers at once", ZERO_PORT, options.rate),
        Server(f"sleeps {SLEEPER_MS} ms", SLEEPER_PORT, options.rate),
        Server("batchbridge serve", SERVE_PORT, options.rate),
    )
    print(f"{_machine()}\n")
    with _running(servers):
        for server in servers:
            _compare(server, body, options.seconds, options.rounds)
        _ceiling(servers[0], body, options.seconds, options.rounds)


def _compare(server: Server, body: bytes, seconds: float, rounds: int) -> None:
    _closed(server, body, 1.0)  # warm
    testers = {
        f"closed loop, {CONNECTIONS} connections: ours": _closed,
        f"closed loop, {CONNECTIONS} connections: wrk": _wrk,
        f"open loop, {server.open_rate:,.0f}/s: ours": _open,
        f"open loop, {server.open_rate:,.0f}/s: independent": _independent,
    }
    found: dict[str, list[Measured]] = {name: [] for name in testers}
    for _ in range(rounds):
        for name, tester in testers.items():
            found[name].append(tester(server, body, seconds))
    print(f"### {server.name}\n")
    print("| tester | answers/s | p50 ms | p99 ms | not 200 |")
    print("|---|---:|---:|---:|---:|")
    medians = {name: _median(measured) for name, measured in found.items()}
    for name, one in medians.items():
        print(f"| {name} | {one.per_s:,.0f} | {one.p50_ms:.2f} | {one.p99_ms:.2f} | {one.failed} |")
    ours_closed, wrk, ours_open, independent = medians.values()
    print(f"\nours less wrk: {_difference(ours_closed, wrk)}")
    print(f"ours less the independent loop: {_difference(ours_open, independent)}\n", flush=True)


def _difference(ours: Measured, theirs: Measured) -> str:
    return (
        f"answers/s {ours.per_s / theirs.per_s - 1:+.1%}, "
        f"p50 {ours.p50_ms - theirs.p50_ms:+.2f} ms, p99 {ours.p99_ms - theirs.p99_ms:+.2f} ms"
    )


def _median(measured: Sequence[Measured]) -> Measured:
    return Measured(
        statistics.median(one.per_s for one in measured),
        statistics.median(one.p50_ms for one in measured),
        statistics.median(one.p99_ms for one in measured),
        sum(one.failed for one in measured),
    )


def _closed(server: Server, body: bytes, seconds: float) -> Measured:
    traffic = _traffic(server, body, 1)
    return _measured(run_closed(traffic, ClosedPlan(CONNECTIONS, seconds), 1), seconds)


def _open(server: Server, body: bytes, seconds: float) -> Measured:
    times = draw(Poisson(rate=server.open_rate), seconds, seed=1)
    return _measured(run_open(_traffic(server, body, len(times)), times, 1), seconds)


def _measured(recording: Recording, seconds: float) -> Measured:
    ordered = np.sort(latency_ms(recording))
    return Measured(
        len(ordered) / seconds,
        float(ordered[nearest_rank(50, len(ordered)) - 1]),
        float(ordered[nearest_rank(99, len(ordered)) - 1]),
        int(np.count_nonzero(recording.status != OK)),
    )


def _wrk(server: Server, body: bytes, seconds: float) -> Measured:
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_WRK_SCRIPT.format(body=body.decode()))
        script.flush()
        said = subprocess.run(
            [str(shutil.which("wrk")), "-t1", f"-c{CONNECTIONS}", f"-d{seconds:.0f}s", "--latency",
             "-s", script.name, f"http://127.0.0.1:{server.port}{server.path}"],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    return Measured(
        float(_found(r"Requests/sec:\s+([\d.]+)", said)),
        _wrk_ms(said, 50),
        _wrk_ms(said, 99),
        int(failed[1]) if failed else 0,
    )


def _wrk_ms(said: str, percentile: int) -> float:
    value, unit = _found(rf"{percentile}%\s+([\d.]+\w+)", said), ""
    while value[-1].isalpha():
        value, unit = value[:-1], value[-1] + unit
    return float(value) * _UNITS_MS[unit]


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise SystemExit(f"not understood:\n{text}")
    return match[1]


def _independent(server: Server, body: bytes, seconds: float) -> Measured:
    url = f"http://127.0.0.1:{server.port}{server.path}"
    said = subprocess.run(
        [sys.executable, "-m", "loadtest.independent_open_loop",
         url, str(server.open_rate), str(seconds), "1"],
        input=body, capture_output=True, check=True,
    ).stdout  # fmt: skip
    found = json.loads(said)
    answered = found["sent"] - found["failed"]
    return Measured(answered / seconds, found["p50"], found["p99"], found["failed"])


def _ceiling(server: Server, body: bytes, seconds: float, rounds: int) -> None:
    print("### What one generator process can offer, to the server that answers at once\n")
    print("| asked/s | sent/s | lag p99 ms: least, median, most | CPU µs per request | p99 ms |")
    print("|---:|---:|---:|---:|---:|")
    for rate in RATES:
        sent, lags, cpu, p99s = [], [], [], []
        for seed in range(1, rounds + 1):
            times = draw(Poisson(rate=rate), seconds, seed=seed)
            recording = run_open(_traffic(server, body, len(times)), times, 1)
            cost = generator_cost(recording, 100.0, 1, is_open=True)
            sent.append(np.count_nonzero(recording.sent_s < seconds) / seconds)
            lags.append(cost.lag_p99_ms)
            cpu.append(cost.cpu_us_per_request)
            p99s.append(_measured(recording, seconds).p99_ms)
        print(
            f"| {rate:,} | {statistics.median(sent):,.0f} "
            f"| {min(lags):.2f}, {statistics.median(lags):.2f}, {max(lags):.2f} "
            f"| {statistics.median(cpu):.1f} | {statistics.median(p99s):.2f} |",
            flush=True,
        )


def _traffic(server: Server, body: bytes, count: int) -> Traffic:
    head = (
        f"POST {server.path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return Traffic(
        host="127.0.0.1",
        port=server.port,
        requests=[head.encode() + body],
        choice=np.zeros(count, dtype=np.int32),
        connections_max=1_000,
        timeout_s=TIMEOUT_S,
    )


@contextmanager
def _running(servers: Sequence[Server]) -> Iterator[None]:
    """All three servers; idle, each costs the others nothing."""
    zero, sleeper, serve = servers
    python = [sys.executable, "-m"]
    commands = (
        ([*python, "loadtest.zero_server", str(zero.port)], b"ready"),
        ([*python, "loadtest.zero_server", str(sleeper.port), str(SLEEPER_MS)], b"ready"),
        ([*python, "bridge.cli", "serve", "--models", str(ROOT / "models"),
          "--port", str(serve.port), "--threads", "1"], b"curl "),
    )  # fmt: skip
    started: list[subprocess.Popen[bytes]] = []
    try:
        for command, ready in commands:
            started.append(
                subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            )
            output = started[-1].stdout
            assert output is not None
            if not any(line.startswith(ready) for line in output):
                raise SystemExit(f"did not start: {' '.join(command)}")
        yield
    finally:
        for process in started:
            process.send_signal(signal.SIGTERM)
            process.wait()


def _machine() -> str:
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {names[0] if names else platform.machine()}, "
        f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, "
        f"load average before: {load}"
    )


if __name__ == "__main__":
    main()
