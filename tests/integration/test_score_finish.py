"""A chunk's end against a real server: its result is set once, by who holds it, with its XACK."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
import redis

from bridge.embedded_queue import EmbeddedQueue
from bridge.jobs.chunk_queue import HAS_RESULT, SENT, SENT_AGAIN, UNDER_WAY, ChunkQueue
from bridge.wire import keys
from bridge.wire.chunk import (
    ChunkAddress,
    ChunkResult,
    decode_chunk_result,
    encode_chunk_result,
    job_done_key,
    job_key,
    job_results_key,
)
from tests.conftest import FindServer
from workers.chunk_finish import FinishedChunk, finish_chunks, returned_chunk

pytestmark = pytest.mark.asyncio(loop_scope="module")

MODEL = "m@1"
STREAM = keys.batch_key(MODEL)
WHOLE = ChunkAddress("ab12", 7, 0, 2, 2)
FRAME = b"a frame"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def queue(find_server: FindServer) -> AsyncIterator[EmbeddedQueue]:
    async with EmbeddedQueue.start(find_server=find_server) as running:
        yield running


@pytest.fixture
def client(queue: EmbeddedQueue) -> Iterator[redis.Redis]:
    """A client of a server that holds nothing but the group of an empty batch lane."""
    with redis.Redis.from_url(queue.url) as client:
        client.config_set("maxmemory", 0)
        client.flushall()
        client.xgroup_create(STREAM, keys.GROUP, id="0", mkstream=True)
        yield client


@pytest.fixture
def job(queue: EmbeddedQueue, client: redis.Redis) -> Iterator[ChunkQueue]:
    chunks = ChunkQueue(queue.url, MODEL, WHOLE.job)
    yield chunks
    chunks.close()


def take(client: redis.Redis, worker: str = "one") -> bytes:
    """Take the next entry as a worker does; return its id."""
    reply: Any = client.xreadgroup(keys.GROUP, worker, {STREAM: ">"}, count=1)
    ((entry_id, _),) = dict(reply)[STREAM.encode()]
    return bytes(entry_id)


def finished(worker: str, entry_id: bytes, address: ChunkAddress = WHOLE) -> FinishedChunk:
    result = ChunkResult(worker, address.rows, [], [])
    return FinishedChunk(MODEL, worker, entry_id, address, encode_chunk_result(result))


def stored(client: redis.Redis, address: ChunkAddress = WHOLE) -> str | None:
    """Which worker's result the part has."""
    data: Any = client.hget(job_results_key(MODEL, address.job), address.part)
    return None if data is None else decode_chunk_result(data).worker


def left(client: redis.Redis) -> tuple[int, int]:
    """Entries in the stream, and those that somebody holds."""
    pending: Any = client.xpending(STREAM, keys.GROUP)
    return int(client.xlen(STREAM)), int(pending["pending"])


async def test_a_result_is_set_and_told_and_the_entry_is_gone_in_one_step(
    client: redis.Redis, job: ChunkQueue
) -> None:
    assert job.push(WHOLE, FRAME) == SENT
    assert finish_chunks(client, [finished("one", take(client))]) == [1]
    assert (stored(client), left(client), job.done_parts()) == ("one", (0, 0), [WHOLE.part])


async def test_the_late_result_of_a_worker_whose_chunk_was_claimed_is_refused(
    client: redis.Redis, job: ChunkQueue
) -> None:
    job.push(WHOLE, FRAME)
    entry_id = take(client, "one")
    client.xclaim(STREAM, keys.GROUP, "two", 0, [entry_id])
    assert finish_chunks(client, [finished("one", entry_id)]) == [0]
    assert (stored(client), left(client)) == (None, (1, 1))
    assert finish_chunks(client, [finished("two", entry_id)]) == [1]
    assert finish_chunks(client, [finished("one", entry_id)]) == [0]
    assert stored(client) == "two"


async def test_a_result_that_is_sent_twice_is_set_once(
    client: redis.Redis, job: ChunkQueue
) -> None:
    job.push(WHOLE, FRAME)
    entry_id = take(client)
    replies = finish_chunks(client, [finished("one", entry_id), finished("one", entry_id)])
    assert (replies, client.llen(job_done_key(MODEL, WHOLE.job))) == ([1, 0], 1)


async def test_an_entry_that_is_not_the_one_the_job_waits_for_is_dropped(
    client: redis.Redis, job: ChunkQueue
) -> None:
    job.push(WHOLE, FRAME)
    first = take(client, "one")
    client.hdel(job_key(MODEL, WHOLE.job), WHOLE.part)  # a server that has forgotten a second
    assert job.push(WHOLE, FRAME) == SENT
    second = take(client, "two")
    assert finish_chunks(client, [finished("one", first)]) == [2]
    assert (stored(client), left(client)) == (None, (1, 1))
    assert finish_chunks(client, [finished("two", second)]) == [1]
    assert stored(client) == "two"


async def test_the_result_for_a_job_that_has_ended_leaves_nothing(
    client: redis.Redis, job: ChunkQueue
) -> None:
    job.push(WHOLE, FRAME)
    entry_id = take(client)
    job.end()
    assert finish_chunks(client, [finished("one", entry_id)]) in ([0], [2])
    client.xack(STREAM, keys.GROUP, entry_id)
    assert [key for key in client.scan_iter("bb:*") if b"job" in key] == []


async def test_a_nudge_that_comes_after_the_end_leaves_nothing(
    client: redis.Redis, job: ChunkQueue
) -> None:
    job.nudge()
    before = client.keys("*job*")
    job.end()
    job.nudge()
    assert (len(before), client.keys("*job*")) == (1, [])


async def test_a_full_server_refuses_result_and_acknowledgement_together(
    client: redis.Redis, job: ChunkQueue
) -> None:
    job.push(WHOLE, FRAME)
    entry_id = take(client)
    client.config_set("maxmemory", 1)
    (reply,) = finish_chunks(client, [finished("one", entry_id)])
    client.config_set("maxmemory", 0)
    assert isinstance(reply, redis.ResponseError)
    assert (stored(client), left(client)) == (None, (1, 1))
    assert finish_chunks(client, [finished("one", entry_id)]) == [1]


async def test_a_server_that_has_forgotten_the_script_is_told_it_again(
    client: redis.Redis, job: ChunkQueue
) -> None:
    job.push(WHOLE, FRAME)
    entry_id = take(client)
    client.script_flush()
    assert finish_chunks(client, [finished("one", entry_id)]) == [1]


async def test_a_part_is_sent_once_however_often_it_is_pushed(
    client: redis.Redis, job: ChunkQueue
) -> None:
    assert [job.push(WHOLE, FRAME) for _ in range(3)] == [SENT, UNDER_WAY, UNDER_WAY]
    finish_chunks(client, [finished("one", take(client))])
    assert (job.push(WHOLE, FRAME), left(client)) == (HAS_RESULT, (0, 0))


async def test_a_part_whose_entry_has_vanished_is_sent_again(
    client: redis.Redis, job: ChunkQueue
) -> None:
    job.push(WHOLE, FRAME)
    entry_id = take(client)
    client.xack(STREAM, keys.GROUP, entry_id)
    client.xdel(STREAM, entry_id)
    assert (job.push(WHOLE, FRAME), client.xlen(STREAM)) == (SENT_AGAIN, 1)


async def test_rows_that_come_back_are_a_dead_letter_only_when_one_is_alone(
    client: redis.Redis, job: ChunkQueue
) -> None:
    alone = ChunkAddress(WHOLE.job, 7, 1, 2, 2)
    for address in (WHOLE, alone):
        job.push(address, FRAME)
        chunk = returned_chunk(MODEL, "one", take(client), address, FRAME, "two deaths")
        assert finish_chunks(client, [chunk]) == [1]
    results = job.results([WHOLE.part, alone.part])
    assert [result.returned for result in results.values()] == ["two deaths", "two deaths"]
    letters: Any = client.xrange(keys.dead_key(MODEL))
    assert [letter[keys.FRAME_FIELD] for _, letter in letters] == [FRAME]


async def test_what_a_job_leaves_in_the_queue_expires(client: redis.Redis, job: ChunkQueue) -> None:
    job.push(WHOLE, FRAME)
    finish_chunks(client, [finished("one", take(client))])
    names = [job_key(MODEL, WHOLE.job), job_results_key(MODEL, WHOLE.job)]
    names.append(job_done_key(MODEL, WHOLE.job))
    assert [int(client.pttl(name)) > 0 for name in names] == [True] * 3
