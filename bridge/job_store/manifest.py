"""A job's manifest: what was asked, and how far it is.

In Redis it is a hash with one field for each field here, each value JSON, so that a script can
change one without the others. Times are milliseconds of the Redis server's clock since its epoch,
0 where it has not happened.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal

import msgspec

# A reservation for what a job occupies beside its content: manifest, index entries.
MANIFEST_BYTES = 4096
BLOCK_BYTES = 1 << 20
KEPT_MS = 24 * 3_600_000


class JobState(StrEnum):
    """Where a job is: uploading → waiting → running → one of the last three, which are final."""

    UPLOADING = "uploading"
    WAITING = "waiting"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether it stays so until the job expires."""
        return self in FINAL_STATES


FINAL_STATES = (JobState.FINISHED, JobState.FAILED, JobState.CANCELLED)

Kind = Literal["file", "request"]
WebhookState = Literal["none", "pending", "delivered", "failed"]


class JobFault(msgspec.Struct, frozen=True):
    """Why a job failed, by code and in words for its owner."""

    code: str
    message: str


class StoredRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The request that a job of kind "request" answers; its body is the job's input."""

    method: str
    path: str
    headers: list[tuple[str, str]] = []


class StoredResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The response to it; its body is the job's output."""

    status: int
    content_type: str
    headers: list[tuple[str, str]] = []


class NewJob(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for; see `JobManifest`, where it says the same."""

    kind: Kind = "file"
    tenant: str = ""
    model: str
    input_format: str = ""
    input_file: str = ""
    output_format: str = ""
    key: str = ""
    columns: dict[str, str] = {}
    max_rejected: int | None = None
    chunk_rows: int = 1024
    webhook: str = ""
    kept_ms: int = KEPT_MS
    idempotency: str = ""
    request: StoredRequest | None = None


class JobManifest(NewJob, frozen=True, kw_only=True):
    """A job as it is now.

    `model`: as it was asked for, `model` or `model@version`. `input_file`: a path relative to the
    operator's folder for jobs, "" for an upload. `key` and `columns` as for `batchbridge score`.
    `max_rejected` None: any number. `kept_ms`: how long the job is kept once it has ended.
    `idempotency`: the digest of tenant and Idempotency-Key, "" without one.

    `*_bytes` say what is stored, except `input_bytes`, which stays when the input has been removed.
    `input_digest`: the SHA-256, in hex, of what was uploaded and how, "" before it is whole.
    `attempts`: how often a runner has claimed it, which is a part of each claim's token;
    `attempts_forgiven`: those that were given back because there was no room for the job;
    `attempts_unanswered`: those that were given back without a result.
    `dead_rows`: rejected rows that a retry may save; `dead_retries`: how often that was asked for.
    """

    id: str
    state: JobState
    created_ms: int
    started_ms: int = 0
    finished_ms: int = 0
    expires_ms: int = 0
    input_bytes: int = 0
    input_digest: str = ""
    progress_bytes: int = 0
    output_bytes: int = 0
    rejected_bytes: int = 0
    rows_done: int = 0
    rows_rejected: int = 0
    dead_rows: int = 0
    dead_retries: int = 0
    share_done: float = 0.0
    rows_per_s: float = 0.0
    error: JobFault | None = None
    attempts: int = 0
    attempts_forgiven: int = 0
    attempts_unanswered: int = 0
    runner: str = ""
    lease_until_ms: int = 0
    webhook_state: WebhookState = "none"
    webhook_attempts: int = 0
    response: StoredResponse | None = None


_decoder = msgspec.json.Decoder(JobManifest)


def fields_of(value: msgspec.Struct) -> list[bytes | str]:
    """Return a struct as names and values in turn, as HSET takes them."""
    words: list[bytes | str] = []
    for name in value.__struct_fields__:
        words += [name, msgspec.json.encode(getattr(value, name))]
    return words


def manifest_of(fields: Mapping[bytes, bytes]) -> JobManifest:
    """Return the manifest that a hash holds.

    Raises:
        msgspec.ValidationError: it holds none.
    """
    members = [b'"' + name + b'":' + value for name, value in fields.items()]
    return _decoder.decode(b"{" + b",".join(members) + b"}")


def field_value(value: Any) -> bytes:
    """Return one value as a field holds it."""
    return msgspec.json.encode(value)
