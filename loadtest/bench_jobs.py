"""`make bench-jobs`: what a file through `batchbridge score` costs beside a bare loop over it.

`batchbridge score` with a queue and one worker of its own, on one ONNX Runtime thread. Its rate is
that of the job as it says itself: reading Parquet, checking each row, the queue, the journal on the
disk, writing Parquet; the seconds in which its queue and worker start are told beside it. The bare
loop, in this process, reads the same Parquet file with pyarrow and calls `session.run` on one
thread, with the batch size of a few that is its fastest, and keeps the outputs in memory. Rounds
alternate. Two shared cores: the ratios count.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from loadtest import bench_scheduling
from loadtest.bare_loop import BareLoop
from loadtest.bench_jobs_file import BareRun, JobFile, bare_run, fastest_size, make_file
from loadtest.bench_jobs_run import JobRun, score, script
from loadtest.bench_server import machine, running_server
from loadtest.bench_subject import make_subject, print_subject

ROUNDS = 3
BULK_ROWS = 60_000
ROWS = 2_000_000
MANY_ROWS = 10_000_000
# Nobody asks online, so it bounds nothing.
TARGET_MS = 100.0
CO_RUNNING_LOAD = 0.3
JOBS_PYTHON = Path(".venv-jobs/bin/python")
MIB = 2**20
SPARE_BYTES = 2**31


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--bulk-rows", type=int, default=BULK_ROWS, help="of the bulk model's file")
    parser.add_argument("--rows", type=int, default=ROWS, help="of breast_cancer's file")
    parser.add_argument("--many-rows", type=int, default=MANY_ROWS, help="of the memory's file")
    parser.add_argument("--width", type=int, default=2048, help="of the bulk model's layers")
    parser.add_argument("--only", nargs="+", choices=tuple(PARTS), default=list(PARTS))
    parser.add_argument("--folder", type=Path, help="for the files; default: the temporary one")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    print(f"{datetime.now(UTC):%Y-%m-%d}, {_machine()}\n", flush=True)
    found: dict[str, Any] = {}
    for part in options.only:
        with tempfile.TemporaryDirectory(prefix="bench-", dir=options.folder) as folder:
            found[part] = PARTS[part](Path(folder), options)
    if options.json:
        document = {
            "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": " ".join(sys.argv),
            "machine": _machine(),
            **found,
        }
        options.json.write_text(json.dumps(document, indent=2, default=str) + "\n")


@dataclass(frozen=True, slots=True)
class Bench:
    """One model, and its bare loop."""

    name: str
    folder: Path
    loop: BareLoop

    @property
    def model(self) -> Path:
        """The folder of its version."""
        return self.folder / "models" / self.name / "1"

    def file(self, rows: int) -> JobFile:
        """Make a file of so many rows."""
        needed = rows * self.loop.width * 4 + SPARE_BYTES
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise SystemExit(
                f"{self.folder}: {needed / MIB:,.0f} MiB are needed for {rows:,} rows, "
                f"{free / MIB:,.0f} are free: choose --folder or fewer rows"
            )
        return make_file(self.folder / f"{self.name}.parquet", self.model, self.loop, rows)

    def score(self, file: JobFile) -> JobRun:
        """Score a file."""
        return score(self.folder / "models", self.name, file, self.folder / "out.parquet")


def _bench(folder: Path, name: str, width: int) -> Bench:
    subject = make_subject(folder / "models", name, width, TARGET_MS)
    print_subject(subject)
    return Bench(name, folder, subject.loop)


def _bulk(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The model takes most of the time."""
    bench = _bench(folder, "bulk", options.width)
    return _beside_the_bare_loop(bench, options.bulk_rows, options.rounds)


def _breast_cancer(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The model takes two microseconds a row, and the files most of the time."""
    bench = _bench(folder, "breast_cancer", options.width)
    return _beside_the_bare_loop(bench, options.rows, options.rounds)


def _beside_the_bare_loop(bench: Bench, rows: int, rounds: int) -> dict[str, Any]:
    file = bench.file(rows)
    size = fastest_size(bench.loop, 1.0)
    jobs: list[JobRun] = []
    bare: list[BareRun] = []
    for number in range(rounds):
        bare.append(bare_run(bench.loop, file, size))
        jobs.append(bench.score(file))
        print(f"{bench.name}: round {number + 1} of {rounds} done", file=sys.stderr)
    after = bare_run(bench.loop, file, size)  # what comes after the last job counts as well
    around = [*bare, after]
    found = {
        "rows": rows,
        "bare_batch_rows": size,
        "score_rows_per_s": [rows / run.job_s for run in jobs],
        "score_start_s": [run.seconds - run.job_s for run in jobs],
        "bare_rows_per_s": [rows / run.seconds for run in around],
        "bare_in_memory_rows_per_s": [rows / run.run_s for run in around],
    }
    # Each job beside the bare loops before and after it.
    pairs = list(enumerate(jobs))
    found["ratio"] = [
        statistics.fmean([one.seconds for one in around[n : n + 2]]) / job.job_s for n, job in pairs
    ]
    found["ratio_in_memory"] = [
        statistics.fmean([one.run_s for one in around[n : n + 2]]) / job.job_s for n, job in pairs
    ]
    _print_ratios(bench.name, found)
    return found


def _print_ratios(name: str, found: dict[str, Any]) -> None:
    print(f"{name}, {found['rows']:,} rows; median (min to max)")
    print("| | rows/s | score / it |\n|---|---:|---:|")
    print(f"| `batchbridge score` | {_spread(found['score_rows_per_s'], ',.0f')} | |")
    print(f"| bare loop with reading, batches of {found['bare_batch_rows']} "
          f"| {_spread(found['bare_rows_per_s'], ',.0f')} "
          f"| {_spread(found['ratio'], '.3f')} |")  # fmt: skip
    print(f"| bare loop, rows in memory | {_spread(found['bare_in_memory_rows_per_s'], ',.0f')} "
          f"| {_spread(found['ratio_in_memory'], '.3f')} |")  # fmt: skip
    print(f"start of queue and worker: {_spread(found['score_start_s'], '.1f')} s\n", flush=True)


def _memory(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Whether memory is bounded: the peak of each process, for a tenth of the file and for it."""
    found: dict[str, Any] = {}
    bench = _bench(folder, "breast_cancer", options.width)
    print(
        "| breast_cancer, peak MiB | scorer | worker | queue | rows/s |\n|---|---:|---:|---:|---:|"
    )
    for rows in (options.many_rows // 10, options.many_rows):
        run = bench.score(bench.file(rows))
        peak = {role: size / MIB for role, size in run.peak_bytes.items()}
        print(f"| {rows:,} rows | {peak['job']:.0f} | {peak['worker']:.0f} | {peak['queue']:.0f} "
              f"| {rows / run.job_s:,.0f} |", flush=True)  # fmt: skip
        found[f"{rows}"] = asdict(run)
    print()
    return found


def _tools(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The same file by what a team would use instead, one thread each."""
    found: dict[str, list[JobRun]] = {}
    bench = _bench(folder, "breast_cancer", options.width)
    file = bench.file(options.rows)
    if not JOBS_PYTHON.exists():
        print(f"no {JOBS_PYTHON}: make install-jobs", file=sys.stderr)
    for _ in range(options.rounds):
        found.setdefault("batchbridge score", []).append(bench.score(file))
        for name in ("pandas_script", "dask_script") if JOBS_PYTHON.exists() else ():
            output = folder / name
            graph = bench.model / "model.onnx"
            run = script(JOBS_PYTHON.absolute(), name, graph, file, output)
            found.setdefault(name, []).append(run)
            shutil.rmtree(output) if output.is_dir() else output.unlink()
    print(f"| breast_cancer, {options.rows:,} rows, the whole process | rows/s | peak MiB |")
    print("|---|---:|---:|")
    for name, runs in found.items():
        peak = max(sum(run.peak_bytes.values()) for run in runs) / MIB
        rates = [options.rows / run.seconds for run in runs]
        print(f"| {name} | {_spread(rates, ',.0f')} | {peak:,.0f} |", flush=True)
    print()
    return {name: [asdict(run) for run in runs] for name, runs in found.items()}


def _co_running(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Online callers beside a saturating job: `bench_scheduling` measures it."""
    subject = make_subject(folder / "models", "bulk", options.width, None)
    print_subject(subject)
    with running_server(folder, folder / "models") as server:
        bench = bench_scheduling.Bench(subject, server, 5.0, options.rounds, None)
        return {"rounds": bench_scheduling.lane(bench, (CO_RUNNING_LOAD,) * options.rounds)}


PARTS: dict[str, Callable[[Path, argparse.Namespace], dict[str, Any]]] = {
    "bulk": _bulk,
    "breast_cancer": _breast_cancer,
    "memory": _memory,
    "tools": _tools,
    "co-running": _co_running,
}


def _machine() -> str:
    return f"{machine()}, pyarrow {version('pyarrow')}"


def _spread(values: list[float], form: str) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:{form}} ({low:{form}} to {high:{form}})"


if __name__ == "__main__":
    main()
