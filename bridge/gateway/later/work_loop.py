"""Does work that the job store has, a bounded number of jobs at once, woken rather than polling."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

import structlog

from bridge.job_store.errors import JobStoreError, StoreAway

log = structlog.get_logger(__name__)

# After the store did not answer.
AWAY_S = 0.5


class Work(Protocol):
    """One kind of work; `wait` and `found` raise `StoreAway` where the store is away.

    `put_off`: what the log calls a job that the store did not let be done.
    """

    put_off: str

    async def wait(self, *, has_room: bool) -> str | None:
        """Return after a bounded time, or when there may be work; a job's id if it is cancelled.

        Without room only cancellations are of interest: what wakes somebody else is left alone.
        """

    async def found(self) -> list[str]:
        """Return the ids of jobs that there is something to be done for."""

    async def do(self, job: str) -> None:
        """Do it, if nobody else does; cancelled when the job is, or when the loop ends.

        What is raised is logged, and the job left as it is. After a `JobStoreError` its place is
        kept for a moment: a store that can be read and not written would be asked without end.
        """


class WorkLoop:
    """Owns the tasks that work; at most `at_once_max` of them."""

    def __init__(self, work: Work, at_once_max: int) -> None:
        self._work = work
        self._at_once_max = at_once_max
        self._tasks: dict[str, asyncio.Task[None]] = {}
        # Bounded by what one question brings. Others may have taken some of them meanwhile.
        self._known: deque[str] = deque()
        self._look = asyncio.Event()

    async def run(self) -> None:
        """Work until cancelled; what is in hand then is left to whoever takes it next."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen())
            while True:
                self._look.clear()
                for job in await self._found():
                    task = tasks.create_task(self._done(job))
                    self._tasks[job] = task
                    task.add_done_callback(self._left(job))
                await self._look.wait()

    async def _done(self, job: str) -> None:
        try:
            await self._work.do(job)
        except JobStoreError as error:
            # What was taken is somebody's again when the lease ends by itself.
            log.warning(self._work.put_off, job=job, reason=str(error))
            await asyncio.sleep(AWAY_S)
        except Exception:
            # One job that nobody thought of must not end the gateway.
            log.exception("work_failed", job=job)

    async def _listen(self) -> None:
        while True:
            try:
                cancelled = await self._work.wait(has_room=self._room > 0)
            except StoreAway as error:
                log.warning("job_store_away", reason=str(error))
                await asyncio.sleep(AWAY_S)
                continue
            if cancelled in self._tasks:
                self._tasks[cancelled].cancel()
            self._look.set()

    async def _found(self) -> list[str]:
        """As many jobs as there is room for; the store is asked when those known are all begun."""
        if self._room <= 0:
            return []
        if not self._known:
            try:
                self._known.extend(await self._work.found())
            except StoreAway:
                return []  # `_listen` meets the same, says so, and comes back
        found: list[str] = []
        while self._known and len(found) < self._room:
            job = self._known.popleft()
            if job not in self._tasks:
                found.append(job)
        return found

    @property
    def _room(self) -> int:
        return self._at_once_max - len(self._tasks)

    def _left(self, job: str) -> Callable[[asyncio.Task[None]], None]:
        def leave(_: asyncio.Task[None]) -> None:
            del self._tasks[job]
            self._look.set()

        return leave
