"""A runner that is stopped for longer than its lease, and wakes up when another has its job."""

from __future__ import annotations

import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from bridge.embedded_queue import EmbeddedQueue
from bridge.job_store.manifest import JobState
from tests.score_files import answers, write_marked_model
from tests.stored_jobs import csv_of, stored_jobs
from tests.system import System

VALUES = [n + 1_000 for n in range(10_000)]

pytestmark = pytest.mark.timeout(120)


async def test_a_runner_that_was_frozen_changes_nothing_and_goes_on_with_other_jobs(
    tmp_path: Path,
) -> None:
    pause = write_marked_model(tmp_path / "models", pause_s=0.005) / "pause"
    async with AsyncExitStack() as stack:
        queue = await stack.enter_async_context(EmbeddedQueue.start())
        system = System(queue.url, stack, queue)
        await system.start_worker(tmp_path / "models")
        jobs = stack.enter_context(stored_jobs(queue.url))
        frozen = await system.start_job_runner("--job-lease-s", "1")
        job = jobs.submit(csv_of(VALUES), chunk_rows=256)
        await jobs.has_come_to(job, 1_024)
        frozen.signal(signal.SIGSTOP)
        other = await system.start_job_runner("--job-lease-s", "1")
        await other.logs.wait_for("job_taken_up")
        frozen.signal(signal.SIGCONT)
        pause.unlink()
        manifest = await jobs.ended(job)
        await other.terminate()
        following = await jobs.ended(jobs.submit(csv_of(VALUES[:10])))
        rows = jobs.rows(job)
    events = frozen.logs.events("job_finished") + other.logs.events("job_finished")
    assert (manifest.state, rows == answers(VALUES)) == (JobState.FINISHED, True)
    assert [event["job"] for event in events].count(job) == 1
    assert following.state == JobState.FINISHED
