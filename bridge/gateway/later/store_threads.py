"""The job store is synchronous: its calls are made in threads, so that nobody waits for Redis.

Blocking waits have threads of their own; otherwise all others would wait behind them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

ASKING_THREADS = 4
WAITING_THREADS = 2

P = ParamSpec("P")
T = TypeVar("T")


class StoreThreads:
    """The threads of one gateway that work for jobs, and not for whoever waits for an answer."""

    def __init__(self) -> None:
        self._asking = ThreadPoolExecutor(ASKING_THREADS, "job-store")
        self._waiting = ThreadPoolExecutor(WAITING_THREADS, "job-store-wait")

    async def ask(self, call: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
        """Return what a call returns, or raise what it raises.

        Where the awaiting task is cancelled the call still goes on to its end.
        """
        return await _in(self._asking, lambda: call(*args, **options))

    async def wait(self, call: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
        """Do the same for a call that blocks; at most `WAITING_THREADS` at once."""
        return await _in(self._waiting, lambda: call(*args, **options))

    def close(self) -> None:
        """Begin no more calls."""
        self._asking.shutdown(wait=False, cancel_futures=True)
        self._waiting.shutdown(wait=False, cancel_futures=True)


async def _in(executor: ThreadPoolExecutor, call: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(executor, call)
