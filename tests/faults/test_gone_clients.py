"""Clients that disconnect: what has not started is not run, and nobody gets another's answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from bridge.wire import keys
from bridge.wire.frame import REQUEST_ID_BYTES
from tests.faults.connection import Ask, Connection
from tests.faults.fault_models import nonces_run
from tests.faults.rig import Rig, eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

GONE = [Ask(nonce) for nonce in range(1, 25)]
STAYING = [Ask(nonce) for nonce in range(101, 125)]


async def test_requests_of_clients_that_left_before_the_run_are_not_run(rig: Rig) -> None:
    rig.mirror.forget()
    async with _half_left_while_busy(rig) as staying:
        await asyncio.gather(*(connection.receive() for connection in staying))
    assert sorted(nonces_run(rig.mirror)) == [ask.nonce for ask in STAYING]


async def test_clients_that_stay_get_their_own_answers_when_others_leave(rig: Rig) -> None:
    async with _half_left_while_busy(rig) as staying:
        answers = await asyncio.gather(*(connection.receive() for connection in staying))
    assert [answer.is_for(ask) for answer, ask in zip(answers, STAYING, strict=True)] == [
        True
    ] * len(STAYING)


async def test_requests_of_clients_that_left_are_acknowledged_like_any_other(rig: Rig) -> None:
    async with _half_left_while_busy(rig) as staying:
        await asyncio.gather(*(connection.receive() for connection in staying))
    await eventually(rig.is_drained, within_s=5.0)


async def test_a_client_that_leaves_in_the_middle_of_its_body_starts_nothing(rig: Rig) -> None:
    rig.mirror.forget()
    async with await rig.connect() as connection:
        await connection.send(Ask(nonce=77).encode()[:-10])
    await rig.answers_right()
    assert 77 not in nonces_run(rig.mirror)


@asynccontextmanager
async def _half_left_while_busy(rig: Rig) -> AsyncIterator[list[Connection]]:
    """Both halves are queued while the worker is held; one half leaves; then the worker goes on."""
    async with AsyncExitStack() as stack:
        leaving, staying = [
            [await stack.enter_async_context(await rig.connect()) for _ in asks]
            for asks in (GONE, STAYING)
        ]
        async with rig.busy_worker():
            for asks, connections in ((GONE, leaving), (STAYING, staying)):
                for ask, connection in zip(asks, connections, strict=True):
                    await connection.send(ask.encode())
            await rig.wait_in_hand(len(GONE) + len(STAYING) + 1)
            await _leave(rig, leaving)
        yield staying


async def _leave(rig: Rig, leaving: list[Connection]) -> None:
    """Close the connections; return when the worker knows."""
    async with rig.system.redis() as client, client.pubsub() as channel:
        await channel.subscribe(keys.CANCELLED_CHANNEL)
        await channel.get_message(timeout=None)
        for connection in leaving:
            connection.abort()
        missing = len(leaving) * REQUEST_ID_BYTES
        while missing:
            message = await channel.get_message(timeout=None)
            missing -= len(message["data"])
    # The worker got the same messages at the same time; two of its beats later it has read them.
    await rig.heartbeats(2)
