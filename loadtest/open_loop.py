"""The open loop: sends each request at its intended time and records what became of it.

A request is due at its drawn time whether or not earlier ones are answered, and its latency counts
from that time, so a stall of the server is seen by every request that falls into it (no
coordinated omission: Tene, "How NOT to Measure Latency").
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from loadtest.http_connection import HttpConnection, end
from loadtest.precise_timer import PreciseTimer
from loadtest.snapshot import Snapshot, Watch, WatchedPart
from loadtest.traffic import (
    GRACE_S,
    LEFT,
    LOST,
    TIMED_OUT,
    UNSENT,
    Floats,
    Recording,
    Traffic,
)

CONNECT_S_MAX = 5.0
SWEEP_S = 1.0
# So many requests are sent before answers get their turn, however late the generator is.
BURST_MAX = 64
# Opening a connection costs as much as several requests: so many are being opened at once.
CONNECTING_MAX = 64


@dataclass(slots=True)
class _State:
    next: int = 0
    connecting: int = 0
    unanswered: int = 0
    is_connecting_soon: bool = False
    waiting: deque[int] = field(default_factory=deque)


class OpenLoop:
    """Sends one process's share of a run; used once."""

    def __init__(self, traffic: Traffic, intended_s: Floats) -> None:
        self._traffic = traffic
        self.recording = Recording.empty(traffic.choice, intended_s)
        self._state = _State()
        self._free: list[HttpConnection] = []
        self._all: set[HttpConnection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._start_s = 0.0
        self._done = asyncio.Event()
        self._timer = PreciseTimer(self._loop, self._pump)
        self._watch = Watch()

    async def run(self, start_s: float) -> Recording:
        """Send everything at its time, counted from `start_s` (monotonic); return the recording.

        Ends when everything is answered or given up, at most `timeout_s` and GRACE_S after the
        last intended time.
        """
        cpu_s = time.process_time()
        self._start_s = start_s
        intended_s = self.recording.intended_s
        last_s = float(intended_s[-1]) if len(intended_s) else 0.0
        left_s = start_s - time.monotonic() + last_s + self._traffic.timeout_s + GRACE_S
        sweeper = self._loop.create_task(self._sweep())
        self._timer.set(start_s)
        try:
            async with asyncio.timeout(left_s):
                await self._done.wait()
        except TimeoutError:
            # What has no answer by now stays as it is recorded: UNSENT.
            self._done.set()
        finally:
            await self._close(sweeper)
        self.recording.cpu_s = time.process_time() - cpu_s
        return self.recording

    def snapshot(self, target_s: float) -> Snapshot:
        """Return how far the run is."""
        return self._watch.look(self._read, self._now_s(), target_s)

    def _read(self, first: int) -> WatchedPart:
        part, recording = slice(first, self._state.next), self.recording
        return WatchedPart(
            recording.intended_s[part],
            recording.done_s[part],
            recording.status[part],
            recording.lag_s[part],
        )

    async def _close(self, sweeper: asyncio.Task[None]) -> None:
        self._timer.close()
        await end((sweeper, *self._tasks), self._all)

    def _now_s(self) -> float:
        return time.monotonic() - self._start_s

    def _pump(self) -> None:
        """Handle the requests that are due, and set the timer for the next one."""
        intended, state = self.recording.intended_s, self._state
        now_s = self._now_s()
        last = min(state.next + BURST_MAX, len(intended))
        while state.next < last and intended[state.next] <= now_s:
            index = state.next
            state.next += 1
            state.unanswered += 1
            self.recording.lag_s[index] = now_s - intended[index]
            self._dispatch(index)
            now_s = self._now_s()
        if state.next < len(intended):
            self._timer.set(self._start_s + float(intended[state.next]))
        else:
            self._check_done()

    def _dispatch(self, index: int) -> None:
        while self._free:
            connection = self._free.pop()
            if connection.is_open:
                self._send(connection, index)
                return
        self._state.waiting.append(index)
        if not self._state.is_connecting_soon:
            # Not at once: after a hiccup of the machine the answers that lie unread free more
            # connections than are missing, and opening those all the same made a hiccup of 4 ms one
            # of 25 ms.
            self._state.is_connecting_soon = True
            self._loop.call_soon(self._serve_waiting)

    def _serve_waiting(self) -> None:
        """Open connections for those who wait, as many as there may be."""
        state = self._state
        state.is_connecting_soon = False
        room = self._traffic.connections_max - len(self._all) - state.connecting
        wanted = min(room, CONNECTING_MAX - state.connecting, len(state.waiting) - state.connecting)
        for _ in range(0 if self._done.is_set() else wanted):
            state.connecting += 1
            task = self._loop.create_task(self._open())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _open(self) -> None:
        traffic = self._traffic
        connection = HttpConnection(self)
        try:
            async with asyncio.timeout(CONNECT_S_MAX):
                await self._loop.create_connection(lambda: connection, traffic.host, traffic.port)
        except (OSError, TimeoutError):
            connection.close()
        finally:
            self._state.connecting -= 1
        if not connection.is_open:
            # Refused, or closed at once: the request that has waited longest is lost with it, so
            # that a server which is down costs each request one try.
            if self._state.waiting:
                self._finish(self._state.waiting.popleft(), LOST)
            self._serve_waiting()
            return
        self._all.add(connection)
        self.recording.connections = max(self.recording.connections, len(self._all))
        self._make_free(connection)
        self._serve_waiting()

    def _make_free(self, connection: HttpConnection) -> None:
        if not connection.is_open:
            return  # on_lost opens another where one is needed
        if self._state.waiting:
            self._send(connection, self._state.waiting.popleft())
        else:
            self._free.append(connection)

    def _send(self, connection: HttpConnection, index: int) -> None:
        traffic = self._traffic
        data = traffic.requests[traffic.choice[index]]
        self.recording.sent_s[index] = self._now_s()
        self.recording.tries[index] += 1
        if traffic.pieces > 1:
            size = max(1, -(-len(data) // traffic.pieces))
            pieces = [data[start : start + size] for start in range(0, len(data), size)]
            connection.send_slowly(index, pieces, traffic.piece_gap_s)
        else:
            connection.send(index, data)
        if traffic.leaves_s is not None and not np.isnan(traffic.leaves_s[index]):
            self._loop.call_later(float(traffic.leaves_s[index]), self._leave, connection, index)

    def _leave(self, connection: HttpConnection, index: int) -> None:
        if connection.request == index:
            connection.request = None
            self._finish(index, LEFT)
            connection.close()

    def on_answer(self, connection: HttpConnection, status: int, body: bytes) -> None:
        """Record an answer and use the connection again."""
        index, connection.request = connection.request, None
        if index is None:
            return
        traffic, recording = self._traffic, self.recording
        if status in (429, 503) and recording.tries[index] <= traffic.retries:
            self._state.waiting.appendleft(index)
        else:
            self._finish(index, traffic.judged(int(traffic.choice[index]), status, body))
        self._make_free(connection)

    def on_lost(self, connection: HttpConnection, request: int | None) -> None:
        """Record the loss of a connection, and of the request on it."""
        if connection not in self._all:
            return  # closed while it was being opened: `_open` sees it
        self._all.discard(connection)
        if request is not None:
            self._finish(request, LOST)
        self._serve_waiting()

    def _finish(self, index: int, status: int) -> None:
        recording = self.recording
        if recording.status[index] != UNSENT:
            return
        recording.status[index] = status
        recording.done_s[index] = self._now_s()
        self._state.unanswered -= 1
        self._check_done()

    def _check_done(self) -> None:
        state = self._state
        if state.next >= len(self.recording.intended_s) and state.unanswered == 0:
            self._done.set()

    async def _sweep(self) -> None:
        """Give up on requests past their timeout, now and then: a bound, not a measurement."""
        timeout_s = self._traffic.timeout_s
        while True:
            await asyncio.sleep(min(SWEEP_S, timeout_s / 4))
            oldest_s = self._now_s() - timeout_s
            for connection in list(self._all):
                index = connection.request
                if index is not None and self.recording.intended_s[index] < oldest_s:
                    connection.request = None
                    self._finish(index, TIMED_OUT)
                    connection.close()
            waiting = self._state.waiting
            while waiting and self.recording.intended_s[waiting[0]] < oldest_s:
                self._finish(waiting.popleft(), TIMED_OUT)
