"""Fixtures: a rig of one gateway and one worker that a module's tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.conftest import FindServer
from tests.faults.rig import Rig, running_rig


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig() -> AsyncIterator[Rig]:
    """For faults that leave every process as it was."""
    async with running_rig() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig_on_each(find_server: FindServer) -> AsyncIterator[Rig]:
    """The same, on the embedded Valkey and on a real Redis."""
    async with running_rig(find_server=find_server) as running:
        yield running
