"""`wrk` (Debian's package of that name) as a closed loop: run, and its words understood."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_UNITS_S = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_SOCKET_ERRORS = re.compile(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)")
# wrk's own language. The body is read from a file: it may hold any bytes.
_SCRIPT = """
wrk.method = "POST"
{headers}
local file = assert(io.open("{body}", "rb"))
wrk.body = file:read("*a")
file:close()
"""


@dataclass(frozen=True, slots=True)
class WrkResult:
    """What wrk says of a run: `answered` with 2xx; `other` are all others, and lost connections.

    The percentiles are of all answers.
    """

    seconds: float
    answered: int
    other: int
    p50_s: float
    p99_s: float


def is_there() -> bool:
    """Return whether there is a wrk on the PATH."""
    return shutil.which("wrk") is not None


def run_wrk(
    url: str,
    headers: Iterable[tuple[str, str]],
    body: bytes,
    connections: int,
    seconds: float,
) -> WrkResult:
    """Ask `url` with one thread and so many connections, for whole seconds, rounded up.

    Raises:
        SystemExit: wrk's output is not understood.
        subprocess.CalledProcessError: wrk failed.
    """
    with tempfile.TemporaryDirectory(prefix="wrk-") as folder:
        body_file, script = Path(folder) / "body", Path(folder) / "script.lua"
        body_file.write_bytes(body)
        lines = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in headers)
        script.write_text(_SCRIPT.format(headers=lines, body=body_file))
        said = subprocess.run(
            [str(shutil.which("wrk")), "-t1", f"-c{connections}", f"-d{math.ceil(seconds)}s",
             "--latency", "-s", str(script), url],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
    return parse(said)


def parse(said: str) -> WrkResult:
    """Return what wrk's output with `--latency` says.

    Raises:
        SystemExit: a figure is missing in it.
    """
    requests, seconds = _found(r"(\d+) requests in ([\d.]+\w+)", said)
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    errors = _SOCKET_ERRORS.search(said)
    refused = int(failed[1]) if failed else 0
    lost = sum(map(int, errors.groups())) if errors else 0
    (p50,), (p99,) = _found(r"50%\s+([\d.]+\w+)", said), _found(r"99%\s+([\d.]+\w+)", said)
    return WrkResult(
        _seconds(seconds), int(requests) - refused, refused + lost, _seconds(p50), _seconds(p99)
    )


def _seconds(text: str) -> float:
    number = text.rstrip("abcdefghijklmnopqrstuvwxyz")
    return float(number) * _UNITS_S[text[len(number) :]]


def _found(pattern: str, text: str) -> tuple[str, ...]:
    match = re.search(pattern, text)
    if match is None:
        raise SystemExit(f"not understood:\n{text}")
    return match.groups()
