"""The system that clients meet. HTTP is the same on every queue server, so one is enough here."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.conformance.served_models import (
    copy_samples,
    write_identities,
    write_simple,
    write_slow,
)
from tests.system import System, running_system


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """One gateway and one worker over all models of `served_models`."""
    root = tmp_path_factory.mktemp("models")
    for write in (copy_samples, write_simple, write_identities, write_slow):
        write(root)
    async with running_system(root) as running:
        yield running
