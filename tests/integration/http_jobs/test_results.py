"""Results: streamed, in parts, and not before they are there."""

from __future__ import annotations

import hashlib
import os

import aiohttp
import pytest

from bridge.job_store.manifest import BLOCK_BYTES, JobFault, JobState
from bridge.job_store.store import JobStore
from tests.http_jobs import (
    PROGRESS,
    claimed,
    finished,
    refused,
    submitted,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_running_job_says_how_far_it_is(
    http: aiohttp.ClientSession, jobs: str, store: JobStore
) -> None:
    job = (await submitted(http, jobs))["id"]
    store.claims.append_progress(claimed(store, job), 0, b"record", PROGRESS)
    async with http.get(f"{jobs}/{job}") as response:
        view = await response.json()
    told = [view[name] for name in ("state", "rows_done", "rows_rejected", "share_done")]
    assert (told, view["seconds_left"]) == (["running", 50, 1, 0.25], 1.5)


async def test_results_of_a_job_that_runs_are_asked_for_later(
    http: aiohttp.ClientSession, jobs: str, store: JobStore
) -> None:
    job = (await submitted(http, jobs))["id"]
    store.claims.append_progress(claimed(store, job), 0, b"record", PROGRESS)
    for part in ("results", "rejected"):
        async with http.get(f"{jobs}/{job}/{part}") as response:
            assert await refused(response) == (409, "not_finished")
            assert response.headers["Retry-After"] == "2"


async def test_results_are_the_stored_bytes_in_their_format(
    http: aiohttp.ClientSession, jobs: str, store: JobStore
) -> None:
    job = (await submitted(http, jobs))["id"]
    output = os.urandom(2 * BLOCK_BYTES + 5)
    finished(store, job, output, b'{"row":1}\n')
    async with http.get(f"{jobs}/{job}/results") as response:
        assert hashlib.sha256(await response.read()).digest() == hashlib.sha256(output).digest()
        assert response.headers["Content-Type"] == "application/x-ndjson"
    async with http.get(f"{jobs}/{job}/rejected") as response:
        assert await response.read() == b'{"row":1}\n'
    async with http.head(f"{jobs}/{job}/results") as response:
        assert (response.status, response.content_length) == (200, len(output))


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=1048570-1048590", (1_048_570, 1_048_591)),
        ("bytes=5-", (5, None)),
        ("bytes=-7", (-7, None)),
        ("bytes=1-99999999999", (1, None)),
    ],
)
async def test_a_range_of_the_results_can_be_had(
    http: aiohttp.ClientSession,
    jobs: str,
    store: JobStore,
    wanted: str,
    expected: tuple[int, int | None],
) -> None:
    job = (await submitted(http, jobs))["id"]
    output = os.urandom(BLOCK_BYTES + 100)
    finished(store, job, output)
    async with http.get(f"{jobs}/{job}/results", headers={"Range": wanted}) as response:
        assert (response.status, await response.read()) == (206, output[slice(*expected)])


async def test_a_range_that_cannot_be_had_says_how_long_the_results_are(
    http: aiohttp.ClientSession, jobs: str, store: JobStore
) -> None:
    job = (await submitted(http, jobs))["id"]
    finished(store, job, b"0123456789")
    async with http.get(f"{jobs}/{job}/results", headers={"Range": "bytes=10-"}) as response:
        assert await refused(response) == (416, "range")
        assert response.headers["Content-Range"] == "bytes */10"


async def test_a_range_of_other_results_is_the_whole_of_these(
    http: aiohttp.ClientSession, jobs: str, store: JobStore
) -> None:
    job = (await submitted(http, jobs))["id"]
    finished(store, job, b"0123456789")
    url = f"{jobs}/{job}/results"
    async with http.get(url) as response:
        etag = response.headers["ETag"]
    statuses = {}
    for name, value in (("If-Range", etag), ("If-Range", '"other"'), ("If-None-Match", etag)):
        headers = {"Range": "bytes=1-2", name: value}
        async with http.get(url, headers=headers) as response:
            statuses[name, value] = response.status
    assert list(statuses.values()) == [206, 200, 304]


async def test_a_failed_job_says_why(
    http: aiohttp.ClientSession, jobs: str, store: JobStore
) -> None:
    job = (await submitted(http, jobs))["id"]
    fault = JobFault("bad_input", "row 7, column 'x': not a number")
    store.claims.finish(claimed(store, job), JobState.FAILED, error=fault)
    async with http.get(f"{jobs}/{job}") as response:
        view = await response.json()
    assert view["error"] == {"code": "bad_input", "message": fault.message}
    async with http.get(f"{jobs}/{job}/results") as response:
        assert await refused(response) == (409, "job_failed")
