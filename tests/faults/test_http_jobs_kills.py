"""Jobs in the store whose runner, workers and queue are killed: nothing lost, nothing twice.

`JOB_KILLS=200 JOB_SEED=7` for the long version; what is printed at a failure repeats it.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bridge.embedded_queue import EmbeddedQueue, EmbeddedQueueSettings
from bridge.job_store import claim_scripts
from bridge.job_store.manifest import JobState
from bridge.jobs.chunk_queue import PUSH
from tests.faults.kill_points import KillingProxy, KillPoint, killing_proxy, told
from tests.faults.test_score_kills import WORKER_POINTS, script
from tests.score_files import answers, write_marked_model
from tests.stored_jobs import StoredJobs, csv_of, stored_jobs
from tests.system import System, TestedProcess

KILLS = int(os.environ.get("JOB_KILLS", "10"))
SEED = int(os.environ.get("JOB_SEED", "1"))
IS_LONG = KILLS > 50
VALUES = [n + 1_000 for n in range(200_000 if IS_LONG else 20_000)]
CHUNK_ROWS = 256
SECONDS_PER_KILL_MAX = 20
# What happens for each chunk is let pass so often, at most; what happens once, never.
NTH_MAX = 12
LEASE_S = 1

pytestmark = pytest.mark.timeout(120 + KILLS * SECONDS_PER_KILL_MAX)

ONCE = [
    KillPoint("job not yet claimed", script(claim_scripts.CLAIM)),
    KillPoint("job claimed", script(claim_scripts.CLAIM), is_passed_on=True),
    KillPoint("input not yet read", b":input"),
    KillPoint("output not yet stored", b"\r\noutput\r\n"),
    KillPoint("output stored", b"\r\noutput\r\n", is_passed_on=True),
    KillPoint("end not yet told", script(claim_scripts.FINISH)),
    KillPoint("end told", script(claim_scripts.FINISH), is_passed_on=True),
]
EACH_CHUNK = [
    KillPoint("chunk not yet sent", script(PUSH)),
    KillPoint("chunk sent", script(PUSH), is_passed_on=True),
    KillPoint("done told, not received", b":done", in_reply=True),
    KillPoint("results asked for", b"HMGET", is_passed_on=True),
    KillPoint("record not yet stored", b"\r\nprogress\r\n"),
    KillPoint("record stored", b"\r\nprogress\r\n", is_passed_on=True),
    KillPoint("results not yet removed", b"HDEL"),
]


@dataclass
class Killed:
    """What was killed so far; shown when the test fails, with what repeats it."""

    chance: random.Random
    seed: int = SEED
    names: list[str] = field(default_factory=list)
    points: list[KillPoint] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        return len(self.names) >= KILLS

    def next_point(self) -> tuple[KillPoint, int]:
        """Return a point, all of them before one comes again, and how often it passes."""
        if not self.points:
            self.points = self.chance.sample(ONCE + EACH_CHUNK, len(ONCE + EACH_CHUNK))
        point = self.points.pop()
        return point, 1 if point in ONCE else self.chance.randint(1, NTH_MAX)


@dataclass(frozen=True)
class Bench:
    """A queue that keeps what it has answered, its workers, and two ways to it that kill."""

    system: System
    queue: EmbeddedQueue
    jobs: StoredJobs
    models: Path
    runner_link: KillingProxy
    worker_link: KillingProxy

    def submit(self) -> str:
        return self.jobs.submit(csv_of(VALUES), chunk_rows=CHUNK_ROWS)


@asynccontextmanager
async def benched(folder: Path) -> AsyncIterator[Bench]:
    models = folder / "models"
    write_marked_model(models, batch_rows=256)
    async with AsyncExitStack() as stack:
        settings = EmbeddedQueueSettings(data_directory=folder / "data")
        queue = await stack.enter_async_context(EmbeddedQueue.start(settings))
        system = System(queue.url, stack, queue)
        await system.start_worker(models)
        yield Bench(
            system,
            queue,
            stack.enter_context(stored_jobs(queue.url)),
            models,
            await stack.enter_async_context(killing_proxy(queue.url)),
            await stack.enter_async_context(killing_proxy(queue.url)),
        )


@asynccontextmanager
async def a_runner(bench: Bench, url: str) -> AsyncIterator[TestedProcess]:
    runner = await bench.system.start_job_runner("--redis", url, "--job-lease-s", str(LEASE_S))
    try:
        yield runner
    finally:
        runner.child.kill()
        await runner.end()


async def test_jobs_whose_runner_and_queue_are_killed_are_what_they_would_have_been(
    tmp_path: Path,
) -> None:
    killed = Killed(random.Random(SEED))
    async with benched(tmp_path) as bench:
        job = bench.submit()
        async with dying_workers(bench, killed):
            while not killed.is_over:
                await one_life(bench, job, killed)
                if bench.jobs.manifest(job).state.is_final:
                    assert outcome(bench, job) == right(), killed
                    job = bench.submit()
            async with a_runner(bench, bench.queue.url):
                await bench.jobs.ended(job, within_s=100)
        assert outcome(bench, job) == right(), killed
    print(told(SEED, killed.names))


def outcome(bench: Bench, job: str) -> tuple[object, ...]:
    manifest = bench.jobs.manifest(job)
    return manifest.state, manifest.error, bench.jobs.rows(job) == answers(VALUES)


def right() -> tuple[object, ...]:
    return JobState.FINISHED, None, True


async def one_life(bench: Bench, job: str, killed: Killed) -> None:
    """Start a runner; kill the queue under it, perhaps, and then the runner itself."""
    async with a_runner(bench, bench.runner_link.url) as runner:
        if killed.chance.random() < 0.2 and await is_shot(bench, job, bench.queue.pid, killed):
            await bench.queue.restart()
        await is_shot(bench, job, runner.pid, killed)


async def is_shot(bench: Bench, job: str, pid: int, killed: Killed) -> bool:
    """Return when the process was killed at the next point, or else when the job has ended."""
    point, nth = killed.next_point()
    link = bench.runner_link
    link.aim(pid)
    link.arm(point, nth)
    shot = asyncio.create_task(link.killed.wait())
    end = asyncio.create_task(bench.jobs.ended(job, within_s=100))
    await asyncio.wait({shot, end}, return_when=asyncio.FIRST_COMPLETED)
    shot.cancel()
    end.cancel()
    await asyncio.wait({shot, end})
    if link.killed.is_set():
        killed.names.append(f"{'queue' if pid == bench.queue.pid else 'runner'}: {point.name}")
    return link.killed.is_set()


@asynccontextmanager
async def dying_workers(bench: Bench, killed: Killed) -> AsyncIterator[None]:
    """One worker beside the other that is killed and replaced, until the block ends."""

    async def die_and_come_back() -> None:
        while not killed.is_over:
            worker = await bench.system.start_worker(bench.models, "--redis", bench.worker_link.url)
            point = killed.chance.choice(WORKER_POINTS)
            bench.worker_link.aim(worker.pid)
            bench.worker_link.arm(point, killed.chance.randint(1, NTH_MAX))
            await bench.worker_link.killed.wait()
            killed.names.append(f"worker: {point.name}")
            await worker.end()

    task = asyncio.create_task(die_and_come_back())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
