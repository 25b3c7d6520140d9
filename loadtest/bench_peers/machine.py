"""What the figures of a comparison depend on, so that a table can stand by itself."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from loadtest.bench_peers import wrk
from loadtest.bench_peers.servers import PEERS_PYTHON
from loadtest.bench_server import machine

_PEERS = (
    "mosec",
    "fastapi",
    "uvicorn",
    "pydantic",
    "msgspec",
    "httptools",
    "uvloop",
    "onnxruntime",
)
_PRINT_VERSIONS = """
import sys
from importlib.metadata import version
print(", ".join(f"{name} {version(name)}" for name in sys.argv[1:]))
"""


def header() -> str:
    """Return date, machine, versions and command, as Markdown."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    generator = "wrk, one thread" if wrk.is_there() else "our own closed loop (there is no wrk)"
    command = shlex.join(["python", "-m", "loadtest.bench_peers", *sys.argv[1:]])
    return "\n".join(
        (
            f"- {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, `{command}`",
            f"- {_processor()}, {platform.system()} {platform.release()}, load average {load}",
            f"- Batchbridge: {machine()}",
            f"- peers: {_peer_versions()}",
            f"- closed loops: {generator}; open loops: our own, one process",
        )
    )


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _peer_versions() -> str:
    if not PEERS_PYTHON.exists():
        return "not installed"
    said = subprocess.run(
        [PEERS_PYTHON, "-c", _PRINT_VERSIONS, *_PEERS], capture_output=True, text=True, check=True
    )
    return said.stdout.strip()
