"""A row that kills workers, in a job over HTTP: it is found, and the rest is scored."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from bridge.embedded_queue import EmbeddedQueue, EmbeddedQueueSettings
from bridge.jobs.trial import PART_LOSSES_MAX, ROW_LOSSES_MAX
from bridge.wire import keys
from bridge.wire.chunk import CHUNK_LOSSES_MAX
from tests.faults.served import served
from tests.score_files import ABORTS, answers, write_marked_model
from tests.stored_jobs import csv_of, stored_jobs
from tests.system import System

KILLER = 700

pytestmark = pytest.mark.timeout(180)


async def test_a_row_that_kills_workers_is_rejected_and_the_job_finishes_without_it(
    tmp_path: Path,
) -> None:
    values = [n + 1_000 for n in range(1_500)]
    values[KILLER] = ABORTS
    write_marked_model(tmp_path / "models")
    settings = EmbeddedQueueSettings(data_directory=tmp_path / "data")
    async with (
        EmbeddedQueue.start(settings) as queue,
        served(tmp_path / "models", "--redis", queue.url) as system,
        aiohttp.ClientSession(system.url) as http,
    ):
        asked = {"model": "marked", "key": "id"}
        headers = {"Content-Type": "text/csv"}
        async with http.post(
            "/v1/jobs", params=asked, data=csv_of(values), headers=headers
        ) as posted:
            job = (await posted.json())["id"]
        with stored_jobs(queue.url) as jobs:
            await jobs.ended(job, within_s=120)
        async with http.get(f"/v1/jobs/{job}") as response:
            view = await response.json()
        async with http.get(f"/v1/jobs/{job}/results") as response:
            rows = [json.loads(line) for line in (await response.text()).splitlines()]
        async with http.get(f"/v1/jobs/{job}/rejected") as response:
            rejected = [json.loads(line) for line in (await response.text()).splitlines()]
        deaths = len(system.pids()["worker-0"]) - 1
        async with System(queue.url, AsyncExitStack(), queue).redis() as client:
            dead = await client.xlen(keys.dead_key("marked@1"))
    assert (view["state"], view["rows_rejected"], dead) == ("finished", 1, 1)
    assert [(row["row"], row["code"]) for row in rejected] == [(KILLER, "kills_workers")]
    assert rows == [row for n, row in enumerate(answers(values)) if n != KILLER]
    assert deaths <= CHUNK_LOSSES_MAX + PART_LOSSES_MAX + ROW_LOSSES_MAX
