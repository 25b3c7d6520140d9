"""Jobs while the worker is held in a run: who is cancelled is not run, who is small comes soon."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
import pytest_asyncio

from bridge.embedded_queue import EmbeddedQueue
from bridge.job_store.manifest import JobState
from bridge.jobs.chunks import CHUNK_ROWS
from bridge.jobs.scoring import WINDOW_CHUNKS
from bridge.jobs.shared_lane import CHUNKS_PER_WORKER
from tests.faults.rig import Rig, eventually
from tests.gate import HELD, Gate
from tests.stored_jobs import StoredJobs, csv_of, stored_jobs
from tests.system import System, TestedProcess
from tests.tiny_models import PATIENT, Recording

pytestmark = pytest.mark.asyncio(loop_scope="module")

BATCH_ROWS = 64
ROWS_A_CHUNK = 256
LANE_ROWS = CHUNKS_PER_WORKER * CHUNK_ROWS
SMALL = 1_000_000


@dataclass(frozen=True)
class Held:
    """One worker and one runner; rows that hold `HELD` make the worker wait at the gate."""

    gate: Gate
    ran: Recording
    runner: TestedProcess
    jobs: StoredJobs
    rig: Rig

    def submit(self, values: list[int], tenant: str = "") -> str:
        return self.jobs.submit(
            csv_of(values), model="gated", chunk_rows=ROWS_A_CHUNK, tenant=tenant
        )

    def rows_ran(self) -> list[float]:
        """The rows that have run, in their order."""
        return [value for batch in self.ran.batches() for value in batch["first"]]

    async def has_begun(self, job: str) -> None:
        """Return when a job has looked at its input, and has asked to send."""

        async def has_progress() -> bool:
            return (await asyncio.to_thread(self.jobs.manifest, job)).progress_bytes > 0

        await eventually(has_progress, within_s=20)
        # Two heartbeats later whoever had something to do has done it.
        await self.rig.heartbeats(2)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Held]:
    folder = tmp_path_factory.mktemp("held")
    async with Gate.open() as gate, AsyncExitStack() as stack:
        serving = f"{PATIENT}max_batch_rows = {BATCH_ROWS}\n"
        ran = Recording(gate.write_model(folder / "models", "gated", serving))
        queue = await stack.enter_async_context(EmbeddedQueue.start())
        running = System(queue.url, stack, queue)
        await running.start_worker(folder / "models")
        runner = await running.start_job_runner()
        jobs = stack.enter_context(stored_jobs(queue.url))
        yield Held(gate, ran, runner, jobs, Rig(running, gate, folder, ran))


@pytest.fixture
def held(system: Held) -> Held:
    system.ran.forget()
    return system


async def test_no_batch_of_a_cancelled_job_runs_after_the_one_that_runs(held: Held) -> None:
    job = held.submit([int(HELD), *range(1, 4 * CHUNK_ROWS)])
    run = await held.gate.held()
    held.jobs.store.cancel(job)
    await held.runner.logs.wait_for("job_cancelled")
    # Sent by the worker after it has had the time to hear of it.
    await held.rig.heartbeats(2)
    run.close()
    await held.jobs.ended(held.submit([SMALL]))
    sizes = held.ran.rows()
    assert held.jobs.manifest(job).state == JobState.CANCELLED
    assert (len(sizes), sizes[0] <= BATCH_ROWS, held.rows_ran()[-1]) == (2, True, SMALL)


@pytest.mark.parametrize("tenant", ["", "other"])
async def test_a_small_job_ends_while_a_huge_one_runs(held: Held, tenant: str) -> None:
    # Held not at once: a job sends more than one chunk only when it has its first results.
    values = list(range(1, 3 * WINDOW_CHUNKS * ROWS_A_CHUNK))
    values[8 * ROWS_A_CHUNK] = int(HELD)
    huge = held.submit(values)
    run = await held.gate.held()
    began = len(held.rows_ran())
    small = held.submit([SMALL] * ROWS_A_CHUNK, tenant)
    await held.has_begun(small)
    run.close()
    ended = await held.jobs.ended(small)
    before = held.rows_ran().index(SMALL) - began
    held.jobs.store.cancel(huge)
    assert ended.state == JobState.FINISHED
    # What was in flight, and a turn of the huge one; alone that one has 32 chunks in flight.
    assert before <= LANE_ROWS + 2 * ROWS_A_CHUNK < WINDOW_CHUNKS * ROWS_A_CHUNK
