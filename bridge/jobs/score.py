"""Score a table from Python: an iterator over what became of its rows, in their order."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import threading
from collections.abc import AsyncIterator, Generator, Iterable, Iterator, Mapping
from typing import TypeAlias

import pyarrow as pa

from bridge.jobs.chunk_queue import ChunkQueue, find_contract
from bridge.jobs.chunks import CHUNK_ROWS, Chunking
from bridge.jobs.errors import Stopped
from bridge.jobs.outputs import OutputTable
from bridge.jobs.scoring import ScoredChunk, Scoring, Window
from bridge.jobs.tables import MemoryTable

JOB_ID_BYTES = 16

Batches: TypeAlias = "pa.Table | pa.RecordBatchReader | Iterable[pa.RecordBatch]"


def score(
    batches: Batches,
    model: str,
    *,
    redis_url: str,
    key: str | None = None,
    columns: Mapping[str, str] | None = None,
    chunk_rows: int = CHUNK_ROWS,
    window: Window | None = None,
    stopping: threading.Event | None = None,
) -> Generator[ScoredChunk]:
    """Score the rows of a table, or of an iterator of record batches, on the running workers.

    `model` is `model` or `model@version`; `key` the column that stands beside the outputs, the
    row's number without one; `columns` the table's names for the model's inputs and columns.
    Yields chunks in input order: `batch` with the key and the outputs of the rows that were
    scored, `rejected` with the others. At most a window of chunks is read ahead of the caller.
    When the iterator is closed, or `stopping` is set, what is under way is withdrawn.

    Raises:
        BadInput: the table does not fit the model.
        JobError: queue or workers are away for too long; see `bridge.jobs.errors`.
    """
    stopping = stopping or threading.Event()
    contract = find_contract(redis_url, model)
    schema, given = _opened(batches)
    table = MemoryTable(given, schema)
    chunking = Chunking(table, contract, key=key, columns=columns or {}, chunk_rows=chunk_rows)
    outputs = OutputTable(contract.outputs, key, chunking.key_type, contract.decision)
    queue = ChunkQueue(redis_url, contract.key, secrets.token_hex(JOB_ID_BYTES), stopping)
    try:
        scoring = Scoring(queue, contract, outputs, chunking.chunks(), stopping, window)
        for scored in scoring.results():
            queue.remove(scored.parts)
            yield scored
    finally:
        with contextlib.suppress(Stopped):
            queue.end()
        queue.close()


async def score_async(
    batches: Batches,
    model: str,
    *,
    redis_url: str,
    key: str | None = None,
    columns: Mapping[str, str] | None = None,
    chunk_rows: int = CHUNK_ROWS,
    window: Window | None = None,
) -> AsyncIterator[ScoredChunk]:
    """Score as `score` does, from an event loop; the work is done in a thread of its own.

    Raises:
        JobError: as `score`.
    """
    stopping = threading.Event()
    found = score(
        batches,
        model,
        redis_url=redis_url,
        key=key,
        columns=columns,
        chunk_rows=chunk_rows,
        window=window,
        stopping=stopping,
    )
    step: asyncio.Future[ScoredChunk | None] | None = None
    try:
        while True:
            step = asyncio.ensure_future(asyncio.to_thread(next, found, None))
            scored = await asyncio.shield(step)
            if scored is None:
                return
            yield scored
    finally:
        stopping.set()
        if step is not None:
            await asyncio.wait({step})  # a generator that runs cannot be closed
        await asyncio.to_thread(found.close)


def _opened(batches: Batches) -> tuple[pa.Schema, Iterable[pa.RecordBatch]]:
    if isinstance(batches, pa.Table):
        return batches.schema, batches.to_batches()
    if isinstance(batches, pa.RecordBatchReader):
        return batches.schema, batches
    given = iter(batches)
    first = next(given, None)
    if first is None:
        return pa.schema([]), ()
    return first.schema, _chained(first, given)


def _chained(first: pa.RecordBatch, rest: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield first
    yield from rest
