"""The job store as the routes of a gateway reach it: in threads, with refusals that callers see."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import structlog

from bridge.gateway.jobs.confirmation import Confirmation
from bridge.gateway.jobs.settings import JobSettings
from bridge.gateway.later.store_threads import StoreThreads
from bridge.gateway.problem import RETRY_SOON_S, Problem, ProblemCode, queue_unavailable
from bridge.job_store.errors import (
    JobStoreError,
    NotDurable,
    StorageFull,
    StoreAway,
    TooManyJobs,
    UnknownJob,
    UploadLost,
    WrongState,
)
from bridge.job_store.store import JobStore

log = structlog.get_logger(__name__)

# When to ask again after a refusal that ends when some other job does.
RETRY_LATER_S = 60.0

P = ParamSpec("P")
T = TypeVar("T")


class JobAccess:
    """One gateway's jobs; `run` must run for jobs to be confirmed."""

    def __init__(self, store: JobStore, settings: JobSettings, threads: StoreThreads) -> None:
        self.store = store
        self.settings = settings
        self.threads = threads
        self._left: set[asyncio.Task[None]] = set()
        self._confirmation = Confirmation(store, threads)

    async def run(self) -> None:
        """Confirm jobs until cancelled."""
        await self._confirmation.run()

    def close(self) -> None:
        """Begin no more calls, and close the connections."""
        self.threads.close()
        self.store.close()

    async def ask(self, call: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
        """Return what a call of the store returns.

        Raises:
            Problem: what it raises, as a caller sees it.
        """
        try:
            return await self.threads.ask(call, *args, **options)
        except JobStoreError as error:
            raise problem_of(error) from error

    async def confirm(self, job: str) -> None:
        """Return when a job is on the queue's disk.

        Raises:
            Problem: `queue_unavailable`; it is not, or it cannot be said.
        """
        try:
            is_there = await self._confirmation.confirmed(job)
        except JobStoreError as error:
            raise problem_of(error) from error
        if not is_there:
            raise queue_unavailable()

    def leave(self, call: Callable[[], None]) -> None:
        """Make a call for whose end nobody waits; what it leaves undone expires."""
        task = asyncio.get_running_loop().create_task(self.threads.ask(call), name="job-left")
        self._left.add(task)
        task.add_done_callback(self._left_behind)

    def _left_behind(self, task: asyncio.Task[None]) -> None:
        self._left.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.warning("job_left", reason=str(task.exception()))


def problem_of(error: JobStoreError) -> Problem:
    """Return what a caller is told of a failure of the store."""
    if isinstance(error, StoreAway | NotDurable):
        log.warning("job_store", reason=str(error))
        return queue_unavailable()
    for kind, code, retry_s in _PROBLEMS:
        if isinstance(error, kind):
            return Problem(code, str(error), retry_after_s=retry_s)
    log.error("job_store", reason=str(error))
    return Problem(ProblemCode.INTERNAL, "internal error")


_PROBLEMS: tuple[tuple[type[JobStoreError], ProblemCode, float | None], ...] = (
    (UnknownJob, ProblemCode.UNKNOWN_JOB, None),
    (StorageFull, ProblemCode.STORAGE_FULL, RETRY_LATER_S),
    (TooManyJobs, ProblemCode.TOO_MANY_JOBS, RETRY_SOON_S),
    (UploadLost, ProblemCode.JOB_CANCELLED, None),
    (WrongState, ProblemCode.JOB_STATE, None),
)
