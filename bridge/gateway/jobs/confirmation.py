"""When a job is on the queue's disk: those who ask at about the same time are answered together.

The server syncs its file about once a second. If each 202 waited for that in a thread of its own,
there could be only a few of them a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from bridge.gateway.later.store_threads import StoreThreads
from bridge.job_store.errors import JobStoreError
from bridge.job_store.store import JobStore


class Confirmation:
    """Asks the store about all jobs that wait, one question at a time; run by one owner."""

    def __init__(self, store: JobStore, threads: StoreThreads) -> None:
        self._store = store
        self._threads = threads
        self._waiting: dict[str, list[asyncio.Future[bool]]] = {}
        self._asked = asyncio.Event()

    async def confirmed(self, job: str) -> bool:
        """Return whether a job whose input is whole is on the disk and will be there.

        Raises:
            JobStoreError: as `JobStore.confirm`.
        """
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(job, []).append(answer)
        self._asked.set()
        return await answer

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            waiting, self._waiting = self._waiting, {}
            await self._answer(waiting)

    async def _answer(self, waiting: dict[str, list[asyncio.Future[bool]]]) -> None:
        try:
            found = await self._threads.ask(self._store.confirm, list(waiting))
        except JobStoreError as error:
            for answer in _open(waiting.values()):
                answer.set_exception(error)
            return
        for (_, answers), is_there in zip(waiting.items(), found, strict=True):
            for answer in _open([answers]):
                answer.set_result(is_there)


def _open(groups: Iterable[list[asyncio.Future[bool]]]) -> list[asyncio.Future[bool]]:
    """Those whose caller is still there."""
    return [answer for answers in groups for answer in answers if not answer.done()]
