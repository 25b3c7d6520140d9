"""The open loop: sends each request at its intended time and records what became of it.

A request is due at its drawn time whether or not earlier ones are answered, and its latency counts
from that time, so a stall of the server is seen by every request that falls into it (no
coordinated omission: Tene, "How NOT to Measure Latency").
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from loadtest.http_connection import HttpConnection
from loadtest.precise_timer import PreciseTimer

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int16]]

# What is recorded instead of an HTTP status where there was none.
UNSENT, LOST, TIMED_OUT, LEFT, WRONG = 0, -1, -2, -3, -4
# After the last intended time, unanswered requests are waited for so long.
GRACE_S = 10.0
CONNECT_S_MAX = 5.0


@dataclass(frozen=True, slots=True)
class Traffic:
    """What one generator process sends.

    `requests` are the prepared bytes, `choice[i]` says which of them request i is. `leaves_s[i]`,
    where it is not NaN, is how long after sending the caller of request i goes away unanswered;
    `pieces` above 1 sends each request's bytes in so many writes, `piece_gap_s` apart (slow
    clients). `retries` is how often a request refused with 429 or 503 is sent again at once.
    `is_right(choice, body)` judges the body of a 200.
    """

    host: str
    port: int
    requests: Sequence[bytes]
    choice: Ints
    connections_max: int
    timeout_s: float
    leaves_s: Floats | None = None
    pieces: int = 1
    piece_gap_s: float = 0.0
    retries: int = 0
    is_right: Callable[[int, bytes], bool] | None = None


@dataclass(slots=True)
class Recording:
    """What became of each request; arrays of shape (n,), seconds from the start of the run.

    `intended_s`: when it was due; `lag_s`: how much later the generator handled it, its own
    fault; `sent_s`: when its bytes were written, NaN where they were not; `done_s`: when the answer
    or failure was there; `status`: the HTTP status, or one of the constants above.
    """

    intended_s: Floats
    lag_s: Floats
    sent_s: Floats
    done_s: Floats
    status: Ints
    tries: Ints
    cpu_s: float = 0.0
    connections: int = 0

    @classmethod
    def empty(cls, intended_s: Floats) -> Recording:
        """A recording of requests that are still to be sent."""
        count = len(intended_s)
        return cls(
            intended_s,
            np.full(count, np.nan),
            np.full(count, np.nan),
            np.full(count, np.nan),
            np.zeros(count, dtype=np.int16),
            np.zeros(count, dtype=np.int16),
        )


@dataclass(slots=True)
class _State:
    next: int = 0
    open: int = 0
    connecting: int = 0
    unanswered: int = 0
    waiting: deque[int] = field(default_factory=deque)


class OpenLoop:
    """Sends one process's share of a run; used once."""

    def __init__(self, traffic: Traffic, intended_s: Floats) -> None:
        self._traffic = traffic
        self.recording = Recording.empty(intended_s)
        self._state = _State()
        self._free: list[HttpConnection] = []
        self._all: set[HttpConnection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._start_s = 0.0
        self._done = asyncio.Event()
        self._timer = PreciseTimer(self._loop, self._pump)

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
            self.recording.connections = len(self._all)
            self._close(sweeper)
        self.recording.cpu_s = time.process_time() - cpu_s
        return self.recording

    def _close(self, sweeper: asyncio.Task[None]) -> None:
        self._timer.close()
        for task in (sweeper, *self._tasks):
            task.cancel()
        for connection in list(self._all):
            connection.close()

    def _now_s(self) -> float:
        return time.monotonic() - self._start_s

    def _pump(self) -> None:
        """Handle every request that is due, and set the timer for the next one."""
        intended, state = self.recording.intended_s, self._state
        now_s = self._now_s()
        while state.next < len(intended) and intended[state.next] <= now_s:
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
        if len(self._all) + self._state.connecting < self._traffic.connections_max:
            self._connect()

    def _connect(self) -> None:
        self._state.connecting += 1
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
            if self._state.waiting:
                self._finish(self._state.waiting.popleft(), LOST)
            return
        finally:
            self._state.connecting -= 1
        self._all.add(connection)
        self._make_free(connection)

    def _make_free(self, connection: HttpConnection) -> None:
        if not connection.is_open:
            return
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
            self._send_slowly(connection, index, data)
        else:
            connection.send(index, data)
        if traffic.leaves_s is not None and not np.isnan(traffic.leaves_s[index]):
            self._loop.call_later(float(traffic.leaves_s[index]), self._leave, connection, index)

    def _send_slowly(self, connection: HttpConnection, index: int, data: bytes) -> None:
        size = max(1, -(-len(data) // self._traffic.pieces))
        connection.send(index, data[:size])
        for number, start in enumerate(range(size, len(data), size), start=1):
            self._loop.call_later(
                number * self._traffic.piece_gap_s,
                connection.write_more,
                data[start : start + size],
            )

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
            self._send(connection, index)
            return
        if status == 200 and traffic.is_right is not None:
            choice = int(traffic.choice[index])
            status = 200 if traffic.is_right(choice, body) else WRONG
        self._finish(index, status)
        self._make_free(connection)

    def on_lost(self, connection: HttpConnection, request: int | None) -> None:
        """Record the loss of a connection, and of the request on it."""
        self._all.discard(connection)
        if request is not None:
            self._finish(request, LOST)
        if self._state.waiting and not self._done.is_set():
            self._connect()

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
        """Give up on requests past their timeout, once a second: a bound, not a measurement."""
        while True:
            await asyncio.sleep(1.0)
            oldest_s = self._now_s() - self._traffic.timeout_s
            for connection in list(self._all):
                index = connection.request
                if index is not None and self.recording.intended_s[index] < oldest_s:
                    connection.request = None
                    self._finish(index, TIMED_OUT)
                    connection.close()
            waiting = self._state.waiting
            while waiting and self.recording.intended_s[waiting[0]] < oldest_s:
                self._finish(waiting.popleft(), TIMED_OUT)
