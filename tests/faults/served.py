"""`batchbridge serve` as a process under test."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bridge.child_process import ChildProcess, ChildSpec
from tests.system import END_S_MAX, START_S_MAX, LogLines, TestedProcess


@dataclass(frozen=True)
class Served:
    """A running `serve`; its children log into its own output."""

    process: TestedProcess
    url: str

    def pids(self) -> dict[str, list[int]]:
        """The process ids of each child over all its lives, oldest first."""
        found: dict[str, list[int]] = {}
        for event in self.process.logs.events("child_started"):
            lives = found.setdefault(event["child"], [])
            # The last lines before readiness may be in the log twice.
            if event["pid"] not in lives:
                lives.append(event["pid"])
        return found


@asynccontextmanager
async def served(models: Path, *options: str) -> AsyncIterator[Served]:
    """Start `serve` on a free port; it answers when the block runs, and is drained after it."""
    port = _free_port()
    words = ["serve", "--models", str(models), "--port", str(port), "--threads", "1", *options]
    spec = ChildSpec(
        name="serve",
        argv=(sys.executable, "-m", "bridge.cli", *words),
        env={**os.environ, "BATCHBRIDGE_ALLOW_OPEN_REDIS": "1"},
        stop_order=1,
        ready_line=b"Batchbridge is ready",
        start_limit_s=START_S_MAX,
    )
    logs = LogLines()
    child = await ChildProcess.spawn(spec, logs.add)
    try:
        await child.ready()
        for line in child.last_lines:
            logs.add(line)
        yield Served(TestedProcess(child, logs), f"http://127.0.0.1:{port}")
    finally:
        # Not killed: its children would outlive it.
        child.terminate()
        await child.end(END_S_MAX)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
