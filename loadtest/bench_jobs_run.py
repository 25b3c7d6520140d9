"""One file through `batchbridge score`, or through a script: how long, and how much memory."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from loadtest.bench_jobs_file import JobFile

LOOK_S = 0.1
KIB = 1_024
SCRIPTS = Path(__file__).parent / "job_tools"
_SAID = re.compile(r"([\d,]+) rows scored in ([\d.]+) s")


@dataclass(frozen=True, slots=True)
class JobRun:
    """What a file took.

    `seconds`: the whole process, from its start to its end; `job_s`: what the job itself says, so
    without the start of Python, of the queue and of the worker. `peak_bytes`: the most memory that
    was resident, by role of the process.
    """

    rows: int
    seconds: float
    job_s: float
    peak_bytes: Mapping[str, int]


def score(models: Path, model: str, file: JobFile, output: Path) -> JobRun:
    """Score the file with a queue and one worker of its own, on one thread; remove the output."""
    words = [
        sys.executable, "-m", "bridge.cli", "score", model, str(file.path), str(output),
        "--models", str(models), "--workers", "1", "--threads", "1", "--restart",
    ]  # fmt: skip
    run = _watched(words, file)
    output.unlink()
    return run


def script(python: Path, name: str, model: Path, file: JobFile, output: Path) -> JobRun:
    """Score the file with a script of `job_tools`; the output stays."""
    words = [str(python), str(SCRIPTS / f"{name}.py"), str(model), str(file.path), str(output)]
    return _watched(words, file)


def _watched(words: Sequence[str], file: JobFile) -> JobRun:
    began_s = time.perf_counter()
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    )
    peak: dict[str, int] = {}
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(LOOK_S):
            for pid in (process.pid, *_below(process.pid)):
                # Each one's peak so far; that of the last tenth of a second is not seen.
                role = "job" if pid == process.pid else _role(pid)
                peak[role] = max(peak.get(role, 0), _peak_bytes(pid))

    watcher = threading.Thread(target=look)
    watcher.start()
    said, complaints = process.communicate()
    seconds = time.perf_counter() - began_s
    ended.set()
    watcher.join()
    if process.returncode:
        raise SystemExit(f"{' '.join(words)}: {process.returncode}\n{complaints}")
    own = _SAID.search(said)
    return JobRun(file.rows, seconds, float(own[2]) if own else seconds, peak)


def _below(pid: int) -> Iterator[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return
    for child in map(int, children):
        yield child
        yield from _below(child)


def _role(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return "gone"
    return "worker" if b"worker" in words else "queue"


def _peak_bytes(pid: int) -> int:
    """Return the most memory that a process has had resident, 0 if it has gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    found = [line for line in lines if line.startswith("VmHWM:")]
    return int(found[0].split()[1]) * KIB if found else 0
