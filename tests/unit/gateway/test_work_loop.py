"""The loop that works on stored jobs: bounded, woken, and not ended by what a job meets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from bridge.gateway.later.work_loop import WorkLoop
from bridge.job_store.errors import StoreAway

AT_ONCE_MAX = 2


class Store:
    """Work that a test controls: what is there, and what wakes."""

    put_off = "put_off"

    def __init__(self, *jobs: str) -> None:
        self.jobs = list(jobs)
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.rooms: list[bool] = []
        self.wakes: asyncio.Queue[str | Exception | None] = asyncio.Queue()
        self.gates = {job: asyncio.Event() for job in jobs}

    async def wait(self, *, has_room: bool) -> str | None:
        self.rooms.append(has_room)
        wake = await self.wakes.get()
        if isinstance(wake, Exception):
            raise wake
        return wake

    async def found(self) -> list[str]:
        return list(self.jobs)

    async def do(self, job: str) -> None:
        self.begun.append(job)
        if job == "broken":
            self.jobs.remove(job)
            raise ValueError("what nobody thought of")
        if job == "refused":
            raise StoreAway("the queue refuses: MISCONF")
        try:
            await self.gates[job].wait()
        finally:
            self.jobs.remove(job)
            self.ended.append(job)


@asynccontextmanager
async def running(store: Store) -> AsyncIterator[None]:
    task = asyncio.create_task(WorkLoop(store, AT_ONCE_MAX).run())
    await turns()
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def turns() -> None:
    """Let everything go on that can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_no_more_than_the_bound_are_worked_on_at_once() -> None:
    store = Store("a", "b", "c")
    async with running(store):
        assert store.begun == ["a", "b"]
        store.gates["a"].set()
        await turns()
        assert store.begun == ["a", "b", "c"]


async def test_without_room_only_cancellations_are_waited_for() -> None:
    store = Store("a", "b")
    async with running(store):
        store.wakes.put_nowait(None)
        await turns()
        assert store.rooms[-1] is False


async def test_a_wake_finds_new_work() -> None:
    store = Store()
    async with running(store):
        store.jobs.append("a")
        store.gates["a"] = asyncio.Event()
        store.wakes.put_nowait(None)
        await turns()
        assert store.begun == ["a"]


async def test_a_cancelled_job_is_let_go_of_and_the_others_go_on() -> None:
    store = Store("a", "b")
    async with running(store):
        store.wakes.put_nowait("a")
        await turns()
        assert store.ended == ["a"]


async def test_a_store_that_is_away_is_asked_again() -> None:
    store = Store("a")
    async with running(store):
        store.wakes.put_nowait(StoreAway("the queue does not answer"))
        store.gates["a"].set()
        await turns()
        assert store.ended == ["a"]


async def test_a_job_that_fails_in_an_unknown_way_ends_alone() -> None:
    store = Store("broken", "a")
    async with running(store):
        store.gates["a"].set()
        await turns()
        assert (store.begun, store.ended) == (["broken", "a"], ["a"])


async def test_what_the_store_refuses_is_not_asked_for_again_at_once() -> None:
    store = Store("refused")
    async with running(store):
        store.wakes.put_nowait(None)
        await turns()
        assert store.begun == ["refused"]


async def test_when_it_ends_everything_in_hand_is_let_go_of() -> None:
    store = Store("a", "b")
    async with running(store):
        pass
    assert sorted(store.ended) == ["a", "b"]
