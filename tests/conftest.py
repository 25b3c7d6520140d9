"""Fixtures: one shared system per module, and which queue servers the tests run on."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from bridge.queue_server import QueueServer, find_queue_server
from tests.system import System, running_system

IS_CI = os.environ.get("CI", "") not in ("", "0", "false")
FindServer = Callable[[Mapping[str, str]], QueueServer]
KEPT_S = 5.0


def required_in_ci(reason: str) -> None:
    """Skip at home, fail in CI: what is missing there would never be noticed."""
    if IS_CI:
        pytest.fail(f"{reason} (required in CI)")
    pytest.skip(reason)


def find_redis(environment: Mapping[str, str]) -> QueueServer:
    """Find Debian's redis-server instead of the wheel's Valkey."""
    path = shutil.which("redis-server")
    if path is None:
        required_in_ci("redis-server is not on the PATH")
    return find_queue_server(environment, wheel=lambda: None, on_path=lambda *_: Path(str(path)))


@pytest.fixture(scope="module", params=["valkey", "redis"])
def find_server(request: pytest.FixtureRequest) -> FindServer:
    """Every test that uses it runs on the embedded Valkey and on a real Redis."""
    return find_queue_server if request.param == "valkey" else find_redis


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(find_server: FindServer) -> AsyncIterator[System]:
    """The sample models behind one gateway and one worker, shared by a module's tests."""
    async with running_system(find_server=find_server) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """An HTTP client, shared by a module's tests."""
    # Below the gateway's 10 s: a client that keeps connections for longer meets one that is being
    # closed now and then, when its own event loop was busy (starting another system, say).
    connector = aiohttp.TCPConnector(keepalive_timeout=KEPT_S)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield session
