"""A job's input on its way into the store, block by block."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import msgspec

from bridge.job_store.bounds import StoreBounds
from bridge.job_store.connection import StoreConnection
from bridge.job_store.errors import StorageFull, UploadLost
from bridge.job_store.manifest import BLOCK_BYTES, JobManifest, NewJob, field_value

_FULL = "jobs may store no more now: wait until others have expired, or remove some"


@dataclass(frozen=True, slots=True)
class KnownJob:
    """A job that has the Idempotency-Key already; its upload may not be whole."""

    manifest: JobManifest


class Upload:
    """One upload; for one thread at a time. Whoever leaves it half-way calls `abandon`.

    A process that dies leaves it behind; it expires after `StoreBounds.upload_silent_ms`.
    """

    def __init__(
        self, connection: StoreConnection, bounds: StoreBounds, job: str, described: bytes
    ) -> None:
        """For `JobStore.begin_upload`; `described` is what is digested before the content."""
        self.job = job
        self.input_bytes = 0
        self._connection = connection
        self._bounds = bounds
        self._hash = hashlib.sha256(described)
        self._waiting = bytearray()
        self._blocks = 0

    def write(self, data: bytes | memoryview) -> None:
        """Append to the input, of any length; what is stored are whole blocks.

        Raises:
            StorageFull: the cap would be passed; all of the upload is gone.
            UploadLost: it was silent for too long, or somebody cancelled it.
            StoreAway: the server does not answer; the upload should be abandoned.
        """
        self._hash.update(data)
        self.input_bytes += len(data)
        self._waiting += data
        while len(self._waiting) >= BLOCK_BYTES:
            self._store(bytes(self._waiting[:BLOCK_BYTES]))
            del self._waiting[:BLOCK_BYTES]

    def finish_input(self, input_bytes: int | None = None) -> None:
        """Say that the input is whole: the job waits for a runner now. Not yet on the disk.

        `input_bytes`: the size of an input that is not stored here. May be repeated.

        Raises:
            As `write`.
        """
        if self._waiting:
            self._store(bytes(self._waiting))
            self._waiting.clear()
        size = "" if input_bytes is None else str(input_bytes)
        if self._connection.run("COMMIT", self.job, field_value(self.digest), size) != "ok":
            raise _lost()

    def abandon(self) -> None:
        """Remove everything of it, unless it is whole.

        Raises:
            StoreAway: the server does not answer; it will expire.
        """
        self._connection.run("ABANDON", self.job)

    def withdraw(self) -> None:
        """Remove the job, whole or not, whatever has become of it.

        Raises:
            StoreAway: the server does not answer; a whole one will run.
        """
        for script in ("ABANDON", "CANCEL", "DELETE"):
            self._connection.run(script, self.job)

    @property
    def digest(self) -> str:
        """The SHA-256 of what was described and written so far, in hex."""
        return self._hash.hexdigest()

    def _store(self, block: bytes) -> None:
        bounds = self._bounds
        answer = self._connection.run(
            "WRITE",
            self.job,
            self._blocks,
            bounds.stored_bytes_max,
            bounds.upload_silent_ms,
            block,
        )
        if answer == "full":
            raise StorageFull(_FULL)
        if answer != "ok":
            raise _lost()
        self._blocks += 1


def described(new: NewJob) -> bytes:
    """Return what a job's digest covers beside its content: all that its caller has asked for."""
    return msgspec.json.encode(msgspec.structs.replace(new, kept_ms=0)) + b"\n"


def storage_full() -> StorageFull:
    """Return the refusal of what would pass the cap."""
    return StorageFull(_FULL)


def _lost() -> UploadLost:
    return UploadLost("the upload was cancelled, or was silent for too long")
