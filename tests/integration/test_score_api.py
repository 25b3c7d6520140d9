"""Scoring from Python: in order, no further ahead than the window, and nothing left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import pytest_asyncio

from bridge.jobs.errors import BadInput, QueueAway
from bridge.jobs.score import score, score_async
from bridge.jobs.scoring import ScoredChunk, Window
from bridge.wire import keys
from tests.conftest import FindServer
from tests.faults.rig import eventually
from tests.score_files import RAISES, write_marked_model
from tests.system import System, running_system

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHUNK_ROWS = 100
FIRST = 1_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(
    find_server: FindServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    models: Path = tmp_path_factory.mktemp("models")
    write_marked_model(models)
    async with running_system(models, find_server=find_server, gateways=0) as running:
        yield running


def batches(count: int, drawn: list[int] | None = None) -> Iterator[pa.RecordBatch]:
    """Batches of `CHUNK_ROWS` rows; `drawn` is told of each."""
    for number in range(count):
        if drawn is not None:
            drawn.append(number)
        start = FIRST + number * CHUNK_ROWS
        yield pa.RecordBatch.from_pydict({"x": list(range(start, start + CHUNK_ROWS))})


def values(chunks: list[ScoredChunk]) -> list[int]:
    return [value for chunk in chunks for value in chunk.batch.column("y").to_pylist()]


def expected(rows: int) -> list[int]:
    return [2 * (FIRST + row) + 1 for row in range(rows)]


async def job_keys(system: System) -> list[bytes]:
    async with system.redis() as client:
        return [key async for key in client.scan_iter("bb:*") if b":job:" in key]


async def test_batches_are_scored_in_their_order(served: System) -> None:
    found = await asyncio.to_thread(
        lambda: list(
            score(batches(50), "marked", redis_url=served.queue_url, chunk_rows=CHUNK_ROWS)
        )
    )
    assert values(found) == expected(5_000)
    assert [chunk.end_row for chunk in found] == list(range(100, 5_001, 100))
    assert await job_keys(served) == []


async def test_a_table_is_scored_and_its_key_stands_beside_the_outputs(served: System) -> None:
    table = pa.table({"who": ["a", "b"], "x": [1, RAISES]})
    (chunk,) = await asyncio.to_thread(
        lambda: list(score(table, "marked@1", redis_url=served.queue_url, key="who"))
    )
    assert chunk.batch.to_pylist() == [{"who": "a", "y": 3}]
    assert [(row.row, row.key, row.code) for row in chunk.rejected] == [(1, "b", "rows_failed")]


async def test_no_more_is_read_than_the_window_holds(served: System) -> None:
    drawn: list[int] = []

    def first() -> Any:
        found = score(
            batches(50, drawn),
            "marked",
            redis_url=served.queue_url,
            chunk_rows=CHUNK_ROWS,
            window=Window(chunks=4),
        )
        next(found)
        seen = len(drawn)
        found.close()
        return seen

    # The one that was taken, the window, and the batch that says where a chunk ends.
    assert await asyncio.to_thread(first) <= 1 + 4 + 1


async def test_closing_the_iterator_withdraws_what_is_under_way(served: System) -> None:
    def some() -> None:
        found = score(batches(50), "marked", redis_url=served.queue_url, chunk_rows=CHUNK_ROWS)
        next(found)
        found.close()

    await asyncio.to_thread(some)

    async def is_left_nothing() -> bool:
        async with served.redis() as client:
            stream = keys.batch_key("marked@1")
            pending = (await client.xpending(stream, keys.GROUP))["pending"]
            return not pending and not await client.xlen(stream)

    await eventually(is_left_nothing, within_s=10)
    assert await job_keys(served) == []


async def test_an_event_loop_gets_the_same_chunks(served: System) -> None:
    found = [
        chunk
        async for chunk in score_async(
            batches(20), "marked", redis_url=served.queue_url, chunk_rows=CHUNK_ROWS
        )
    ]
    assert values(found) == expected(2_000)


async def test_an_event_loop_that_takes_no_more_leaves_nothing(served: System) -> None:
    found = score_async(batches(50), "marked", redis_url=served.queue_url, chunk_rows=CHUNK_ROWS)
    await anext(found)
    await found.aclose()  # type: ignore[attr-defined]
    assert await job_keys(served) == []


async def test_what_cannot_be_scored_is_refused_before_anything_is_sent(served: System) -> None:
    with pytest.raises(BadInput, match="no column x"):
        next(score(pa.table({"z": [1]}), "marked", redis_url=served.queue_url))
    with pytest.raises(QueueAway, match="no worker serves other"):
        next(score(pa.table({"x": [1]}), "other", redis_url=served.queue_url))
