"""`python -m tests.gateway_stages`: what a request costs the gateway in CPU time, stage by stage.

The gateway runs in this process with its express lane, without sockets, queue and worker: bytes
are handed to its connections, frames taken from it, result frames given back. So what the kernel,
the Redis client and a waking event loop cost is not in these figures. It is here because it needs
the gateway and a worker's contract, and neither package nor `loadtest` may import both.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import structlog
import uvloop
from aiohttp import web

from bridge.cli import METRICS_DIR_VARIABLE
from bridge.contract.model import ModelContract
from bridge.gateway.connection import Connections
from bridge.gateway.dialects.call import InputLimits
from bridge.gateway.gateway import Gateway
from bridge.gateway.http import Routes
from bridge.gateway.metrics import GatewayMetrics
from bridge.gateway.process import GC_THRESHOLD, _protocol
from bridge.gateway.reply import TIMEOUT_HEADER
from bridge.gateway.settings import GatewaySettings
from bridge.wire.frame import (
    ServiceReport,
)
from tests.gateway_in_process import Rig, Stages, connect, turns_until
from tests.raw_http import request
from workers.loading import load_models

MODELS = Path(__file__).parent.parent / "models"
MODEL = "breast_cancer"
WIDTHS = (1, 8, 32, 64)
ROUNDS, REQUESTS = 5, 20_000
WARM_TURNS = 50
BEAT_S = 0.3
FAST = ServiceReport(1e-4, 1.5e-6, 0.1, 1024, 1024)
SLOW = ServiceReport(1.0, 1.0, 0.1, 1, 1)
OK, REFUSED = b"HTTP/1.1 200 ", b"HTTP/1.1 429 "
HOLDER_MS = 3_600_000


async def measure(
    contract: ModelContract, width: int, requests: int, metrics: GatewayMetrics, *, refuses: bool
) -> Stages:
    """Return the CPU time per request in microseconds, when `width` come in a turn."""
    gateway = Gateway("redis://127.0.0.1:1", InputLimits(), metrics)
    runner = web.AppRunner(Routes(gateway).application())
    await runner.setup()
    settings = GatewaySettings(host="127.0.0.1", port=0, redis_url="")
    protocol = _protocol(settings, gateway, runner, Connections())
    rig = Rig(contract, width, protocol)
    rig.begin(gateway, SLOW if refuses else FAST)
    data = _request()
    if refuses:
        # A request that is alone is let in: this one is never answered, so no other is alone.
        connect(protocol)[0].data_received(_request(f"{TIMEOUT_HEADER}: {HOLDER_MS}"))
        await turns_until(lambda: len(gateway.flights) == 1)
        gateway._take_frames()
    turn = rig.refused_turn if refuses else rig.answered_turn
    for _ in range(WARM_TURNS):
        await turn(data, Stages())
    rig.check(REFUSED if refuses else OK)
    stages, turns = Stages(), max(1, requests // width)
    for _ in range(turns):
        if time.monotonic() - rig.beat_s > BEAT_S:
            rig.beat()
        await turn(data, stages)
    rig.check(REFUSED if refuses else OK)
    await runner.cleanup()
    return stages.per_request_us(turns * width)


def _request(*headers: str) -> bytes:
    body = json.dumps(json.loads((MODELS / MODEL / "1" / "example.json").read_text())).encode()
    path = f"/v2/models/{MODEL}/infer"
    return request("POST", path, ("Content-Type: application/json", *headers), body)


def sample_contract(folder: Path) -> ModelContract:
    shutil.copytree(MODELS / MODEL, folder / MODEL)
    return load_models(folder, 1)[0].model.contract


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="medians are shown")
    parser.add_argument("--requests", type=int, default=REQUESTS, help="in a round")
    parser.add_argument("--widths", type=int, nargs="+", default=list(WIDTHS))
    options = parser.parse_args()
    if METRICS_DIR_VARIABLE in os.environ:
        _print(options)
        return
    # prometheus_client chooses its mode when it is imported, and a gateway's is this one.
    with tempfile.TemporaryDirectory(prefix="metrics-") as folder:
        command = [sys.executable, "-m", "tests.gateway_stages", *sys.argv[1:]]
        environment = {**os.environ, METRICS_DIR_VARIABLE: folder}
        sys.exit(subprocess.run(command, env=environment, check=False).returncode)


def _print(options: argparse.Namespace) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory(prefix="models-") as folder:
        contract = sample_contract(Path(folder))
    # As a gateway does when it starts.
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
    # Once: a process has one set of series.
    metrics = GatewayMetrics(os.environ[METRICS_DIR_VARIABLE])
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, Python {platform.python_version()}; "
        f"{MODEL}, single-row JSON;\nCPU µs per request, median (least to most) of "
        f"{options.rounds} rounds of {options.requests:,} requests\n"
    )
    print("| requests per turn | in | frame | out | all three | refusal |")
    print("|---:|---:|---:|---:|---:|---:|")
    for width in options.widths:
        accepted: list[Stages] = []
        refused: list[Stages] = []
        for _ in range(options.rounds):
            for refuses, found in ((False, accepted), (True, refused)):
                measuring = measure(contract, width, options.requests, metrics, refuses=refuses)
                found.append(uvloop.run(measuring))
        columns = (
            [one.taken_in for one in accepted],
            [one.framed for one in accepted],
            [one.answered for one in accepted],
            [one.taken_in + one.framed + one.answered for one in accepted],
            [one.refused for one in refused],
        )
        print(f"| {width} | {' | '.join(map(_spread, columns))} |", flush=True)


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


if __name__ == "__main__":
    main()
