"""Jobs cancelled, removed, listed and counted."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from bridge.job_store.store import JobStore
from tests.http_jobs import (
    refused,
    submitted,
)
from tests.system import System

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_delete_cancels_what_runs_and_removes_what_has_ended(
    http: aiohttp.ClientSession, jobs: str, store: JobStore
) -> None:
    job = (await submitted(http, jobs))["id"]
    async with http.delete(f"{jobs}/{job}") as response:
        assert (response.status, (await response.json())["state"]) == (200, "cancelled")
    async with http.get(f"{jobs}/{job}/results") as response:
        assert await refused(response) == (409, "job_cancelled")
    async with http.delete(f"{jobs}/{job}") as response:
        assert response.status == 204
    async with http.get(f"{jobs}/{job}") as response:
        assert await refused(response) == (404, "unknown_job")
    assert store.stored_bytes() == 0


async def test_pages_list_all_jobs_once(http: aiohttp.ClientSession, jobs: str) -> None:
    made = await asyncio.gather(*(submitted(http, jobs) for _ in range(5)))
    listed: list[str] = []
    url: str | None = f"{jobs}?limit=2"
    while url is not None:
        async with http.get(url) as response:
            page = await response.json()
        listed += [view["id"] for view in page["jobs"]]
        url = page["next"] and f"{jobs}?limit=2&after={page['next']}"
    assert sorted(listed) == sorted(view["id"] for view in made)
    assert listed == sorted(listed, reverse=True)


async def test_a_list_can_be_of_one_state_and_one_tenant(
    http: aiohttp.ClientSession, jobs: str, store: JobStore
) -> None:
    first = await submitted(http, jobs, **{"X-Tenant": "a"})
    await submitted(http, jobs, **{"X-Tenant": "b"})
    store.cancel(first["id"])
    for query in ("state=cancelled", "tenant=a", "tenant=a&state=cancelled"):
        async with http.get(f"{jobs}?{query}") as response:
            assert [view["id"] for view in (await response.json())["jobs"]] == [first["id"]]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=x", "after=1", "after=", "state=lost", "sort=id"]
)
async def test_a_list_that_cannot_be_made_is_refused(
    http: aiohttp.ClientSession, jobs: str, query: str
) -> None:
    async with http.get(f"{jobs}?{query}") as response:
        assert (await refused(response))[0] == 400


async def test_another_tenants_job_is_as_unknown_as_none(
    http: aiohttp.ClientSession, jobs: str
) -> None:
    job = (await submitted(http, jobs, **{"X-Tenant": "a"}))["id"]
    answers = []
    for path in (job, "0" * len(job), "nonsense"):
        async with http.get(f"{jobs}/{path}", headers={"X-Tenant": "b"}) as response:
            answers.append(await refused(response))
    assert answers == [(404, "unknown_job")] * 3


async def test_metrics_count_jobs_by_state_and_their_bytes(
    http: aiohttp.ClientSession, jobs: str, system: System, store: JobStore
) -> None:
    await submitted(http, jobs)
    async with http.get(f"{system.url}/metrics") as response:
        text = await response.text()
    assert 'batchbridge_jobs{state="waiting"} 1.0' in text
    assert f"batchbridge_job_bytes {store.stored_bytes()}.0" in text
