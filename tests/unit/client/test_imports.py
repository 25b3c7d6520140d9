"""What a program loads that uses the client, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

SERVER = ("aiohttp.web", "bridge.gateway", "bridge.scheduling", "bridge.wire", "workers")
HEAVY = ("httptools", "onnx", "onnxruntime", "prometheus_client", "redis", "structlog", "uvloop")


@pytest.mark.parametrize("module", ["bridge.client.client", "bridge.client.async_client"])
def test_a_caller_loads_nothing_of_the_server(module: str) -> None:
    names = SERVER + HEAVY
    program = f"import {module}, sys; print(*[name for name in {names!r} if name in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30
    )
    assert result.stdout.split() == []
