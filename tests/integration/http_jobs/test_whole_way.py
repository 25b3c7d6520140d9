"""From an upload to its results, with a real runner and a real worker."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.http_jobs import CSV, refused, submitted
from tests.system import System, TestedProcess

pytestmark = pytest.mark.asyncio(loop_scope="session")

GOOD = b"x\n1.0\n2.5\n"
END_S_MAX = 20.0


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def runner(system: System, folder: Path) -> Any:
    """A runner for this module only: elsewhere the tests are the runner."""
    process: TestedProcess = await system.start_job_runner("--job-files", str(folder))
    yield process
    await process.terminate()


async def ended(http: aiohttp.ClientSession, jobs: str, job: str) -> dict[str, Any]:
    """The job when it has ended: each answer is another one's view of a job under way."""
    async with asyncio.timeout(END_S_MAX):
        while True:
            async with http.get(f"{jobs}/{job}") as response:
                view: dict[str, Any] = await response.json()
            if view["finished"]:
                return view


@pytest.mark.usefixtures("runner")
async def test_an_uploads_results_are_its_rows_scored(
    http: aiohttp.ClientSession, jobs: str
) -> None:
    job = (await submitted(http, jobs, GOOD))["id"]
    view = await ended(http, jobs, job)
    assert (view["state"], view["rows_done"], view["share_done"]) == ("finished", 2, 1.0)
    async with http.get(f"{jobs}/{job}/results") as response:
        rows = [json.loads(line) for line in (await response.text()).splitlines()]
    assert [row["y"] for row in rows] == [2.0, 5.0]


@pytest.mark.usefixtures("runner")
async def test_a_named_file_is_scored_where_it_is(http: aiohttp.ClientSession, jobs: str) -> None:
    asked = {"file": "nightly/rows.csv", "model": "double", "output": "csv"}
    async with http.post(jobs, json=asked) as response:
        job = (await response.json())["id"]
    assert (await ended(http, jobs, job))["state"] == "finished"
    async with http.get(f"{jobs}/{job}/results") as response:
        assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
        assert len((await response.text()).splitlines()) == 3


@pytest.mark.usefixtures("runner")
async def test_a_bad_row_is_among_the_rejected_and_the_rest_is_scored(
    http: aiohttp.ClientSession, jobs: str
) -> None:
    job = (await submitted(http, jobs, b"x\n1.0\nmany\n2.0\n"))["id"]
    view = await ended(http, jobs, job)
    assert (view["state"], view["rows_rejected"]) == ("finished", 1)
    async with http.get(f"{jobs}/{job}/rejected") as response:
        assert json.loads(await response.text())["row"] == 1


@pytest.mark.usefixtures("runner")
async def test_a_file_that_cannot_be_read_is_a_job_that_failed_saying_why(
    http: aiohttp.ClientSession, jobs: str
) -> None:
    headers = {"Content-Type": "application/vnd.apache.parquet"}
    async with http.post(f"{jobs}?model=double", data=b"PAR1 cut off", headers=headers) as response:
        job = (await response.json())["id"]
    view = await ended(http, jobs, job)
    assert (view["state"], view["error"]["code"]) == ("failed", "bad_input")
    async with http.get(f"{jobs}/{job}/results") as response:
        assert await refused(response) == (409, "job_failed")


@pytest.mark.usefixtures("runner")
async def test_a_missing_column_is_named(http: aiohttp.ClientSession, jobs: str) -> None:
    async with http.post(f"{jobs}?model=double&key=id", data=GOOD, headers=CSV) as response:
        job = (await response.json())["id"]
    view = await ended(http, jobs, job)
    assert "no column id" in view["error"]["message"]
