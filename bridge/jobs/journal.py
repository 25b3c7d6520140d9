"""What a job has done, beside its output: results as they came, appended and never changed.

`<output>.progress` begins with a line that says what it is and one record that says whose it is;
one record for each chunk follows, in input order. A record is its length and CRC-32, then
MessagePack. The tail that a crash has left half-written does not check and is cut off. A chunk is
removed from the queue only after its record is on the disk.
"""

from __future__ import annotations

import fcntl
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from bridge.jobs.chunks import RejectedRow
from bridge.jobs.errors import BadInput, OtherJob, OutputFailed
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

TITLE = b"batchbridge progress 1\n"
RECORD_BYTES_MAX = 1 << 30
_HEAD = struct.Struct("<II")


class Journal:
    """One job's, locked as long as it is open: two processes never work for one output."""

    def __init__(self, path: Path, identity: JobIdentity, *, restart: bool = False) -> None:
        """Open or begin it.

        Raises:
            OtherJob: it belongs to another job, or another process works on it.
            BadInput: it cannot be written.
        """
        self.path = path
        self.next_chunk = 0
        self.end_row = 0
        self.scored_rows = 0
        self.rejected_rows = 0
        self._end = 0
        self._file = _opened(path)
        try:
            self._begin(identity, restart=restart)
        except BaseException:
            self._file.close()
            raise

    @property
    def was_begun(self) -> bool:
        """Whether it holds results already."""
        return self.next_chunk > 0

    def append(self, scored: ScoredChunk) -> None:
        """Write a chunk's record.

        Raises:
            OutputFailed: the disk is full, say; what was written before stays.
        """
        record = record_of(scored)
        self._write(encode_record(record))
        self._count(record)

    def sync(self) -> None:
        """Return when everything written is on the disk."""
        try:
            os.fdatasync(self._file.fileno())
        except OSError as error:
            raise OutputFailed(f"{self.path}: {error.strerror}") from error

    def batches(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """Yield the scored rows of every record, in order; not while appending."""
        for record in self._records():
            if record.scored_rows:
                yield record.table_batch(schema)

    def rejected(self) -> Iterator[RejectedRow]:
        """Yield the rejected rows of every record, in order; not while appending."""
        for record in self._records():
            yield from record.rejected

    def close(self) -> None:
        """Close and unlock it."""
        self._file.close()

    def remove(self) -> None:
        """Delete it: the output is complete."""
        self.path.unlink(missing_ok=True)
        self.close()

    def _begin(self, identity: JobIdentity, *, restart: bool) -> None:
        _lock(self._file, self.path)
        if restart:
            self._file.truncate(0)
        self._file.seek(0)
        title = self._file.read(len(TITLE))
        if not title or (TITLE.startswith(title) and title != TITLE):
            self._file.truncate(0)
            self._file.seek(0)
            self._file.write(TITLE)
            self._write(encode_identity(identity))
            return
        if title != TITLE:
            raise OtherJob(f"{self.path}: is not a progress file; it would be overwritten")
        kept = _read(self._file)
        if kept is None:  # a crash within the first write
            self._file.seek(len(TITLE))
            self._file.truncate()
            self._write(encode_identity(identity))
            return
        _refuse_other(self.path, kept, identity)
        for record in self._records():
            self._count(record)
        self._file.seek(self._end)
        self._file.truncate()

    def _records(self) -> Iterator[ChunkRecord]:
        """Every whole record; leaves the file at its end."""
        self._file.seek(len(TITLE))
        _read(self._file)
        self._end = self._file.tell()
        while (data := _read(self._file)) is not None:
            self._end = self._file.tell()
            yield decode_record(data)
            self._file.seek(self._end)

    def _write(self, data: bytes) -> None:
        start = self._file.tell()
        try:
            left = memoryview(_HEAD.pack(len(data), zlib.crc32(data)) + data)
            while left:  # a disk that fills up takes a part, and refuses the next one
                left = left[self._file.write(left) :]
        except OSError as error:
            self._cut(start)
            raise OutputFailed(
                f"{self.path}: {error.strerror}; what was done before is kept"
            ) from error

    def _cut(self, end: int) -> None:
        """Drop a record that could not be written; what the next start would do, too."""
        os.ftruncate(self._file.fileno(), end)

    def _count(self, record: ChunkRecord) -> None:
        self.next_chunk = record.number + 1
        self.end_row = record.end_row
        self.scored_rows += record.scored_rows
        self.rejected_rows += len(record.rejected)


def _opened(path: Path) -> BinaryIO:
    try:
        # Unbuffered: a record that does not fit on the disk fails where it is written.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        return os.fdopen(descriptor, "r+b", buffering=0)
    except OSError as error:
        raise BadInput(f"{path}: cannot be written: {error.strerror}") from error


def _lock(file: BinaryIO, path: Path) -> None:
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise OtherJob(f"{path}: another process is working on this output") from error


def _read(file: BinaryIO) -> bytes | None:
    """The next record; None at the end, or where it was not written whole."""
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    size, crc = _HEAD.unpack(head)
    if size > RECORD_BYTES_MAX:
        return None
    data = file.read(size)
    return data if len(data) == size and zlib.crc32(data) == crc else None


def _refuse_other(path: Path, kept: bytes, identity: JobIdentity) -> None:
    changed = changed_names(decode_identity(kept, str(path)), identity)
    if changed:
        raise OtherJob(
            f"{path}: holds the progress of a job with another {', '.join(changed)}; go on with "
            "that one, or begin anew with --restart"
        )
