"""Those who do the work of jobs: claims with leases, and writes that only the holder can make.

A claim's token is the number of the attempt and its runner. A runner that was stopped and wakes up
after another has claimed its job is refused by the server itself, in the script that would write.

Every call may be repeated after `StoreAway`: a block or record has a number, and is stored once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from bridge.job_store import keys
from bridge.job_store.blocks import block_of, blocks_of
from bridge.job_store.bounds import LEASE_MS, StoreBounds
from bridge.job_store.connection import StoreConnection
from bridge.job_store.errors import ClaimLost, JobCancelled, UnknownJob, WrongState
from bridge.job_store.manifest import (
    BLOCK_BYTES,
    JobFault,
    JobState,
    Kind,
    StoredResponse,
    field_value,
)
from bridge.job_store.upload import storage_full

CLAIMABLE_MAX = 256
WAIT_S_MAX = 3.0
RUNNER_LIST_MS = 3_600_000

Part = Literal["progress", "output", "rejected"]
EndState = Literal[JobState.FINISHED, JobState.FAILED]


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on a job until somebody else has it."""

    job: str
    runner: str
    token: str


@dataclass(frozen=True, slots=True)
class Wake:
    """Why a wait ended: a job has begun to wait, or one of the runner's own was cancelled."""

    job: str
    is_cancelled: bool


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a job is: fields of its manifest."""

    rows_done: int
    rows_rejected: int
    share_done: float
    rows_per_s: float


class Claims:
    """The store, for runners; safe to use from several threads."""

    def __init__(self, connection: StoreConnection, bounds: StoreBounds) -> None:
        """For `JobStore`."""
        self._connection = connection
        self._bounds = bounds

    def claimable(self, kind: Kind = "file") -> list[str]:
        """Return the ids of jobs that wait, or whose lease has ended; oldest first.

        At most `CLAIMABLE_MAX`.

        Raises:
            StoreAway: the server does not answer.
        """
        redis = self._connection.redis

        def ask() -> Any:
            seconds, microseconds = redis.time()
            now_ms = seconds * 1000 + microseconds // 1000
            return redis.zrangebyscore(keys.leases_key(kind), 0, now_ms, 0, CLAIMABLE_MAX)

        return sorted(job.decode() for job in self._connection.ask(ask))

    def wait(
        self, runner: str, kind: Kind | None = "file", timeout_s: float = WAIT_S_MAX
    ) -> Wake | None:
        """Wait for a job that begins to wait, or for the cancelling of one that `runner` holds.

        None after `timeout_s`, at most `WAIT_S_MAX`: leases may have ended meanwhile. `kind` None:
        for cancelled jobs only. A wake is a hint: what is to be done is what `claimable` says.

        Raises:
            StoreAway: the server does not answer.
        """
        own = keys.runner_key(runner)
        names = [own] if kind is None else [own, keys.wake_key(kind)]
        found: Any = self._connection.ask(
            lambda: self._connection.redis.blpop(names, min(timeout_s, WAIT_S_MAX))
        )
        if found is None:
            return None
        name, job = found
        return Wake(job.decode(), is_cancelled=name.decode() == own)

    def wake(self, runner: str) -> None:
        """Let `wait` of this runner return, at once or when it is called next.

        Raises:
            StoreAway: the server does not answer.
        """
        key = keys.runner_key(runner)
        redis = self._connection.redis

        def tell() -> None:
            pipeline = redis.pipeline(transaction=True)
            pipeline.rpush(key, "")
            pipeline.pexpire(key, RUNNER_LIST_MS)
            pipeline.execute()

        self._connection.ask(tell)

    def claim(self, job: str, runner: str, lease_ms: int = LEASE_MS) -> Claim | None:
        """Take a job that waits or whose lease has ended; None where somebody else was faster.

        What an earlier attempt has stored of output and rejected rows is removed; its progress
        stays. `runner` is a random name, one for each process.

        Raises:
            UnknownJob: there is no such job.
            StoreAway: the server does not answer.
        """
        answer = self._connection.run("CLAIM", job, field_value(runner), lease_ms)
        if answer == "gone":
            raise UnknownJob("there is no such job")
        return None if answer in ("held", "wrong") else Claim(job, runner, answer)

    def renew(self, claim: Claim, lease_ms: int = LEASE_MS) -> None:
        """Hold the job for so much longer from now.

        Raises:
            JobCancelled, ClaimLost: it is not held any more.
            StoreAway: the server does not answer.
        """
        _checked(self._connection.run("RENEW", claim.job, claim.token, lease_ms))

    def release(
        self,
        claim: Claim,
        delay_ms: int = 0,
        *,
        forgiven: bool = False,
        unanswered: bool = False,
    ) -> None:
        """Let the job wait for another runner, which will go on where this one was.

        It is claimable after `delay_ms`. An attempt that was `forgiven` or `unanswered` is counted
        as such as well, see `JobManifest`.

        Raises:
            As `renew`.
        """
        counted = "forgiven" if forgiven else "unanswered" if unanswered else ""
        _checked(self._connection.run("RELEASE", claim.job, claim.token, delay_ms, counted))

    def input_blocks(self, job: str) -> Iterator[bytes]:
        """Yield the uploaded input in order.

        Raises:
            StoreAway: the server does not answer.
        """
        return blocks_of(self._connection, job, "input")

    def progress_records(self, job: str) -> Iterator[bytes]:
        """Yield the journal's records in order.

        Raises:
            StoreAway: the server does not answer.
        """
        return blocks_of(self._connection, job, "progress")

    def progress_record(self, job: str, number: int) -> bytes | None:
        """Return the journal's record of this number, None where there is none.

        Raises:
            StoreAway: the server does not answer.
        """
        return block_of(self._connection, job, "progress", number)

    def append_progress(self, claim: Claim, number: int, record: bytes, progress: Progress) -> None:
        """Store the journal's record of this number, counted from 0, and what the manifest says.

        Raises:
            JobCancelled, ClaimLost: the job is not held any more; nothing was stored.
            StorageFull: the cap would be passed; nothing was stored.
            WrongState: the record before it is missing.
            StoreAway: the server does not answer; ask again.
        """
        self._append(claim, "progress", number, record, progress)

    def append_output(self, claim: Claim, number: int, block: bytes) -> None:
        """Store a block of the output; all but the last are `BLOCK_BYTES` long.

        Raises:
            As `append_progress`.
        """
        assert len(block) <= BLOCK_BYTES
        self._append(claim, "output", number, block)

    def append_rejected(self, claim: Claim, number: int, block: bytes) -> None:
        """Store a block of the rejected rows; all but the last are `BLOCK_BYTES` long.

        Raises:
            As `append_progress`.
        """
        assert len(block) <= BLOCK_BYTES
        self._append(claim, "rejected", number, block)

    def set_progress(self, claim: Claim, progress: Progress) -> None:
        """Say how far the job is, without a record.

        Raises:
            As `renew`.
        """
        _checked(self._connection.run("UPDATE", claim.job, claim.token, *_fields(progress)))

    def finish(
        self,
        claim: Claim,
        state: EndState,
        *,
        error: JobFault | None = None,
        response: StoredResponse | None = None,
        dead_rows: int = 0,
    ) -> None:
        """End the job: input and progress go, the rest is kept for `JobManifest.kept_ms`.

        With `dead_rows` above 0, rows that a retry may save, input and progress are kept as well.
        What a failed job has stored of its output stays. Not confirmed on the disk: a job whose
        end is lost runs again from its progress.

        Raises:
            As `renew`.
        """
        fields: list[bytes | str] = [
            "error",
            field_value(error),
            "response",
            field_value(response),
            "dead_rows",
            field_value(dead_rows),
            "share_done",
            field_value(1.0),
        ]
        if state != JobState.FINISHED:
            del fields[-2:]
        _checked(
            self._connection.run(
                "FINISH", claim.job, claim.token, state, int(dead_rows > 0), *fields
            )
        )

    def _append(
        self, claim: Claim, part: Part, number: int, data: bytes, progress: Progress | None = None
    ) -> None:
        fields = [] if progress is None else _fields(progress)
        answer = self._connection.run(
            "APPEND",
            claim.job,
            claim.token,
            part,
            number,
            self._bounds.stored_bytes_max,
            data,
            *fields,
        )
        if answer == "full":
            raise storage_full()
        if answer == "gap":
            raise WrongState(f"{part} {number}: what comes before it is not there")
        _checked(answer)


def _fields(progress: Progress) -> list[bytes | str]:
    words: list[bytes | str] = []
    for name in progress.__struct_fields__:
        words += [name, field_value(getattr(progress, name))]
    return words


def _checked(answer: str) -> None:
    if answer == "cancelled":
        raise JobCancelled("the job was cancelled")
    if answer != "ok":
        raise ClaimLost("another runner has the job, or it is gone")
