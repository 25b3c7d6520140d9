"""Junk written straight into Redis: given up once, by name, and nobody else notices."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio as aioredis

from bridge.wire import keys
from tests.faults.connection import Ask
from tests.faults.fault_models import answer_of
from tests.faults.junk import PREAMBLE, junk_frames
from tests.faults.rig import MIRROR, Rig, eventually, is_running

pytestmark = pytest.mark.asyncio(loop_scope="module")

STREAM = keys.online_key(MIRROR)
DEAD = keys.dead_key(MIRROR)
JUNK = junk_frames(Path("/nonexistent/evil"))


@pytest.mark.parametrize("name", JUNK)
async def test_junk_in_the_stream_is_dead_lettered_once_with_a_reason(
    rig_on_each: Rig, name: str
) -> None:
    async with rig_on_each.system.redis() as client:
        letters = await _dead_letters(client, {keys.FRAME_FIELD: JUNK[name]})
    assert [(letter[b"f"], letter[b"reason"] != b"") for letter in letters] == [(JUNK[name], True)]


async def test_an_entry_without_the_field_is_dead_lettered_once(rig_on_each: Rig) -> None:
    async with rig_on_each.system.redis() as client:
        letters = await _dead_letters(client, {b"other": b"x"})
    assert [letter[b"f"] for letter in letters] == [b""]


async def test_junk_is_acknowledged_and_removed(rig_on_each: Rig) -> None:
    async with rig_on_each.system.redis() as client:
        for data in JUNK.values():
            await _dead_letters(client, {keys.FRAME_FIELD: data})
    await eventually(rig_on_each.is_drained, within_s=5.0)


async def test_no_junk_is_dead_lettered_twice(rig_on_each: Rig) -> None:
    async with rig_on_each.system.redis() as client:
        for data in JUNK.values():
            await _dead_letters(client, {keys.FRAME_FIELD: data})
        # Nothing is left that could be given up once more.
        await eventually(rig_on_each.is_drained, within_s=5.0)
        letters = Counter(letter[b"entry"] for _, letter in await client.xrange(DEAD))
    assert set(letters.values()) == {1}


async def test_pickle_in_the_stream_is_not_executed(rig_on_each: Rig, tmp_path: Path) -> None:
    evil = tmp_path / "evil"
    frames = junk_frames(evil)
    async with rig_on_each.system.redis() as client:
        for name in ("pickle", "pickle behind our preamble"):
            await _dead_letters(client, {keys.FRAME_FIELD: frames[name]})
    assert not evil.exists()


async def test_the_worker_lives_and_answers_right_after_all_junk_at_once(rig_on_each: Rig) -> None:
    async with rig_on_each.system.redis() as client:
        pipeline = client.pipeline(transaction=False)
        for data in JUNK.values():
            pipeline.xadd(STREAM, {keys.FRAME_FIELD: data})
        await pipeline.execute()
    assert await rig_on_each.answers_right()
    assert is_running(rig_on_each.system.workers[0])


async def test_callers_whose_requests_lie_between_junk_get_their_own_answers(
    rig_on_each: Rig,
) -> None:
    asks = [Ask(nonce) for nonce in range(2**47 + 1, 2**47 + 29)]
    connections = [await rig_on_each.connect() for _ in asks]
    async with rig_on_each.busy_worker(), rig_on_each.system.redis() as client:
        for connection, ask, data in zip(connections, asks, JUNK.values(), strict=True):
            await client.xadd(STREAM, {keys.FRAME_FIELD: data})
            await connection.send(ask.encode())
        await rig_on_each.wait_in_hand(len(asks) + 1)
    answers = await asyncio.gather(*(connection.receive() for connection in connections))
    for connection in connections:
        connection.abort()
    assert [answer.value for answer in answers] == [answer_of(ask.nonce) for ask in asks]


@pytest.mark.parametrize("data", [b"", b"hello", PREAMBLE + b"\xdf\xff\xff\xff\xff"])
async def test_junk_in_a_gateways_results_is_counted_and_the_gateway_answers_on(
    rig_on_each: Rig, data: bytes
) -> None:
    counted = await rig_on_each.metric("bad_replies")
    await _push_result(rig_on_each, data)
    # The list is read in order: when this is answered, the junk has been read.
    assert await rig_on_each.answers_right()
    assert await rig_on_each.metric("bad_replies") == counted + 1


async def _push_result(rig: Rig, data: bytes) -> None:
    async with rig.system.redis() as client:
        for gateway in await client.zrange(keys.GATEWAYS_KEY, 0, -1):
            await client.rpush(keys.results_key(gateway.decode()), data)


async def _dead_letters(
    client: aioredis.Redis, fields: Mapping[Any, Any]
) -> list[dict[bytes, bytes]]:
    """Add an entry to the stream; return all dead letters there are of it."""
    newest = await client.xrevrange(DEAD, count=1)
    after = newest[0][0] if newest else b"0-0"
    entry_id = await client.xadd(STREAM, fields)
    while True:
        [[_, letters]] = await client.xread({DEAD: after}, block=4_000)
        if any(letter[b"entry"] == entry_id for _, letter in letters):
            break
    return [letter for _, letter in await client.xrange(DEAD) if letter[b"entry"] == entry_id]
