"""Durable servers of both kinds, each test beginning with an empty one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from redis import Redis

from bridge.job_store.store import JobStore
from tests.conftest import FindServer
from tests.tcp_queue import tcp_server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url(
    find_server: FindServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[str]:
    folder = tmp_path_factory.mktemp("aof")
    words = ["--appendonly", "yes", "--appendfsync", "always", "--dir", str(folder)]
    async with tcp_server(find_server, *words) as server:
        yield server.url()


@pytest.fixture
def redis(url: str) -> Redis:
    client = Redis.from_url(url)
    client.flushall()
    return client


@pytest.fixture
def store(url: str, redis: Redis) -> JobStore:
    return JobStore(url)
