"""The job store: jobs are submitted, looked at, cancelled and fetched here.

Whoever does the work of a job uses `JobStore.claims`. Everything is synchronous and safe to use
from several threads. A job is kept only when `confirm` says so: before that a restart of the
server may lose it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from bridge.job_store import keys
from bridge.job_store.blocks import bytes_of
from bridge.job_store.bounds import StoreBounds
from bridge.job_store.claims import Claims
from bridge.job_store.connection import StoreConnection
from bridge.job_store.durability import Durability, durability_of
from bridge.job_store.errors import TooManyJobs, UnknownJob, WrongState
from bridge.job_store.manifest import (
    MANIFEST_BYTES,
    JobManifest,
    JobState,
    NewJob,
    fields_of,
    manifest_of,
)
from bridge.job_store.upload import KnownJob, Upload, described, storage_full
from bridge.job_store.webhooks import Webhooks

# Ids sort by age: milliseconds since the epoch in so many hex digits, then random bytes.
AGE_DIGITS = 12
RANDOM_BYTES = 16
ID_DIGITS = AGE_DIGITS + 2 * RANDOM_BYTES
PAGE_JOBS_MAX = 500


class JobStore:
    """All jobs of one queue."""

    def __init__(self, url: str, bounds: StoreBounds | None = None) -> None:
        """Nothing is sent yet."""
        self.bounds = bounds if bounds is not None else StoreBounds()
        self._connection = StoreConnection(url)
        self._durability: Durability | None = None
        self.claims = Claims(self._connection, self.bounds)
        self.webhooks = Webhooks(self._connection)

    def check_durable(self) -> None:
        """Ask the server whether it can keep jobs; `confirm` asks by itself where nobody did.

        Raises:
            NotDurable: it cannot; the message names the setting.
            StoreAway: it does not answer.
        """
        self._durability = durability_of(self._connection)

    def begin_upload(self, new: NewJob) -> Upload | KnownJob:
        """Begin a job whose input is to be written, or return the one with its Idempotency-Key.

        `new.idempotency` is what `keys.idempotency_digest` makes of the key. The digest of the
        content covers the description as well: `described` of the same words.

        Raises:
            StorageFull: the cap would be passed.
            TooManyJobs: the tenant has `StoreBounds.open_max` unfinished ones.
            StoreAway: the server does not answer.
        """
        job = self._new_id()
        manifest = JobManifest(
            id=job, state=JobState.UPLOADING, created_ms=0, **msgspec.structs.asdict(new)
        )
        fields = fields_of(manifest)
        answer = self._connection.run(
            "BEGIN",
            job,
            new.tenant,
            new.idempotency,
            self.bounds.stored_bytes_max,
            self.bounds.open_max(new.kind),
            self.bounds.upload_silent_ms,
            max(MANIFEST_BYTES, sum(map(len, fields))),
            new.kind,
            *fields,
        )
        if answer == "full":
            raise storage_full()
        if answer == "many":
            raise TooManyJobs(
                f"{self.bounds.open_max(new.kind)} jobs of this tenant have not ended yet"
            )
        if answer != "ok":
            return KnownJob(self.manifest(answer))
        return Upload(self._connection, self.bounds, job, described(new))

    def submit(self, new: NewJob, body: bytes = b"", input_bytes: int | None = None) -> Upload:
        """Begin a job and give it its whole input; it waits for a runner, not yet confirmed.

        `input_bytes`: the size of an input that is not stored here. For jobs without
        Idempotency-Key.

        Raises:
            As `begin_upload` and `Upload.write`.
        """
        upload = self.begin_upload(new)
        assert isinstance(upload, Upload), "a new job without key"
        upload.write(body)
        upload.finish_input(input_bytes)
        return upload

    def confirm(self, jobs: Sequence[str]) -> list[bool]:
        """Wait until all that was stored before is on the server's disk; say which jobs are there.

        At most about a second with the usual `appendfsync everysec`: ask once for many jobs. A job
        is not there when the server was restarted before it had written it.

        Raises:
            NotDurable: the server cannot say so.
            StoreAway: the server does not answer.
        """
        if self._durability is None:
            self.check_durable()
        assert self._durability is not None
        self._connection.wait_durable(has_waitaof=self._durability.has_waitaof)
        # Asked after waiting: a server that was restarted in between has only what was in its file.
        # Asked before, a job of the server that died would be taken for one of its successor.
        return [state not in (None, JobState.UPLOADING) for state in self._states(jobs)]

    def manifest(self, job: str) -> JobManifest:
        """Return a job's manifest.

        Raises:
            UnknownJob: there is none.
            StoreAway: the server does not answer.
        """
        self._connection.run("SWEEP")
        found = self._manifests([job])
        if not found:
            raise UnknownJob("there is no such job; it may have expired")
        return found[0]

    def manifests(
        self,
        after: str = "",
        limit: int = PAGE_JOBS_MAX,
        *,
        tenant: str | None = None,
        state: JobState | None = None,
    ) -> list[JobManifest]:
        """Return up to `limit` jobs, youngest first, those that are older than the job `after`.

        `tenant` and `state` restrict them. The last one's id is the next page's `after`; there is
        no more where fewer than `limit` come.

        Raises:
            ValueError: `limit` is not between 1 and `PAGE_JOBS_MAX`.
            StoreAway: the server does not answer.
        """
        if not 1 <= limit <= PAGE_JOBS_MAX:
            raise ValueError(f"limit: {limit} is not between 1 and {PAGE_JOBS_MAX}")
        self._connection.run("SWEEP")
        index = keys.ALL_KEY
        if tenant is not None:
            index = keys.tenant_key(tenant)
        elif state is not None:
            index = keys.state_key(state)
        # What is looked through for a state is read in large pages, however few are wanted of it.
        page = limit if tenant is None or state is None else PAGE_JOBS_MAX
        found: list[JobManifest] = []
        while len(found) < limit:
            ids = self._ids(index, after, page)
            for manifest in self._manifests(ids):
                is_asked = state is None or manifest.state == state
                if is_asked and len(found) < limit:
                    found.append(manifest)
            if len(ids) < page:
                break
            after = ids[-1]
        return found

    def counts(self) -> dict[JobState, int]:
        """Return how many jobs are in each state.

        Raises:
            StoreAway: the server does not answer.
        """
        self._connection.run("SWEEP")

        def ask() -> Any:
            pipeline = self._connection.redis.pipeline(transaction=False)
            for state in JobState:
                pipeline.zcard(keys.state_key(state))
            return pipeline.execute()

        return dict(zip(JobState, self._connection.ask(ask), strict=True))

    def stored_bytes(self) -> int:
        """Return how many bytes are stored, with what each job has beside its content.

        Raises:
            StoreAway: the server does not answer.
        """
        return int(self._connection.run("SWEEP"))

    def cancel(self, job: str) -> None:
        """End a job that has not ended: all that is stored of it goes, the manifest stays.

        Its runner is told, and can write nothing more.

        Raises:
            UnknownJob: there is none.
            WrongState: it has ended.
            StoreAway: the server does not answer.
        """
        _checked(self._connection.run("CANCEL", job), "the job has ended already")

    def delete(self, job: str) -> None:
        """Remove a job that has ended, with everything that is stored of it.

        Raises:
            UnknownJob: there is none.
            WrongState: it has not ended.
            StoreAway: the server does not answer.
        """
        _checked(self._connection.run("DELETE", job), "the job has not ended: cancel it first")

    def retry_dead(self, job: str) -> None:
        """Let a finished job wait again, for its rows that killed workers or met a model's error.

        So may one whose last retry has failed.

        Raises:
            UnknownJob: there is none.
            WrongState: it has not ended, or has no such rows.
            StoreAway: the server does not answer.
        """
        _checked(self._connection.run("RETRY_DEAD", job), "the job has no rows to send again")

    def output(self, job: str, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes `start` to `stop` of the output; fewer where there are no more.

        Raises:
            StoreAway: the server does not answer.
        """
        return bytes_of(self._connection, job, "output", start, stop)

    def rejected(self, job: str, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes `start` to `stop` of the rejected rows, one JSON object a line.

        Raises:
            StoreAway: the server does not answer.
        """
        return bytes_of(self._connection, job, "rejected", start, stop)

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def _new_id(self) -> str:
        seconds, microseconds = self._connection.ask(self._connection.redis.time)
        milliseconds = seconds * 1000 + microseconds // 1000
        return f"{milliseconds:0{AGE_DIGITS}x}{secrets.token_hex(RANDOM_BYTES)}"

    def _states(self, jobs: Sequence[str]) -> list[JobState | None]:
        def ask() -> Any:
            pipeline = self._connection.redis.pipeline(transaction=False)
            for job in jobs:
                pipeline.hget(keys.manifest_key(job), "state")
            return pipeline.execute()

        return [
            None if data is None else msgspec.json.decode(data, type=JobState)
            for data in self._connection.ask(ask)
        ]

    def _ids(self, index: str, after: str, limit: int) -> list[str]:
        first = f"({after}" if after else "+"
        found: Any = self._connection.ask(
            lambda: self._connection.redis.zrevrangebylex(index, first, "-", 0, limit)
        )
        return [one.decode() for one in found]

    def _manifests(self, jobs: Sequence[str]) -> list[JobManifest]:
        def ask() -> Any:
            pipeline = self._connection.redis.pipeline(transaction=False)
            for job in jobs:
                pipeline.hgetall(keys.manifest_key(job))
            return pipeline.execute()

        return [manifest_of(fields) for fields in self._connection.ask(ask) if fields]


def _checked(answer: str, reason: str) -> None:
    if answer == "gone":
        raise UnknownJob("there is no such job; it may have expired")
    if answer == "wrong":
        raise WrongState(reason)
