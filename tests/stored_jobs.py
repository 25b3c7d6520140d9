"""Jobs in the store, as the HTTP routes put them there, and what became of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bridge.job_store.errors import StoreAway
from bridge.job_store.manifest import JobManifest, NewJob
from bridge.job_store.store import JobStore
from tests.faults.rig import eventually

WHOLE = 1 << 40


def csv_of(values: list[int]) -> bytes:
    """Rows of a key `id` ("a0", "a1", …) and the input x, as CSV."""
    lines = [f"a{n},{value}" for n, value in enumerate(values)]
    return "\n".join(["id,x", *lines, ""]).encode()


class StoredJobs:
    """A test's own way to the store."""

    def __init__(self, store: JobStore) -> None:
        self.store = store

    def submit(self, body: bytes = b"", input_bytes: int | None = None, **what: Any) -> str:
        """Store a job whose input is `body`; return its id."""
        asked = {"model": "marked", "input_format": "csv", "output_format": "ndjson", "key": "id"}
        new = NewJob(**{**asked, **what})
        return self.store.submit(new, body, input_bytes).job

    def manifest(self, job: str) -> JobManifest:
        return self.store.manifest(job)

    async def ended(self, job: str, within_s: float = 50.0) -> JobManifest:
        """Return the manifest when the job has ended."""

        async def has_ended() -> bool:
            try:
                return (await asyncio.to_thread(self.manifest, job)).state.is_final
            except StoreAway:
                return False

        await eventually(has_ended, within_s)
        return self.manifest(job)

    async def has_come_to(self, job: str, rows: int, within_s: float = 20.0) -> None:
        """Return when so many rows are done."""

        async def has_rows() -> bool:
            return (await asyncio.to_thread(self.manifest, job)).rows_done >= rows

        await eventually(has_rows, within_s)

    def output(self, job: str) -> bytes:
        return b"".join(self.store.output(job, 0, WHOLE))

    def rows(self, job: str) -> list[dict[str, Any]]:
        """The results of a job whose output is NDJSON."""
        return [json.loads(line) for line in self.output(job).splitlines()]

    def rejected(self, job: str) -> list[dict[str, Any]]:
        found = b"".join(self.store.rejected(job, 0, WHOLE))
        return [json.loads(line) for line in found.splitlines()]


@contextmanager
def stored_jobs(url: str) -> Iterator[StoredJobs]:
    """The store at this queue; closed with the block."""
    store = JobStore(url)
    try:
        yield StoredJobs(store)
    finally:
        store.close()
