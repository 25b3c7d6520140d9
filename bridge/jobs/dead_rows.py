"""Rows that killed workers, or on which the model failed: sent again, when somebody asks for it.

A retry of a job reads its input again, sends these rows of it and no others, and puts what comes
of them into the places where they were missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from bridge.jobs.chunks import Chunk, RejectedRow
from bridge.jobs.journal_records import ChunkRecord
from bridge.jobs.pending_chunk import KILLS_WORKERS
from bridge.jobs.scoring import ScoredChunk
from bridge.wire.frame import ResultStatus

# What is rejected for another reason does not fit the contract, and never will.
DEAD_CODES = frozenset({KILLS_WORKERS, *(status.value for status in ResultStatus)})


@dataclass(frozen=True, slots=True)
class DeadRows:
    """The dead rows of one chunk, which begins at `first_row`; by number in the input."""

    first_row: int
    rows: frozenset[int]


def dead_rows(record: ChunkRecord, first_row: int) -> DeadRows | None:
    """Return the dead rows of a chunk, None where there are none."""
    rows = frozenset(item.row for item in record.rejected if item.code in DEAD_CODES)
    return DeadRows(first_row, rows) if rows else None


def dead_chunks(chunks: Iterator[Chunk], dead: Mapping[int, DeadRows]) -> Iterator[Chunk]:
    """Yield, of the chunks with dead rows, these rows only."""
    left = len(dead)
    for chunk in chunks:
        if not left:
            return
        if chunk.number in dead:
            left -= 1
            yield chunk.only(dead[chunk.number].rows)


def filled_up(
    record: ChunkRecord, dead: DeadRows, scored: ScoredChunk, schema: pa.Schema, retry: int
) -> ChunkRecord:
    """Return a chunk's record with what became of its dead rows in their places."""
    kept = [item for item in record.rejected if item.row not in dead.rows]
    missing = {item.row for item in record.rejected}
    before = [row for row in range(dead.first_row, record.end_row) if row not in missing]
    still_dead = {item.row for item in scored.rejected}
    saved = sorted(dead.rows - still_dead)
    batches = [scored.batch]
    if record.scored_rows:
        batches.insert(0, record.table_batch(schema))
    order = np.argsort(np.array([*before, *saved], dtype=np.int64), kind="stable")
    table = pa.Table.from_batches(batches, schema).combine_chunks().take(pa.array(order))
    return ChunkRecord(
        record.number,
        record.end_row,
        table.num_rows,
        _one_batch(table, schema).serialize().to_pybytes(),
        sorted([*kept, *scored.rejected], key=_row),
        retry,
    )


def _one_batch(table: pa.Table, schema: pa.Schema) -> pa.RecordBatch:
    found = table.combine_chunks().to_batches()
    return found[0] if found else pa.RecordBatch.from_pylist([], schema=schema)


def _row(item: RejectedRow) -> int:
    return item.row
