"""One job, killed again and again: scorer, workers and queue, at points that a seed chooses.

`SCORE_KILLS=200 SCORE_SEED=7` for the long version; what is printed at a failure repeats it.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bridge.embedded_queue import EmbeddedQueue, EmbeddedQueueSettings
from tests.command import run_to_end, running
from tests.faults.kill_points import KillingProxy, killing_proxy, told
from tests.faults.test_score_kills import SCORER_POINTS, WORKER_POINTS
from tests.score_files import answers, read_table, write_marked_model, write_numbers
from tests.system import System

KILLS = int(os.environ.get("SCORE_KILLS", "12"))
SEED = int(os.environ.get("SCORE_SEED", "1"))
ROWS = 200_000 if KILLS > 50 else 60_000
SECONDS_PER_KILL_MAX = 20
# So many pieces of traffic pass between a start and its kill, at most.
NTH_MAX = 12

pytestmark = pytest.mark.timeout(120 + KILLS * SECONDS_PER_KILL_MAX)


@dataclass
class Killed:
    """What was killed so far; shown when the test fails, with what repeats it."""

    chance: random.Random
    seed: int = SEED
    names: list[str] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        return len(self.names) >= KILLS


async def test_a_job_that_is_killed_again_and_again_is_what_it_would_have_been(
    tmp_path: Path,
) -> None:
    values = [n + 1_000 for n in range(ROWS)]
    source, output = write_numbers(tmp_path / "in.parquet", values), tmp_path / "out.parquet"
    models = tmp_path / "models"
    write_marked_model(models, batch_rows=1_024)
    killed = Killed(random.Random(SEED))
    async with AsyncExitStack() as stack:
        settings = EmbeddedQueueSettings(data_directory=tmp_path / "data")
        queue = await stack.enter_async_context(EmbeddedQueue.start(settings))
        system = System(queue.url, stack, queue)
        worker_link = await stack.enter_async_context(killing_proxy(queue.url))
        scorer_link = await stack.enter_async_context(killing_proxy(queue.url))
        words = ["score", "marked", str(source), str(output), "--key", "id"]
        words += ["--chunk-rows", "256", "--redis", scorer_link.url]
        async with workers(system, models, worker_link, killed):
            while not killed.is_over:
                await one_life_of_the_scorer(words, scorer_link, queue, killed)
                if output.exists():  # finished all the same: begun anew
                    assert read_table(output) == answers(values), killed
                    output.unlink()
            ended = await run_to_end(*words)
    assert (ended.code, read_table(output) == answers(values)) == (0, True), (killed, ended.said)
    print(told(SEED, killed.names))


async def one_life_of_the_scorer(
    words: list[str], link: KillingProxy, queue: EmbeddedQueue, killed: Killed
) -> None:
    """Start the scorer; kill it, or the queue under it, at some point."""
    point = killed.chance.choice(SCORER_POINTS)
    is_queue = killed.chance.random() < 0.2
    async with running(*words) as scorer:
        link.aim(queue.pid if is_queue else scorer.pid)
        link.arm(point, killed.chance.randint(1, NTH_MAX))
        shot = asyncio.create_task(link.killed.wait())
        end = asyncio.create_task(scorer.exit_code())
        await asyncio.wait({shot, end}, return_when=asyncio.FIRST_COMPLETED)
        if not link.killed.is_set():
            shot.cancel()
            return
        killed.names.append(f"{'queue' if is_queue else 'scorer'}: {point.name}")
        if is_queue:
            await queue.restart()
            scorer.signal(signal.SIGKILL)
        await end


@asynccontextmanager
async def workers(
    system: System, models: Path, link: KillingProxy, killed: Killed
) -> AsyncIterator[None]:
    """One worker that lives, and one that is killed and replaced, until the block ends."""
    await system.start_worker(models)

    async def die_and_come_back() -> None:
        while not killed.is_over:
            worker = await system.start_worker(models, "--redis", link.url)
            point = killed.chance.choice(WORKER_POINTS)
            link.aim(worker.pid)
            link.arm(point, killed.chance.randint(1, NTH_MAX))
            await link.killed.wait()
            killed.names.append(f"worker: {point.name}")
            await worker.end()

    task = asyncio.create_task(die_and_come_back())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
