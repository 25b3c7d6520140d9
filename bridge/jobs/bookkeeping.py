"""From results to the log: a chunk leaves the queue when its results are safe."""

from __future__ import annotations

import time
from collections.abc import Callable

from bridge.jobs.chunk_queue import ChunkQueue
from bridge.jobs.errors import JobError, TooManyRejected
from bridge.jobs.journal_records import ResultLog
from bridge.jobs.scoring import WINDOW_CHUNKS, Scoring

SYNC_EVERY_S = 1.0


class Bookkeeping:
    """One run's; for one thread."""

    def __init__(
        self,
        log: ResultLog,
        queue: ChunkQueue,
        *,
        rejected_max: int | None,
        rejected_max_name: str = "--max-rejected",
        rejected_where: str,
        on_progress: Callable[[], None],
    ) -> None:
        """`rejected_where`: where a person finds the rejected rows."""
        self._log = log
        self._queue = queue
        self._rejected_max = rejected_max
        self._rejected_max_name = rejected_max_name
        self._rejected_where = rejected_where
        self._on_progress = on_progress
        self._unsynced: list[str] = []
        self._unsynced_chunks = 0
        self._synced_s = time.monotonic()

    def keep(self, scoring: Scoring) -> None:
        """Write down all results, or those up to an error.

        Raises:
            TooManyRejected: more than `rejected_max`.
            JobError: the scoring's, or the log's.
        """
        try:
            self._refuse_too_many()
            for scored in scoring.results():
                self._log.append(scored)
                self._unsynced += scored.parts
                self._unsynced_chunks += 1
                self._on_progress()
                self._refuse_too_many()
                is_time = time.monotonic() - self._synced_s >= SYNC_EVERY_S
                if is_time or self._unsynced_chunks >= WINDOW_CHUNKS:
                    self._sync()
        except JobError:
            self._log.sync()
            raise
        self._sync()

    def _sync(self) -> None:
        self._log.sync()
        self._queue.remove(self._unsynced)
        self._unsynced, self._unsynced_chunks = [], 0
        self._synced_s = time.monotonic()

    def _refuse_too_many(self) -> None:
        most, rejected = self._rejected_max, self._log.rejected_rows
        if most is not None and rejected > most:
            raise TooManyRejected(
                f"{rejected} rows were rejected, {self._rejected_max_name} is {most}; they are in "
                f"{self._rejected_where}"
            )
