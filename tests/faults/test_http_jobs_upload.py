"""A gateway that is killed while a job is uploaded: half a job is never run, nor in the way."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp

from bridge.embedded_queue import EmbeddedQueueSettings
from bridge.job_store.manifest import BLOCK_BYTES, JobState
from tests.faults.rig import eventually
from tests.http_jobs import CSV, submitted
from tests.stored_jobs import stored_jobs
from tests.system import running_system
from tests.tiny_models import affine, write_version

KEY = {"Idempotency-Key": "nightly"}
HALF = b"x\n" + b"1.5\n" * (BLOCK_BYTES // 2)


async def test_half_an_upload_is_not_run_and_its_key_and_bytes_come_back(tmp_path: Path) -> None:
    write_version(tmp_path / "models", "double", graph=affine(2.0, 0.0))
    durable = EmbeddedQueueSettings(is_durable=True)
    async with (
        running_system(tmp_path / "models", queue_settings=durable) as system,
        aiohttp.ClientSession() as http,
    ):
        await system.start_job_runner()
        gateway = system.gateways[0]
        broken_off = asyncio.Event()

        async def half() -> AsyncIterator[bytes]:
            yield HALF
            await broken_off.wait()

        with stored_jobs(system.queue_url) as jobs:

            async def is_half_there() -> bool:
                return await asyncio.to_thread(jobs.store.stored_bytes) > BLOCK_BYTES

            upload = asyncio.create_task(submitted(http, f"{gateway.url}/v1/jobs", half(), **KEY))
            await eventually(is_half_there, 20.0)
            os.kill(gateway.pid, signal.SIGKILL)
            (failed,) = await asyncio.gather(upload, return_exceptions=True)
            broken_off.set()
            second = await system.start_gateway()
            url = f"{second.url}/v1/jobs"
            (half_job,) = jobs.store.manifests("", 10)
            headers = {**CSV, **KEY}
            async with http.post(
                f"{url}?model=double", data=b"x\n1.0\n2.5\n", headers=headers
            ) as answer:
                in_use = answer.status, (await answer.json())["code"]
            async with http.delete(f"{url}/{half_job.id}") as answer:
                cancelled = (await answer.json())["state"]
            async with http.delete(f"{url}/{half_job.id}") as answer:
                removed = answer.status
            given_back = not await is_half_there()
            again = await submitted(http, url, b"x\n1.0\n2.5\n", **KEY)
            ended = await jobs.ended(again["id"])
            rows = [row["y"] for row in jobs.rows(again["id"])]
    assert isinstance(failed, aiohttp.ClientError)
    assert half_job.state == JobState.UPLOADING
    assert in_use == (409, "idempotency_key_in_use")
    assert (cancelled, removed, given_back) == ("cancelled", 204, True)
    assert (again["id"] != half_job.id, ended.state, rows) == (True, JobState.FINISHED, [2.0, 5.0])
