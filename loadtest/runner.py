"""Runs a load with one or several generator processes and brings their recordings together.

Each process sends every n-th request of the drawn times, so that together they offer exactly what
was drawn; all count from one monotonic instant, which processes of one machine share.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import uvloop

from loadtest.closed_loop import ClosedLoop
from loadtest.open_loop import Floats, OpenLoop, Recording, Traffic
from loadtest.summary import merged

# Until every process has started; it is waited for, so a fast machine loses this time once a run.
START_S = 1.5


@dataclass(frozen=True, slots=True)
class ClosedPlan:
    """So many callers for so many seconds."""

    callers: int
    seconds: float


Begin = Callable[[float], None]


def run_open(
    traffic: Traffic, intended_s: Floats, processes: int, on_begin: Begin | None = None
) -> Recording:
    """Send request i at `intended_s[i]`; return what became of all, by intended time.

    `on_begin` is called with the monotonic instant from which times count.

    Raises:
        OSError: a process cannot be started.
    """
    return _run(
        [
            (_open, replace(traffic, choice=traffic.choice[number::processes]),
             intended_s[number::processes])
            for number in range(processes)
        ],
        on_begin,
    )  # fmt: skip


def run_closed(
    traffic: Traffic, plan: ClosedPlan, processes: int, on_begin: Begin | None = None
) -> Recording:
    """Let `plan.callers` callers, shared by the processes, call in turn; return what happened.

    Raises:
        OSError: the server cannot be connected to.
    """
    shares = np.array_split(np.arange(plan.callers), processes)
    return _run(
        [
            (_closed, traffic, ClosedPlan(len(share), plan.seconds))
            for share in shares
            if len(share)
        ],
        on_begin,
    )


Job = tuple[Callable[..., Recording], object, object]


def _run(jobs: list[Job], on_begin: Begin | None) -> Recording:
    # Spawned, not forked: a fork would share the parent's event loop and threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(len(jobs), mp_context=context) as pool:
        # Wait for each process to be up, with its imports done, before the common start is set.
        for future in [pool.submit(_ready) for _ in jobs]:
            future.result()
        start_s = time.monotonic() + START_S
        if on_begin is not None:
            on_begin(start_s)
        futures: list[Future[Recording]] = [
            pool.submit(run, first, second, start_s) for run, first, second in jobs
        ]
        return merged([future.result() for future in futures])


def _ready() -> None:
    return None


def _open(traffic: Traffic, intended_s: Floats, start_s: float) -> Recording:
    async def run() -> Recording:
        return await OpenLoop(traffic, intended_s).run(start_s)

    return uvloop.run(run())


def _closed(traffic: Traffic, plan: ClosedPlan, start_s: float) -> Recording:
    async def run() -> Recording:
        return await ClosedLoop(traffic, plan.callers, plan.seconds).run(start_s)

    return uvloop.run(run())
