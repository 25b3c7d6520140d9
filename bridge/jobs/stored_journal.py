"""What a job over HTTP has done, in the job store: its identity, then a record for each chunk.

A retry of dead rows appends records that take the place of earlier ones of the same number.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pyarrow as pa

from bridge.job_store.claims import Progress
from bridge.jobs.chunks import RejectedRow
from bridge.jobs.dead_rows import DeadRows, dead_rows, filled_up
from bridge.jobs.errors import OtherJob
from bridge.jobs.held_job import HeldJob, ProgressLost
from bridge.jobs.journal_records import (
    ChunkRecord,
    JobIdentity,
    changed_names,
    decode_identity,
    decode_record,
    encode_identity,
    encode_record,
    record_of,
)
from bridge.jobs.scoring import ScoredChunk

WHERE = "the job's progress"


class StoredJournal:
    """One job's; for the thread that holds the job."""

    def __init__(self, held: HeldJob, share_before: Callable[[int], float], retry: int) -> None:
        """Read what is there.

        `share_before`: which share of the input is before a row; `retry`: how often dead rows were
        asked for again.

        Raises:
            OtherJob: another version of Batchbridge began it.
        """
        self._held = held
        self._share_before = share_before
        self._retry = retry
        self._count = 0
        # Where the valid record of a chunk is, if a retry has made another.
        self._replaced: dict[int, int] = {}
        self._dead: dict[int, DeadRows] = {}
        self._retried: set[int] = set()
        self.identity: JobIdentity | None = None
        self.next_chunk = 0
        self.end_row = 0
        self.scored_rows = 0
        self.rejected_rows = 0
        for data in held.progress_records():
            if self._count == 0:
                self.identity = decode_identity(data, WHERE)
            else:
                record = decode_record(data)
                self._add(record, self._earlier(record))
            self._count += 1
        self._began_at, self._began_s = self.end_row, time.monotonic()

    def begin(self, identity: JobIdentity) -> None:
        """Say whose it is, or see that it is the same.

        Raises:
            OtherJob: it is not.
        """
        if self.identity is None:
            self._append(encode_identity(identity))
            self.identity = identity
        elif changed := changed_names(self.identity, identity):
            raise OtherJob(f"{', '.join(changed)} changed since the job began")

    @property
    def dead(self) -> int:
        """How many rows a retry may save."""
        return sum(len(found.rows) for found in self._dead.values())

    @property
    def left_dead(self) -> dict[int, DeadRows]:
        """The dead rows that this retry has not yet come to, by their chunk's number."""
        return {
            number: found for number, found in self._dead.items() if number not in self._retried
        }

    def append(self, scored: ScoredChunk) -> None:
        """Store a chunk's record; it is safe when this returns.

        Raises:
            StorageFull, ClaimLost: it was not stored.
        """
        record = record_of(scored)
        self._add(record)
        self._append(encode_record(record))

    def fill_up(self, scored: ScoredChunk, schema: pa.Schema) -> None:
        """Store what became of a chunk's dead rows.

        Raises:
            StorageFull, ClaimLost: it was not stored.
        """
        place = self._replaced.get(scored.number, scored.number + 1)
        before = decode_record(self._held.progress_record(place))
        record = filled_up(before, self._dead[scored.number], scored, schema, self._retry)
        self._add(record, before)
        self._append(encode_record(record))

    def sync(self) -> None:
        """Do nothing: the store has what was appended."""

    def batches(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """Yield the scored rows of every record, in order."""
        for record in self._records():
            if record.scored_rows:
                yield record.table_batch(schema)

    def rejected(self) -> Iterator[RejectedRow]:
        """Yield the rejected rows of every record, in order."""
        for record in self._records():
            yield from record.rejected

    def _records(self) -> Iterator[ChunkRecord]:
        """Every chunk's valid record, in order."""
        count = 0
        for data in self._held.progress_records():
            if 0 < count <= self.next_chunk:
                place = self._replaced.get(count - 1, count)
                yield decode_record(data if place == count else self._held.progress_record(place))
            count += 1
        if count != self._count:
            raise ProgressLost(f"{WHERE}: {self._count} records were there, now {count}")

    def _earlier(self, record: ChunkRecord) -> ChunkRecord | None:
        """The record of the same chunk that this one replaces."""
        if record.number >= self.next_chunk:
            return None
        place = self._replaced.get(record.number, record.number + 1)
        return decode_record(self._held.progress_record(place))

    def _append(self, data: bytes) -> None:
        self._held.append_progress(self._count, data, self._progress())
        self._count += 1

    def _progress(self) -> Progress:
        took_s = max(1e-3, time.monotonic() - self._began_s)
        return Progress(
            rows_done=self.end_row,
            rows_rejected=self.rejected_rows,
            share_done=self._share_before(self.end_row),
            rows_per_s=(self.end_row - self._began_at) / took_s,
        )

    def _add(self, record: ChunkRecord, before: ChunkRecord | None = None) -> None:
        """Take in the next record; `before`: the one of the same chunk that it replaces."""
        first_row = self.end_row
        if before is not None:
            first_row = self._dead.pop(record.number).first_row
            self._replaced[record.number] = self._count
            self.scored_rows -= before.scored_rows
            self.rejected_rows -= len(before.rejected)
            if record.retry == self._retry:
                self._retried.add(record.number)
        else:
            self.next_chunk = record.number + 1
            self.end_row = record.end_row
        self.scored_rows += record.scored_rows
        self.rejected_rows += len(record.rejected)
        found = dead_rows(record, first_row)
        if found is not None:
            self._dead[record.number] = found


class RetryLog:
    """A journal for the chunks of a retry: each is filled up, none is new."""

    def __init__(self, journal: StoredJournal, schema: pa.Schema) -> None:
        """`schema`: of the job's output."""
        self._journal = journal
        self._schema = schema

    @property
    def end_row(self) -> int:
        """One past the last row of the input that is in the journal."""
        return self._journal.end_row

    @property
    def rejected_rows(self) -> int:
        """How many rows have no outputs."""
        return self._journal.rejected_rows

    def append(self, scored: ScoredChunk) -> None:
        """Store what became of a chunk's dead rows."""
        self._journal.fill_up(scored, self._schema)

    def sync(self) -> None:
        """Do nothing: the store has what was appended."""
