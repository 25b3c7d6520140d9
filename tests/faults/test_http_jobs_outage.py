"""Jobs that were accepted with 202, while gateway and queue are killed: each is done, once."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import aiohttp
import pytest
import pytest_asyncio

from bridge.embedded_queue import EmbeddedQueue, EmbeddedQueueSettings
from bridge.job_store.manifest import JobState
from tests.score_files import answers, write_marked_model
from tests.stored_jobs import StoredJobs, csv_of, stored_jobs
from tests.system import System

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

VALUES = [n + 1_000 for n in range(5_000)]


@dataclass(frozen=True)
class Front:
    """A queue with an append-only file, a gateway, a worker and a runner."""

    system: System
    queue: EmbeddedQueue
    jobs: StoredJobs

    async def submit(self) -> str:
        """POST a job; return its id when the 202 has come."""
        url = f"{self.system.gateways[-1].url}/v1/jobs?model=marked&key=id"
        headers = {"Content-Type": "text/csv"}
        async with (
            aiohttp.ClientSession() as http,
            http.post(url, data=csv_of(VALUES), headers=headers) as response,
        ):
            view = await response.json()
            assert response.status == 202, view
            return str(view["id"])

    async def restart_queue(self) -> None:
        """Kill the queue and start it again; return when the gateway has found it."""
        logs = self.system.gateways[-1].logs
        connected = len(logs.events("queue_connected"))
        os.kill(self.queue.pid, signal.SIGKILL)
        await self.queue.restart()
        await logs.wait_for("queue_connected", connected + 1)

    async def outcome(self, job: str) -> tuple[JobState, bool]:
        manifest = await self.jobs.ended(job)
        return manifest.state, self.jobs.rows(job) == answers(VALUES)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def front(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Front]:
    folder = tmp_path_factory.mktemp("front")
    write_marked_model(folder / "models", pause_s=0.002)
    async with AsyncExitStack() as stack:
        settings = EmbeddedQueueSettings(data_directory=folder / "data")
        queue = await stack.enter_async_context(EmbeddedQueue.start(settings))
        system = System(queue.url, stack, queue)
        await system.start_worker(folder / "models")
        await system.start_gateway()
        await system.start_job_runner("--job-lease-s", "2")
        yield Front(system, queue, stack.enter_context(stored_jobs(queue.url)))


@pytest.mark.parametrize("rows_before", [0, 1_000])
async def test_a_job_survives_the_queue_that_is_killed_after_the_202(
    front: Front, rows_before: int
) -> None:
    job = await front.submit()
    await front.jobs.has_come_to(job, rows_before)
    await front.restart_queue()
    assert await front.outcome(job) == (JobState.FINISHED, True)


async def test_a_job_survives_the_gateway_that_took_it(front: Front) -> None:
    job = await front.submit()
    front.system.gateways[-1].signal(signal.SIGKILL)
    await front.system.start_gateway()
    assert await front.outcome(job) == (JobState.FINISHED, True)


async def test_jobs_that_run_together_survive_together(front: Front) -> None:
    jobs = [await front.submit() for _ in range(3)]
    await front.restart_queue()
    outcomes = [await front.outcome(job) for job in jobs]
    assert outcomes == [(JobState.FINISHED, True)] * 3
