"""A closed loop: each of so many callers sends its next request when it has its answer.

It measures the highest throughput that so many callers get. It does not measure latency under a
given load: a slow answer delays the next request, and so hides the wait of all that would have
come meanwhile (coordinated omission).
"""

from __future__ import annotations

import asyncio
import contextlib
import time

import numpy as np

from loadtest.http_connection import HttpConnection, end
from loadtest.snapshot import Snapshot, Watch, WatchedPart
from loadtest.traffic import GRACE_S, LOST, TIMED_OUT, UNSENT, Recording, Traffic

CONNECT_S_MAX = 10.0
SWEEP_S = 1.0


class ClosedLoop:
    """Sends one process's share of a run; used once."""

    def __init__(self, traffic: Traffic, callers: int, seconds: float) -> None:
        self._traffic = traffic
        self._callers = callers
        self._seconds = seconds
        self._sent_s: list[float] = []
        self._done_s: list[float] = []
        self._status: list[int] = []
        self._open: set[HttpConnection] = set()
        self._reconnecting: set[asyncio.Task[None]] = set()
        self._left = callers
        self._done = asyncio.Event()
        self._start_s = 0.0
        self._watch = Watch()

    async def run(self, start_s: float) -> Recording:
        """Call from `start_s` (monotonic) on for the given seconds; return the recording.

        Raises:
            OSError: a connection cannot be opened.
        """
        cpu_s = time.process_time()
        self._start_s = start_s
        async with asyncio.timeout(CONNECT_S_MAX):
            connections = [await self._connect() for _ in range(self._callers)]
        await asyncio.sleep(max(0.0, start_s - time.monotonic()))
        sweeper = asyncio.get_running_loop().create_task(self._sweep())
        for connection in connections:
            self._next(connection)
        with contextlib.suppress(TimeoutError):  # the sweeper gives up on requests before that
            async with asyncio.timeout(self._seconds + self._traffic.timeout_s + GRACE_S):
                await self._done.wait()
        await end((sweeper, *self._reconnecting), self._open)
        return self._recording(time.process_time() - cpu_s)

    def snapshot(self, target_s: float) -> Snapshot:
        """Return how far the run is."""
        return self._watch.look(self._read, self._now_s(), target_s)

    def on_answer(self, connection: HttpConnection, status: int, body: bytes) -> None:
        """Record an answer and send the caller's next request, or let it end."""
        index, connection.request = connection.request, None
        if index is None:
            return
        calls = self._traffic.choice
        choice = int(calls[index % len(calls)])
        self._finish(index, self._traffic.judged(choice, status, body))
        self._next(connection)

    def on_lost(self, connection: HttpConnection, request: int | None) -> None:
        """Record the loss of a caller's connection; the caller comes back on another."""
        self._open.discard(connection)
        if request is not None:
            self._finish(request, LOST)
            self._reconnect()

    async def _connect(self) -> HttpConnection:
        connection = HttpConnection(self)
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: connection, self._traffic.host, self._traffic.port)
        self._open.add(connection)
        return connection

    def _next(self, connection: HttpConnection) -> None:
        """Send a caller's next request, on another connection if need be; or let it end."""
        if self._now_s() >= self._seconds:
            self._leave()
        elif not connection.is_open:
            self._reconnect()
        else:
            index, traffic = len(self._sent_s), self._traffic
            self._sent_s.append(self._now_s())
            self._done_s.append(np.nan)
            self._status.append(UNSENT)
            connection.send(index, traffic.requests[traffic.choice[index % len(traffic.choice)]])

    def _reconnect(self) -> None:
        task = asyncio.get_running_loop().create_task(self._come_back())
        self._reconnecting.add(task)
        task.add_done_callback(self._reconnecting.discard)

    async def _come_back(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_S_MAX):
                connection = await self._connect()
        except (OSError, TimeoutError):
            self._leave()
        else:
            self._next(connection)

    def _finish(self, index: int, status: int) -> None:
        self._done_s[index] = self._now_s()
        self._status[index] = status

    def _leave(self) -> None:
        self._left -= 1
        if not self._left:
            self._done.set()

    async def _sweep(self) -> None:
        """Give up on requests past their timeout; their callers come back on new connections."""
        timeout_s = self._traffic.timeout_s
        while True:
            await asyncio.sleep(min(SWEEP_S, timeout_s / 4))
            oldest_s = self._now_s() - timeout_s
            for connection in list(self._open):
                index = connection.request
                if index is not None and self._sent_s[index] < oldest_s:
                    connection.request = None
                    self._finish(index, TIMED_OUT)
                    connection.close()
                    self._next(connection)

    def _now_s(self) -> float:
        return time.monotonic() - self._start_s

    def _read(self, first: int) -> WatchedPart:
        return WatchedPart(
            np.array(self._sent_s[first:]),
            np.array(self._done_s[first:]),
            np.array(self._status[first:], dtype=np.int16),
            np.zeros(0),
        )

    def _recording(self, cpu_s: float) -> Recording:
        sent_s = np.array(self._sent_s, dtype=np.float64)
        calls = self._traffic.choice
        return Recording(
            choice=calls[np.arange(len(sent_s)) % len(calls)],
            intended_s=sent_s,
            lag_s=np.zeros(len(sent_s)),
            sent_s=sent_s,
            done_s=np.array(self._done_s, dtype=np.float64),
            status=np.array(self._status, dtype=np.int16),
            tries=np.ones(len(sent_s), dtype=np.int16),
            cpu_s=cpu_s,
            connections=self._callers,
        )
