"""A job that this runner holds: the job store as one job's thread needs it, with patience.

Every call may be repeated, so a store that is away is waited for. What the store has forgotten,
because its server came back with less than it had answered, is noticed and ends the run: another
one reads anew what is there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TypeVar

import structlog

from bridge.job_store.claims import Claim, Claims, EndState, Progress
from bridge.job_store.errors import ClaimLost, StoreAway, WrongState
from bridge.job_store.manifest import BLOCK_BYTES, JobFault
from bridge.jobs.errors import Stopped

RETRY_S_FIRST = 0.05
RETRY_S_MAX = 1.0

T = TypeVar("T")
log = structlog.get_logger(__name__)


class ProgressLost(ClaimLost):
    """The store holds less of the job than it has confirmed: it was restarted."""


class HeldJob:
    """One claim; for one thread, except `renew`.

    Every method raises ClaimLost when the job is somebody else's or was cancelled, and Stopped
    when it is to stop while the store is away.
    """

    def __init__(self, claims: Claims, claim: Claim, stopping: threading.Event) -> None:
        self._claims = claims
        self._claim = claim
        self._stopping = stopping

    @property
    def job(self) -> str:
        """The job's id."""
        return self._claim.job

    def renew(self, lease_ms: int) -> None:
        """Hold it for so much longer.

        Raises:
            ClaimLost: it is not held any more.
            StoreAway: the store does not answer.
        """
        self._claims.renew(self._claim, lease_ms)

    def input_blocks(self) -> Iterator[bytes]:
        """Yield the uploaded input."""
        return self._patient_blocks(lambda: self._claims.input_blocks(self.job))

    def progress_records(self) -> Iterator[bytes]:
        """Yield the journal's records."""
        return self._patient_blocks(lambda: self._claims.progress_records(self.job))

    def progress_record(self, number: int) -> bytes:
        """Return the journal's record of this number.

        Raises:
            ProgressLost: it is not there any more.
        """
        found = self._patiently(lambda: self._claims.progress_record(self.job, number))
        if found is None:
            raise ProgressLost(f"record {number} is gone")
        return found

    def append_progress(self, number: int, record: bytes, progress: Progress) -> None:
        """Store the record of this number, and how far the job is.

        Raises:
            StorageFull: the store's cap would be passed.
            ProgressLost: the records before it are not there any more.
        """
        try:
            self._patiently(
                lambda: self._claims.append_progress(self._claim, number, record, progress)
            )
        except WrongState as error:
            raise ProgressLost(str(error)) from error

    def store_output(self, blocks: Iterator[bytes]) -> None:
        """Store the output, in blocks of `BLOCK_BYTES`.

        Raises:
            StorageFull, ProgressLost: as `append_progress`.
        """
        self._store(self._claims.append_output, blocks)

    def store_rejected(self, blocks: Iterator[bytes]) -> None:
        """Store the rejected rows.

        Raises:
            StorageFull, ProgressLost: as `append_progress`.
        """
        self._store(self._claims.append_rejected, blocks)

    def finish(self, state: EndState, *, error: JobFault | None = None, dead_rows: int = 0) -> None:
        """End the job."""
        self._patiently(
            lambda: self._claims.finish(self._claim, state, error=error, dead_rows=dead_rows)
        )

    def release(self) -> None:
        """Let another runner have it; also without a store, which lets the lease end."""
        try:
            self._claims.release(self._claim, forgiven=True)
        except (ClaimLost, StoreAway) as error:
            log.info("job_not_released", job=self.job, reason=str(error))

    def _store(self, append: Callable[[Claim, int, bytes], None], blocks: Iterator[bytes]) -> None:
        try:
            for number, block in enumerate(blocks):
                self._patiently(
                    lambda number=number, block=block: append(  # type: ignore[misc]
                        self._claim, number, block
                    )
                )
        except WrongState as error:
            raise ProgressLost(str(error)) from error

    def _patient_blocks(self, begin: Callable[[], Iterator[bytes]]) -> Iterator[bytes]:
        count = 0
        delay_s = RETRY_S_FIRST
        while True:
            try:
                for block in islice(begin(), count, None):
                    count += 1
                    delay_s = RETRY_S_FIRST
                    yield block
                return
            except StoreAway as error:
                delay_s = self._pause(delay_s, error)

    def _patiently(self, operation: Callable[[], T]) -> T:
        delay_s = RETRY_S_FIRST
        while True:
            try:
                return operation()
            except StoreAway as error:
                delay_s = self._pause(delay_s, error)

    def _pause(self, delay_s: float, error: StoreAway) -> float:
        log.warning("job_waits_for_the_store", job=self.job, reason=str(error))
        if self._stopping.wait(delay_s):
            raise Stopped("stopped while waiting for the job store") from error
        return min(RETRY_S_MAX, delay_s * 2)


def in_blocks(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """Yield what `read` returns, block by block, to its end."""
    while block := read(BLOCK_BYTES):
        yield block
