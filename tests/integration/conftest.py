"""Fixtures: the typed models behind one gateway and one worker, for input of every kind."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from tests.system import running_system
from tests.typed_model import TypedSystem, assert_alive_and_right, write_models


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def typed_system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[TypedSystem]:
    """The queue's kind does not matter to what is refused at the door: it is the embedded one."""
    models = tmp_path_factory.mktemp("models")
    counted = write_models(models)
    async with running_system(models) as running:
        yield TypedSystem(running, counted)


@pytest_asyncio.fixture(loop_scope="module")
async def still_right(typed_system: TypedSystem) -> AsyncIterator[None]:
    """After the test the system is ready and answers a good request rightly."""
    yield
    await assert_alive_and_right(typed_system.url)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def wide() -> AsyncIterator[aiohttp.ClientSession]:
    """An HTTP client that opens as many connections as it has requests."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        yield session
