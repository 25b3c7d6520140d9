"""The writer against a real server: results first, then acknowledgements, and none without them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import redis
import redis.asyncio as aioredis

from bridge.embedded_queue import EmbeddedQueue
from bridge.wire import keys
from tests.conftest import FindServer
from workers.connection import Connector
from workers.writer import DeadFrame, Finished, Later, Writer

pytestmark = pytest.mark.asyncio(loop_scope="module")

MODEL = "m@1"
STREAM = keys.online_key(MODEL)
RESULT = b"a result frame"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def queue(find_server: FindServer) -> AsyncIterator[EmbeddedQueue]:
    async with EmbeddedQueue.start(find_server=find_server) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def client(queue: EmbeddedQueue) -> AsyncIterator[aioredis.Redis]:
    """A client of a server that holds nothing but the group of an empty stream."""
    async with aioredis.Redis.from_url(queue.url) as client:
        await client.config_set("maxmemory", 0)
        await client.flushall()
        await client.xgroup_create(STREAM, keys.GROUP, id="0", mkstream=True)
        yield client


async def take_frame(client: aioredis.Redis) -> bytes:
    """Put a frame into the stream and take it as a worker does; return its id."""
    entry_id: bytes = await client.xadd(STREAM, {keys.FRAME_FIELD: b"frame"})
    await client.xreadgroup(keys.GROUP, "worker", {STREAM: ">"})
    return entry_id


async def write(queue: EmbeddedQueue, *handed_over: Finished | Later) -> None:
    """Hand over and return when the writer has sent it all."""
    writer = Writer(Connector(queue.url, "writer"))
    for finished in handed_over:
        writer.put(finished)
    writer.close()
    await asyncio.to_thread(writer.run)


async def pending(client: aioredis.Redis) -> int:
    summary = await client.xpending(STREAM, keys.GROUP)
    return int(summary["pending"])


async def test_a_result_reaches_its_gateway_and_its_frame_is_acknowledged_and_gone(
    queue: EmbeddedQueue, client: aioredis.Redis
) -> None:
    entry_id = await take_frame(client)
    await write(queue, Finished([("gw", RESULT)], [(STREAM, entry_id)]))
    assert await client.lrange(keys.results_key("gw"), 0, -1) == [RESULT]
    assert await pending(client) == 0
    assert await client.xlen(STREAM) == 0


async def test_results_reach_their_gateways_in_order(
    queue: EmbeddedQueue, client: aioredis.Redis
) -> None:
    await write(
        queue,
        *(Finished([("one", b"%d" % number), ("two", b"x")], []) for number in range(5)),
    )
    assert await client.lrange(keys.results_key("one"), 0, -1) == [b"0", b"1", b"2", b"3", b"4"]
    assert await client.llen(keys.results_key("two")) == 5


async def test_results_that_nobody_fetches_are_gone_after_a_while(
    queue: EmbeddedQueue, client: aioredis.Redis
) -> None:
    await write(queue, Finished([("gw", RESULT)], []))
    assert 0 < await client.pttl(keys.results_key("gw")) <= 60_000


async def test_a_refused_result_leaves_its_frame_to_be_run_again(
    queue: EmbeddedQueue, client: aioredis.Redis
) -> None:
    entry_id = await take_frame(client)
    # At its limit the server refuses RPUSH and would still perform XACK and XDEL.
    await client.config_set("maxmemory", 1)
    await write(queue, Finished([("gw", RESULT)], [(STREAM, entry_id)]))
    await client.config_set("maxmemory", 0)
    assert await client.llen(keys.results_key("gw")) == 0
    assert await pending(client) == 1
    assert await client.xlen(STREAM) == 1


async def test_a_result_that_cannot_be_stored_holds_up_no_other(
    queue: EmbeddedQueue, client: aioredis.Redis
) -> None:
    kept, done = await take_frame(client), await take_frame(client)
    # A key of another type: only this gateway's results are refused.
    await client.set(keys.results_key("broken"), b"not a list")
    await write(
        queue,
        Finished([("broken", RESULT)], [(STREAM, kept)]),
        Finished([("gw", RESULT)], [(STREAM, done)]),
    )
    assert await client.lrange(keys.results_key("gw"), 0, -1) == [RESULT]
    held = await client.xpending_range(STREAM, keys.GROUP, "-", "+", 10)
    assert [entry["message_id"] for entry in held] == [kept]


async def test_a_dead_letter_keeps_the_bytes_and_says_why_and_then_the_frame_is_gone(
    queue: EmbeddedQueue, client: aioredis.Redis
) -> None:
    entry_id = await take_frame(client)
    dead = DeadFrame(MODEL, entry_id, b"junk", "not a request frame")
    await write(queue, Finished([], [(STREAM, entry_id)], dead))
    ((_, fields),) = await client.xrange(keys.dead_key(MODEL))
    assert fields[keys.FRAME_FIELD] == b"junk"
    assert fields[keys.REASON_FIELD] == b"not a request frame"
    assert fields[b"entry"] == entry_id
    assert await pending(client) == 0


async def test_a_dead_letter_that_is_refused_leaves_its_frame(
    queue: EmbeddedQueue, client: aioredis.Redis
) -> None:
    entry_id = await take_frame(client)
    await client.config_set("maxmemory", 1)
    dead = DeadFrame(MODEL, entry_id, b"junk", "not a request frame")
    await write(queue, Finished([], [(STREAM, entry_id)], dead))
    await client.config_set("maxmemory", 0)
    assert await pending(client) == 1


async def test_what_was_answered_without_a_run_is_acknowledged(
    queue: EmbeddedQueue, client: aioredis.Redis
) -> None:
    entry_id = await take_frame(client)
    await write(queue, Finished([], [(STREAM, entry_id)]))
    assert await pending(client) == 0


async def test_what_is_made_later_is_made_by_the_writer_and_sent_like_the_rest(
    queue: EmbeddedQueue, client: aioredis.Redis
) -> None:
    entry_id = await take_frame(client)
    await write(queue, lambda: Finished([("gw", RESULT)], [(STREAM, entry_id)]))
    assert await client.lrange(keys.results_key("gw"), 0, -1) == [RESULT]
    assert await pending(client) == 0


async def test_what_is_to_be_done_afterwards_is_done_when_it_was_sent(
    queue: EmbeddedQueue, client: aioredis.Redis
) -> None:
    seen: list[int] = []
    with redis.Redis.from_url(queue.url) as other:
        results = keys.results_key("gw")
        finished = Finished(
            [("gw", RESULT)], [], afterwards=lambda: seen.append(other.llen(results))
        )
        await write(queue, finished)
    assert seen == [1]


async def test_a_writer_that_is_given_up_ends_although_nobody_answers(queue: EmbeddedQueue) -> None:
    nowhere = queue.url + ".none"
    writer = Writer(Connector(nowhere, "writer"))
    writer.put(Finished([("gw", RESULT)], []))
    writer.close()
    running = asyncio.create_task(asyncio.to_thread(writer.run))
    writer.give_up()
    async with asyncio.timeout(10):
        await running
