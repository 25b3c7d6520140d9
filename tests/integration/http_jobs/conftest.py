"""One system with a durable queue for all tests of HTTP jobs; a test is the jobs' runner."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from bridge.embedded_queue import EmbeddedQueueSettings
from bridge.job_store.store import JobStore
from tests.http_jobs import PER_TENANT, ROWS
from tests.system import System, running_system
from tests.tiny_models import affine, write_version


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The operator's folder for jobs, and what lies beside it."""
    root = tmp_path_factory.mktemp("operator")
    (root / "secret.csv").write_bytes(ROWS)
    files = root / "files"
    (files / "nightly").mkdir(parents=True)
    (files / "nightly" / "rows.csv").write_bytes(ROWS)
    (files / "link.csv").symlink_to(root / "secret.csv")
    (files / "up").symlink_to(root)
    (files / "pipe.csv").mkdir()
    return files


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def system(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> AsyncIterator[System]:
    """One tiny model; a queue that keeps what it was given."""
    models = tmp_path_factory.mktemp("models")
    write_version(models, "double", graph=affine(2.0, 0.0))
    options = (
        *("--job-files", str(folder), "--job-storage-mb", "8"),
        *("--jobs-per-tenant", str(PER_TENANT)),
    )
    settings = EmbeddedQueueSettings(is_durable=True)
    async with running_system(models, queue_settings=settings, gateway_options=options) as running:
        async with running.redis() as redis:
            # Otherwise each 202 would wait for the sync that comes once a second.
            await redis.config_set("appendfsync", "always")
        yield running


@pytest.fixture
def jobs(system: System) -> str:
    return f"{system.url}/v1/jobs"


@pytest.fixture
def store(system: System) -> JobStore:
    return JobStore(system.queue_url)


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def no_jobs_left(system: System) -> AsyncIterator[None]:
    yield
    async with system.redis() as redis:
        await redis.delete(*[key async for key in redis.scan_iter("bb:{jobs}:*")] or ["none"])


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session
