"""A row that kills its worker: given up after three deaths, while everybody else is answered."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

import pytest
import pytest_asyncio

from bridge.wire import keys
from bridge.wire.frame import decode_request
from tests.faults.connection import Answer, Ask
from tests.faults.fault_models import ABORTS
from tests.faults.rig import MIRROR, Rig, eventually, running_rig
from tests.faults.served import served

pytestmark = pytest.mark.asyncio(loop_scope="module")

DELIVERIES_MAX = 3
# Long enough for four lives of a worker, short enough to end the test if nobody answers.
TIMEOUT_MS = 25_000
POISON = Ask(nonce=666, mark=ABORTS, timeout_ms=TIMEOUT_MS)
NEIGHBOURS = [Ask(nonce, timeout_ms=TIMEOUT_MS) for nonce in range(1, 9)]


@dataclass(frozen=True)
class Poisoned:
    """What was seen when a poison row was sent together with innocent ones."""

    letters: list[dict[bytes, bytes]]
    deaths: int
    neighbours: list[Answer]
    works_on: bool


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def poisoned() -> Poisoned:
    """The supervisor of `serve` starts the worker again each time that it dies."""
    async with (
        running_rig(workers=0, gateways=0) as back,
        served(back.models, "--redis", back.system.queue_url) as running,
        AsyncExitStack() as stack,
    ):
        rig = replace(back, front=running.url)
        poison = await stack.enter_async_context(await rig.connect())
        connections = [await stack.enter_async_context(await rig.connect()) for _ in NEIGHBOURS]
        async with rig.busy_worker():
            await poison.send(POISON.encode())
            for connection, ask in zip(connections, NEIGHBOURS, strict=True):
                # A frame of its own each: they share the batch, not the frame.
                await rig.metric("in_flight")
                await connection.send(ask.encode())
            await rig.wait_in_hand(len(NEIGHBOURS) + 2)
        opener = asyncio.create_task(_keep_open(rig))
        letters = await _first_letters(rig)
        answers = [await connection.receive() for connection in connections]
        poison.abort()
        await eventually(rig.is_drained, within_s=20.0)
        opener.cancel()
        works_on = await rig.answers_right()
        return Poisoned(letters, len(running.pids()["worker-0"]) - 1, answers, works_on)


async def _keep_open(rig: Rig) -> None:
    """Let the held run go again and again: each death may take its result along."""
    while True:
        (await rig.held()).let_go()


async def _first_letters(rig: Rig) -> list[dict[bytes, bytes]]:
    """Wait for a dead letter; return all there are."""
    async with rig.system.redis() as client:
        dead: Any = []
        while not dead:
            dead = await client.xread({keys.dead_key(MIRROR): "0"}, block=4_000)
        return [letter for _, letter in dead[0][1]]


async def test_the_poison_row_alone_is_dead_lettered(poisoned: Poisoned) -> None:
    frames = [decode_request(letter[keys.FRAME_FIELD]) for letter in poisoned.letters]
    nonces = [int.from_bytes(bytes(frame.tensors[0].data), "little") for frame in frames]
    assert nonces == [POISON.nonce]


async def test_the_dead_letter_says_why(poisoned: Poisoned) -> None:
    assert b"workers that died" in poisoned.letters[0][keys.REASON_FIELD]


async def test_a_poison_row_costs_at_most_three_workers(poisoned: Poisoned) -> None:
    assert poisoned.deaths <= DELIVERIES_MAX


async def test_the_neighbours_of_a_poison_row_get_their_own_answers(poisoned: Poisoned) -> None:
    assert [
        answer.status == 200 and answer.is_for(ask)
        for answer, ask in zip(poisoned.neighbours, NEIGHBOURS, strict=True)
    ] == [True] * len(NEIGHBOURS)


async def test_the_system_goes_on_after_a_poison_row(poisoned: Poisoned) -> None:
    assert poisoned.works_on
