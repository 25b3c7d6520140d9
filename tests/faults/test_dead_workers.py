"""Workers that die, or sleep past their lease: others take over, nobody is answered twice."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.faults.connection import Answer, Ask, held_request
from tests.faults.load import Tally, load
from tests.faults.rig import eventually, is_running, running_rig
from workers.settings import WorkerSettings

pytestmark = pytest.mark.asyncio(loop_scope="module")

LEASE_S = WorkerSettings(models=Path(), redis_url="").lease_s
HELD_ANSWER = -1.0  # 2 x + 1 of a held row


@dataclass(frozen=True)
class Killed:
    """What was seen when a worker was killed in the middle of a run, under load."""

    tally: Tally
    taken_over_s: float
    in_the_run: Answer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def killed() -> Killed:
    """One of two workers is killed with kill -9 while it runs a request."""
    clock = asyncio.get_running_loop().time
    async with running_rig(workers=2) as rig, await rig.connect() as caller:
        async with load(rig.url) as tally:
            await tally.more(30)
            await caller.send(held_request(timeout_ms=8_000))
            dying = await rig.held()
            survivor = rig.other_worker(dying.pid)
            await tally.more(30)
            rig.worker(dying.pid).signal(signal.SIGKILL)
            killed_s = clock()
            left = await rig.pending_of(rig.worker(dying.pid))
            await survivor.logs.wait_for("reclaimed", count=left)
            taken_over_s = clock() - killed_s
            (await rig.held()).let_go()
            await tally.more(100)
        dying.let_go()
        return Killed(tally, taken_over_s, await caller.receive())


async def test_every_accepted_request_is_answered_when_a_worker_is_killed(killed: Killed) -> None:
    assert killed.tally.lost == []


async def test_no_answer_is_crossed_when_a_worker_is_killed(killed: Killed) -> None:
    assert killed.tally.crossed == []


async def test_no_answer_is_later_than_its_deadline_when_a_worker_is_killed(
    killed: Killed,
) -> None:
    assert killed.tally.late == []


async def test_a_killed_worker_is_nothing_but_delay_to_callers(killed: Killed) -> None:
    # Refused at the door is allowed: the other worker may not be able to keep up.
    assert set(killed.tally.outcomes) <= {"ok", "429 overloaded"}


async def test_the_request_in_a_killed_workers_run_is_answered_by_another(killed: Killed) -> None:
    assert (killed.in_the_run.status, killed.in_the_run.value) == (200, HELD_ANSWER)


async def test_a_dead_workers_frames_are_taken_over_within_the_lease_and_a_second(
    killed: Killed,
) -> None:
    assert killed.taken_over_s <= LEASE_S + 1.0


@dataclass(frozen=True)
class Slept:
    """What was seen when a stopped worker woke after its frames had been taken over."""

    kept: float
    first: list[bool]
    second: list[bool]
    held: Answer
    strays: float
    works_on: bool
    runs: list[int]


SLEPT = [Ask(nonce) for nonce in range(1, 41)]
AFTERWARDS = [Ask(nonce) for nonce in range(101, 141)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def slept() -> Slept:
    """One of two workers is stopped in a run, and woken when the other has answered everything."""
    async with running_rig(workers=2) as rig, AsyncExitStack() as stack:
        caller = await stack.enter_async_context(await rig.connect())
        connections = [await stack.enter_async_context(await rig.connect()) for _ in SLEPT]
        await caller.send(held_request())
        run = await rig.held()
        sleeper, other = rig.worker(run.pid), rig.other_worker(run.pid)
        for connection, ask in zip(connections, SLEPT, strict=True):
            await connection.send(ask.encode())
            # One frame each, so that both workers take some. The sleeper keeps its own: it has
            # room for one batch while its run is held.
            await rig.heartbeats(1) if ask is SLEPT[-1] else await rig.metric("in_flight")
        kept = await rig.metric("in_flight") - 1
        sleeper.signal(signal.SIGSTOP)
        (await rig.held()).let_go()
        held = await caller.receive()
        first = [await connection.receive() for connection in connections]
        run.let_go()
        sleeper.signal(signal.SIGCONT)
        await other.terminate()
        await eventually(rig.answers_right, within_s=5.0)
        second = [
            await connection.ask(ask)
            for connection, ask in zip(connections, AFTERWARDS, strict=True)
        ]
        return Slept(
            kept,
            [answer.is_for(ask) for answer, ask in zip(first, SLEPT, strict=True)],
            [answer.is_for(ask) for answer, ask in zip(second, AFTERWARDS, strict=True)],
            held,
            await rig.metric("stray_results"),
            is_running(sleeper),
            [nonce for batch in rig.mirror.batches() for nonce in batch["first"]],
        )


async def test_a_stopped_worker_had_frames_in_hand(slept: Slept) -> None:
    """Or the other tests would show nothing."""
    assert slept.kept > 0


async def test_frames_of_a_stopped_worker_are_answered_by_another(slept: Slept) -> None:
    assert slept.first == [True] * len(SLEPT)


async def test_the_request_in_a_stopped_workers_run_is_answered_by_another(slept: Slept) -> None:
    assert (slept.held.status, slept.held.value) == (200, HELD_ANSWER)


async def test_the_late_result_of_a_woken_worker_is_no_second_answer(slept: Slept) -> None:
    assert slept.second == [True] * len(AFTERWARDS)


async def test_the_late_result_of_a_woken_worker_is_counted(slept: Slept) -> None:
    assert slept.strays == 1


async def test_a_woken_worker_does_not_run_what_was_taken_over(slept: Slept) -> None:
    assert [slept.runs.count(ask.nonce) for ask in SLEPT] == [1] * len(SLEPT)


async def test_a_woken_worker_works_on(slept: Slept) -> None:
    assert slept.works_on
