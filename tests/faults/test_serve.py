"""`batchbridge serve` when a part of it dies: that part is started again, and no other."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import dataclass, replace

import pytest
import pytest_asyncio

from tests.faults.load import Tally, load
from tests.faults.rig import running_rig
from tests.faults.served import served

pytestmark = pytest.mark.asyncio(loop_scope="module")

# What an accepted request may end with while a part is gone.
HONEST = {"ok", "503 queue_unavailable", "503 no_worker", "504 deadline_exceeded", "429 overloaded"}
CHILDREN = ["queue", "gateway-0", "worker-0", "worker-1", "job-runner"]


@dataclass(frozen=True)
class PartDied:
    """What was seen when one process of `serve` was killed with kill -9 under load."""

    part: str
    tally: Tally
    lives: dict[str, int]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["queue", "worker-0"])
async def part_died(request: pytest.FixtureRequest) -> PartDied:
    """The part is killed while clients send; the load goes on until all is well again."""
    async with (
        running_rig(workers=0, gateways=0) as back,
        served(back.models, "--workers", "2") as running,
    ):
        rig = replace(back, front=running.url)
        pid = running.pids()[request.param][0]
        async with load(rig.url, timeout_ms=4_000) as tally, asyncio.timeout(30):
            await tally.more(50)
            os.kill(pid, signal.SIGKILL)
            await running.process.logs.wait_for("child_died")
            while len(running.pids()[request.param]) < 2:
                await tally.change()
            await tally.more(200)
        lives = {child: len(pids) for child, pids in running.pids().items()}
        return PartDied(request.param, tally, lives)


async def test_only_the_part_that_died_is_started_again(part_died: PartDied) -> None:
    expected = {child: 2 if child == part_died.part else 1 for child in CHILDREN}
    assert part_died.lives == expected


async def test_every_accepted_request_is_answered_honestly(part_died: PartDied) -> None:
    assert (part_died.tally.lost, set(part_died.tally.outcomes) - HONEST) == ([], set())


async def test_no_answer_is_crossed_or_late(part_died: PartDied) -> None:
    assert (part_died.tally.crossed, part_died.tally.late) == ([], [])
