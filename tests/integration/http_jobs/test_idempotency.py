"""Idempotency-Key: one key is one job."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from bridge.job_store.manifest import JobState
from bridge.job_store.store import JobStore
from tests.http_jobs import (
    CSV,
    ROWS,
    finished,
    refused,
    submitted,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_same_idempotency_key_and_body_is_the_same_job(
    http: aiohttp.ClientSession, jobs: str, store: JobStore
) -> None:
    key = {"Idempotency-Key": '"8e03978e-40d5"'}
    first = await submitted(http, jobs, **key)
    again = await submitted(http, jobs, **key)
    assert (again["id"], len(store.manifests())) == (first["id"], 1)
    finished(store, first["id"], b"out")
    async with http.post(f"{jobs}?model=double", data=ROWS, headers={**CSV, **key}) as response:
        assert (response.status, (await response.json())["id"]) == (200, first["id"])


@pytest.mark.parametrize(
    ("query", "body"), [("model=double", ROWS + b"3.0\n"), ("model=double&key=x", ROWS)]
)
async def test_the_same_idempotency_key_with_another_job_is_refused(
    http: aiohttp.ClientSession, jobs: str, query: str, body: bytes
) -> None:
    key = {"Idempotency-Key": "8e03978e"}
    await submitted(http, jobs, **key)
    async with http.post(f"{jobs}?{query}", data=body, headers={**CSV, **key}) as response:
        assert await refused(response) == (422, "idempotency_key_reused")


async def test_a_key_is_its_tenants_own(http: aiohttp.ClientSession, jobs: str) -> None:
    key = {"Idempotency-Key": "8e03978e"}
    first = await submitted(http, jobs, **key, **{"X-Tenant": "a"})
    second = await submitted(http, jobs, **key, **{"X-Tenant": "b"})
    assert first["id"] != second["id"]


async def test_a_key_whose_first_request_is_not_at_its_end_is_in_use(
    http: aiohttp.ClientSession, jobs: str, store: JobStore
) -> None:
    may_end = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield ROWS
        await may_end.wait()

    key = {"Idempotency-Key": "8e03978e"}
    first = asyncio.create_task(submitted(http, jobs, slow(), **key))
    while not store.counts()[JobState.UPLOADING]:
        await asyncio.to_thread(store.counts)
    async with http.post(f"{jobs}?model=double", data=ROWS, headers={**CSV, **key}) as response:
        assert await refused(response) == (409, "idempotency_key_in_use")
    may_end.set()
    assert (await first)["state"] == "waiting"
