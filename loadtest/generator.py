"""One generator process: its share of a run, from the first request to the recording."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection

import uvloop

from loadtest.closed_loop import ClosedLoop
from loadtest.open_loop import OpenLoop
from loadtest.traffic import Floats, Recording, Traffic

SNAPSHOT_S = 0.5
# Of collections in the middle of a run: what stands before it is never looked at again.
GC_THRESHOLD = 50_000


@dataclass(frozen=True, slots=True)
class OpenShare:
    """The requests that one process sends at their times."""

    traffic: Traffic
    intended_s: Floats

    def loop(self) -> OpenLoop:
        """Return what sends them, on the running event loop."""
        return OpenLoop(self.traffic, self.intended_s)


@dataclass(frozen=True, slots=True)
class ClosedShare:
    """The callers of one process, who call in turn."""

    traffic: Traffic
    callers: int
    seconds: float

    def loop(self) -> ClosedLoop:
        """Return what lets them call."""
        return ClosedLoop(self.traffic, self.callers, self.seconds)


Share = OpenShare | ClosedShare


def generate(connection: Connection, share: Share, target_s: float | None) -> None:
    """Say "ready", wait for the instant to start at, run, and send back the recording.

    With a target in seconds, snapshots are sent meanwhile. An error is sent back as it is.
    """
    # Ctrl-C reaches the whole process group; the parent decides what becomes of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
    connection.send("ready")
    # The parent may have gone: then nobody wants the answer.
    with contextlib.suppress(EOFError, BrokenPipeError):
        start_s = connection.recv()
        try:
            recording = uvloop.run(_run(connection, share, start_s, target_s))
            if share.traffic.is_right is not None:
                recording.first_wrong = share.traffic.is_right.first_wrong
        except Exception as error:
            connection.send(error)
        else:
            connection.send(recording)


async def _run(
    connection: Connection, share: Share, start_s: float, target_s: float | None
) -> Recording:
    loop = share.loop()
    if target_s is None:
        return await loop.run(start_s)
    teller = asyncio.create_task(_tell(connection, loop, target_s))
    try:
        return await loop.run(start_s)
    finally:
        teller.cancel()
        await asyncio.gather(teller, return_exceptions=True)


async def _tell(connection: Connection, loop: OpenLoop | ClosedLoop, target_s: float) -> None:
    while True:
        await asyncio.sleep(SNAPSHOT_S)
        # In a thread: a terminal that stands still must not make the sending stand still.
        await asyncio.to_thread(connection.send, loop.snapshot(target_s))
