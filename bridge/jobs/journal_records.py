"""What a journal is made of, on a disk or in the job store: whose it is, then chunk by chunk."""

from __future__ import annotations

from typing import Protocol

import msgspec
import pyarrow as pa

from bridge.jobs.chunks import RejectedRow
from bridge.jobs.errors import OtherJob
from bridge.jobs.scoring import ScoredChunk


class JobIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """What must be equal for a job to go on where it was; each is named when it is not."""

    input: str
    input_bytes: int
    input_changed_ns: int
    input_sample: str
    model: str
    model_digest: str
    key: str | None
    columns: dict[str, str]
    chunk_rows: int
    output: str


class ChunkRecord(msgspec.Struct, array_like=True, frozen=True):
    """What became of one chunk: `batch` is an Arrow record batch of `scored_rows`.

    `retry`: 0 for the first time; otherwise the record takes the place of an earlier one of the
    same number, and says in which retry of the job's dead rows it was made.
    """

    number: int
    end_row: int
    scored_rows: int
    batch: bytes
    rejected: list[RejectedRow]
    retry: int = 0

    def table_batch(self, schema: pa.Schema) -> pa.RecordBatch:
        """Return the scored rows."""
        return pa.ipc.read_record_batch(pa.py_buffer(self.batch), schema)


class ResultLog(Protocol):
    """Where results are safe; they are appended in input order."""

    @property
    def end_row(self) -> int:
        """One past the last row of the input that is in it."""

    @property
    def rejected_rows(self) -> int:
        """How many rows have no outputs."""

    def append(self, scored: ScoredChunk) -> None:
        """Write a chunk's record."""

    def sync(self) -> None:
        """Return when everything written is safe."""


_records = msgspec.msgpack.Decoder(ChunkRecord)
_identities = msgspec.json.Decoder(JobIdentity)


def record_of(scored: ScoredChunk, retry: int = 0) -> ChunkRecord:
    """Return the record of a chunk's results."""
    return ChunkRecord(
        scored.number,
        scored.end_row,
        scored.batch.num_rows,
        scored.batch.serialize().to_pybytes(),
        list(scored.rejected),
        retry,
    )


def encode_record(record: ChunkRecord) -> bytes:
    """Return a record's bytes."""
    return msgspec.msgpack.encode(record)


def decode_record(data: bytes) -> ChunkRecord:
    """Return the record.

    Raises:
        msgspec.MsgspecError: it is none.
    """
    return _records.decode(data)


def encode_identity(identity: JobIdentity) -> bytes:
    """Return an identity's bytes."""
    return msgspec.json.encode(identity)


def decode_identity(data: bytes, where: str) -> JobIdentity:
    """Return the identity.

    Raises:
        OtherJob: it is none of this version; `where` is the journal.
    """
    try:
        return _identities.decode(data)
    except msgspec.MsgspecError as error:
        raise OtherJob(f"{where}: was written by another version of Batchbridge") from error


def changed_names(before: JobIdentity, now: JobIdentity) -> list[str]:
    """Return in what two identities differ, in words."""
    return [
        name.replace("_", " ")
        for name in JobIdentity.__struct_fields__
        if getattr(before, name) != getattr(now, name)
    ]
