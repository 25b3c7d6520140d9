"""What a scheduling benchmark asks: a model, what the hardware can do with it, one request."""

from __future__ import annotations

import json
import shutil
import statistics
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from loadtest.bare_loop import BareLoop, open_bare_loop
from loadtest.bench_server import PORT, machine
from loadtest.bulk_model import bulk_model

OFFLINE_ROWS = 64
TARGET_PER_ROW_TIME = 30
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
SAMPLE_MODELS = Path(__file__).parent.parent / "models"


@dataclass(frozen=True, slots=True)
class Limits:
    """What the hardware gives: S(b) = fixed + per_row b of the bare loop, and its rows/s at 64."""

    fixed_s: float
    per_row_s: float
    first_row_s: float
    offline_per_s: float
    peak_per_s: float
    seconds: dict[int, float]


@dataclass(frozen=True, slots=True)
class Subject:
    """The model under test and one request for it."""

    name: str
    loop: BareLoop
    limits: Limits
    target_s: float
    request: bytes


def make_subject(root: Path, name: str, width: int, target_ms: float | None) -> Subject:
    """Put the model into the repository `root` and time it; D is 30 S(1) if not given."""
    folder = root / name / "1"
    if name == "bulk":
        folder.mkdir(parents=True)
        (folder / "model.onnx").write_bytes(bulk_model((30, width, width, width, 2)))
    else:
        shutil.copytree(SAMPLE_MODELS / name, root / name)
    loop = open_bare_loop(folder / "model.onnx")
    limits = _limits(loop)
    target_s = (target_ms or TARGET_PER_ROW_TIME * limits.first_row_s * 1e3) / 1e3
    _set_target(folder / "contract.toml", target_s)
    return Subject(name, loop, limits, target_s, _request(name, loop))


def _set_target(contract: Path, target_s: float) -> None:
    """Write the target into the model's contract, in place of the one that it may have."""
    lines = contract.read_text().splitlines() if contract.is_file() else []
    lines = [line for line in lines if not line.startswith("latency_target_ms")]
    if "[serving]" not in lines:
        lines.append("[serving]")
    lines.insert(lines.index("[serving]") + 1, f"latency_target_ms = {target_s * 1e3:.3f}")
    contract.write_text("\n".join(lines) + "\n")


def _limits(loop: BareLoop) -> Limits:
    """Time the bare loop at each size: the median of several runs."""
    seconds = {rows: statistics.median(loop.run_times_s(rows, 0.4)) for rows in SIZES}
    per_row_s, fixed_s = np.polyfit(list(seconds), list(seconds.values()), 1)
    return Limits(
        float(fixed_s),
        float(per_row_s),
        seconds[1],
        loop.rows_per_s(OFFLINE_ROWS, 1.0),
        max(rows / run_s for rows, run_s in seconds.items()),
        seconds,
    )


def _request(name: str, loop: BareLoop) -> bytes:
    example = SAMPLE_MODELS / name / "1" / "example.json"
    if example.is_file():
        body = json.dumps(json.loads(example.read_text())).encode()
    else:
        row = [round(float(value), 5) for value in np.random.default_rng(1).random(loop.width)]
        tensor = {"name": loop.input_name, "shape": [1, loop.width], "datatype": "FP32"}
        body = json.dumps({"inputs": [{**tensor, "data": row}]}).encode()
    head = (
        f"POST /v2/models/{name}/infer HTTP/1.1\r\nHost: 127.0.0.1:{PORT}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def print_subject(subject: Subject) -> None:
    """Print the machine, the model's figures and the target."""
    limits = subject.limits
    print(f"{datetime.now(UTC):%Y-%m-%d}, {machine()}\n")
    print(
        f"{subject.name}: a = {limits.fixed_s * 1e3:.2f} ms, c = {limits.per_row_s * 1e3:.4f} ms, "
        f"a/c = {limits.fixed_s / limits.per_row_s:.1f}, S(1) = {limits.first_row_s * 1e3:.2f} ms, "
        f"offline (batches of {OFFLINE_ROWS}) {limits.offline_per_s:,.0f} rows/s, "
        f"peak {limits.peak_per_s:,.0f}; D = {subject.target_s * 1e3:.1f} ms\n",
        flush=True,
    )
