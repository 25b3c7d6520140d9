"""`make bench`: throughput over HTTP beside a bare `session.run` loop, in one run.

Prints, for each case, requests/s and rows/s as a ratio to the bare loop on the same rows measured
between the same rounds, Redis commands per request, and where the CPU time went. Two cores and a
noisy machine: the ratios are what counts; each is the median of several rounds.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from loadtest.bare_loop import BareLoop, open_bare_loop
from loadtest.bench_server import PORT, BenchServer, machine, running_server
from loadtest.bulk_model import bulk_model
from loadtest.runner import ClosedPlan, run_closed
from loadtest.summary import latency_ms
from loadtest.traffic import Recording, Traffic

OK = 200
ROUNDS = 5
SECONDS = 2.0
WARM_S = 1.0
BULK_ROWS = 64
BULK_CONNECTIONS = 16
SAMPLE_MODELS = Path(__file__).parent.parent / "models"


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the table."""

    model: str
    name: str
    connections: int
    rows: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Round:
    """One case, measured once."""

    recording: Recording
    seconds: float
    rows: int
    bare_rows_per_s: float
    commands: int
    cpu_us: dict[str, float]

    @property
    def ratio(self) -> float:
        """Rows per second over those of the bare loop."""
        return self.per_s * self.rows / self.bare_rows_per_s

    @property
    def answered(self) -> int:
        """Answers with status 200, at least 1."""
        return max(1, int(np.count_nonzero(self.recording.status == OK)))

    @property
    def per_s(self) -> float:
        """Answers with status 200 per second."""
        return self.answered / self.seconds

    def percentile_ms(self, percentile: float) -> float:
        """Return a percentile of the latency; a closed loop's, so not a promise to anybody."""
        return float(np.percentile(latency_ms(self.recording), percentile))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        models = _model_repository(Path(folder) / "models")
        with running_server(Path(folder), models) as server:
            loops = {name: open_bare_loop(models / name / "1" / "model.onnx") for name in MODELS}
            cases = [case for name in MODELS for case in _cases(name, loops[name])]
            for case in cases:
                _measure(case, WARM_S)
            rounds: dict[str, list[Round]] = {_title(case): [] for case in cases}
            for number in range(options.rounds):
                for case in cases:
                    measured = _round(case, loops[case.model], server, options.seconds)
                    rounds[_title(case)].append(measured)
                print(f"round {number + 1} of {options.rounds} done", file=sys.stderr)
    _print(rounds)
    if options.json:
        options.json.write_text(json.dumps(_document(rounds, options), indent=2) + "\n")


MODELS = ("breast_cancer", "bulk")


def _model_repository(root: Path) -> Path:
    shutil.copytree(SAMPLE_MODELS / "breast_cancer", root / "breast_cancer")
    folder = root / "bulk" / "1"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(bulk_model())
    # A target that full batches keep, so that throughput and not admission is measured.
    (folder / "contract.toml").write_text("[serving]\nlatency_target_ms = 1000\n")
    return root


def _cases(model: str, loop: BareLoop) -> Iterator[Case]:
    row = _row(model, loop)
    body = json.dumps(_request(loop, row)).encode()
    headers = (("Content-Type", "application/json"),)
    for connections in (1, 64, 256):
        yield Case(model, "single-row JSON", connections, 1, headers, body)
    block = np.tile(np.array(row, dtype=np.float32), BULK_ROWS).tobytes()
    head = _request(loop, None)
    head["inputs"][0]["parameters"] = {"binary_data_size": len(block)}
    head["parameters"] = {"binary_data_output": True}
    text = json.dumps(head).encode()
    binary = (
        ("Content-Type", "application/octet-stream"),
        ("Inference-Header-Content-Length", str(len(text))),
    )
    yield Case(model, f"{BULK_ROWS}-row binary", BULK_CONNECTIONS, BULK_ROWS, binary, text + block)


def _row(model: str, loop: BareLoop) -> list[float]:
    """One valid row: the model's own example, or random numbers where anything is valid."""
    example = SAMPLE_MODELS / model / "1" / "example.json"
    if example.is_file():
        return list(json.loads(example.read_text())["inputs"][0]["data"])
    values = np.random.default_rng(1).random(loop.width)
    return [round(float(value), 5) for value in values]


def _request(loop: BareLoop, row: list[float] | None) -> dict[str, Any]:
    """A V2 body with one row, or the head of a binary one with BULK_ROWS."""
    shape = [BULK_ROWS if row is None else 1, loop.width]
    tensor: dict[str, Any] = {"name": loop.input_name, "shape": shape, "datatype": "FP32"}
    if row is not None:
        tensor["data"] = row
    return {"inputs": [tensor]}


def _round(case: Case, loop: BareLoop, server: BenchServer, seconds: float) -> Round:
    bare = loop.rows_per_s(BULK_ROWS, seconds / 4)
    before, cpu_before = server.commands(), server.cpu_s()
    recording = _measure(case, seconds)
    commands = server.commands() - before - 1  # less the INFO itself
    answers = max(1, int(np.count_nonzero(recording.status == OK)))
    cpu = {
        name: (spent - cpu_before.get(name, 0.0)) * 1e6 / answers
        for name, spent in server.cpu_s().items()
    }
    cpu["generator"] = recording.cpu_s * 1e6 / answers
    return Round(recording, seconds, case.rows, bare, commands, cpu)


def _measure(case: Case, seconds: float) -> Recording:
    traffic = Traffic(
        host="127.0.0.1",
        port=PORT,
        requests=[_request_bytes(case)],
        choice=np.zeros(1, dtype=np.int16),
        connections_max=case.connections,
        timeout_s=10.0,
    )
    return run_closed(traffic, ClosedPlan(case.connections, seconds), 1)


def _request_bytes(case: Case) -> bytes:
    lines = [
        f"POST /v2/models/{case.model}/infer HTTP/1.1",
        f"Host: 127.0.0.1:{PORT}",
        f"Content-Length: {len(case.body)}",
        *(f"{name}: {value}" for name, value in case.headers),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + case.body


def _title(case: Case) -> str:
    return f"{case.model}, {case.name}, {case.connections} connections"


def _print(rounds: dict[str, list[Round]]) -> None:
    print(f"{machine()}\n")
    print("ratio: rows/s over a bare session.run loop with batches of 64, same run, one thread")
    print("median (min to max); CPU in µs per request, by process\n")
    for title, measured in rounds.items():
        ratios = [item.ratio for item in measured]
        per_s = [item.per_s for item in measured]
        p50 = statistics.median(item.percentile_ms(50) for item in measured)
        p99 = statistics.median(item.percentile_ms(99) for item in measured)
        commands = statistics.median(item.commands / item.answered for item in measured)
        cpu = {
            role: statistics.median(item.cpu_us[role] for item in measured)
            for role in measured[0].cpu_us
        }
        print(title)
        print(f"  ratio {_spread(ratios, '.3f')}   requests/s {_spread(per_s, ',.0f')}")
        print(f"  latency p50 {p50:.2f} ms, p99 {p99:.2f} ms (closed loop)")
        print(f"  Redis commands per request {commands:.3f}")
        print("  CPU " + ", ".join(f"{role} {spent:.0f}" for role, spent in sorted(cpu.items())))
        others = {status for item in measured for status in _statuses(item.recording)} - {OK}
        if others:
            print(f"  other statuses seen: {sorted(others)}")


def _statuses(recording: Recording) -> dict[int, int]:
    values, counts = np.unique(recording.status, return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def _spread(values: list[float], form: str) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:{form}} ({low:{form}} to {high:{form}})"


def _document(rounds: dict[str, list[Round]], options: argparse.Namespace) -> dict[str, Any]:
    return {
        "machine": machine(),
        "rounds": options.rounds,
        "seconds": options.seconds,
        "cases": {
            title: [
                {
                    "ratio": item.ratio,
                    "requests_per_s": item.per_s,
                    "bare_rows_per_s": item.bare_rows_per_s,
                    "p50_ms": item.percentile_ms(50),
                    "p99_ms": item.percentile_ms(99),
                    "redis_commands_per_request": item.commands / item.answered,
                    "cpu_us_per_request": item.cpu_us,
                    "statuses": _statuses(item.recording),
                }
                for item in measured
            ]
            for title, measured in rounds.items()
        },
    }


if __name__ == "__main__":
    main()
