"""Runs a load with one or several generator processes and brings their recordings together.

Each process sends every n-th request of the drawn times, so that together they offer exactly what
was drawn; all count from one monotonic instant, which processes of one machine share.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection

import numpy as np

from loadtest.errors import LoadtestError
from loadtest.generator import ClosedShare, OpenShare, Share, generate
from loadtest.progress import Progress
from loadtest.snapshot import Snapshot, combined
from loadtest.summary import merged
from loadtest.traffic import Floats, Recording, Traffic

# From "all are ready" to the first request: the time of one message to each process, with room.
START_S = 0.25
READY_S_MAX = 60.0


class GeneratorDied(LoadtestError):
    """A generator process ended before its work did."""


@dataclass(frozen=True, slots=True)
class ClosedPlan:
    """So many callers for so many seconds."""

    callers: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Onlooker:
    """Who is told how a run goes.

    `on_progress` hears twice a second how far a run of `seconds` seconds is, warm-up included;
    `target_s` is the latency target.
    """

    on_progress: Callable[[Progress], None]
    seconds: float
    target_s: float


Begin = Callable[[float], None]


def run_open(
    traffic: Traffic,
    intended_s: Floats,
    processes: int,
    on_begin: Begin | None = None,
    onlooker: Onlooker | None = None,
) -> Recording:
    """Send request i at `intended_s[i]`; return what became of all, by intended time.

    `traffic.connections_max` is shared by the processes. `on_begin` is called with the monotonic
    instant from which times count.

    Raises:
        OSError: a process cannot be started.
        GeneratorDied: a process ended too soon.
    """
    shares = [
        OpenShare(_part(traffic, number, processes), intended_s[number::processes])
        for number in range(processes)
    ]
    return _run(shares, on_begin, onlooker)


def run_closed(
    traffic: Traffic,
    plan: ClosedPlan,
    processes: int,
    on_begin: Begin | None = None,
    onlooker: Onlooker | None = None,
) -> Recording:
    """Let `plan.callers` callers, shared by the processes, call in turn; return what happened.

    Raises:
        OSError: the server cannot be connected to, or a process cannot be started.
        GeneratorDied: a process ended too soon.
    """
    numbers = np.array_split(np.arange(plan.callers), processes)
    shares = [ClosedShare(traffic, len(part), plan.seconds) for part in numbers if len(part)]
    return _run(shares, on_begin, onlooker)


def _part(traffic: Traffic, number: int, processes: int) -> Traffic:
    leaves_s = traffic.leaves_s
    return replace(
        traffic,
        choice=traffic.choice[number::processes],
        leaves_s=None if leaves_s is None else leaves_s[number::processes],
        connections_max=max(1, traffic.connections_max // processes),
    )


class _Generator:
    """A generator process, seen from here."""

    def __init__(self, share: Share, target_s: float | None) -> None:
        # Spawned, not forked: a fork would share the parent's event loop and threads.
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(
            target=generate, args=(theirs, share, target_s), name="loadtest-generator", daemon=True
        )
        self.process.start()
        theirs.close()
        self.snapshot: Snapshot | None = None
        self.recording: Recording | None = None

    def receive(self) -> None:
        """Take in one message."""
        try:
            message = self.connection.recv()
        except EOFError as error:
            self.process.join()
            raise GeneratorDied(
                f"a generator process ended with exit code {self.process.exitcode}"
            ) from error
        if isinstance(message, Exception):
            raise message
        if isinstance(message, Recording):
            self.recording = message
        elif isinstance(message, Snapshot):
            self.snapshot = message

    def end(self) -> None:
        """End the process, whatever it does."""
        self.connection.close()
        self.process.terminate()
        self.process.join()


def _run(
    shares: list[OpenShare] | list[ClosedShare], on_begin: Begin | None, onlooker: Onlooker | None
) -> Recording:
    target_s = None if onlooker is None else onlooker.target_s
    generators: list[_Generator] = []
    try:
        for share in shares:
            generators.append(_Generator(share, target_s))
        for generator in generators:
            if not generator.connection.poll(READY_S_MAX):
                raise GeneratorDied(f"a generator process was not ready after {READY_S_MAX:g} s")
            generator.receive()
        start_s = time.monotonic() + START_S
        for generator in generators:
            generator.connection.send(start_s)
        if on_begin is not None:
            on_begin(start_s)
        return merged(_collected(generators, onlooker))
    finally:
        for generator in generators:
            generator.end()


def _collected(generators: list[_Generator], onlooker: Onlooker | None) -> list[Recording]:
    by_connection: dict[Connection, _Generator] = {one.connection: one for one in generators}
    while by_connection:
        for ready in multiprocessing.connection.wait(list(by_connection)):
            assert isinstance(ready, Connection)
            generator = by_connection[ready]
            generator.receive()
            if generator.recording is not None:
                del by_connection[ready]
            elif onlooker is not None and generator is generators[0]:
                seen = [one.snapshot for one in generators if one.snapshot is not None]
                onlooker.on_progress(combined(seen, onlooker.seconds))
    return [one.recording for one in generators if one.recording is not None]
