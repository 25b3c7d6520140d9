"""Flights under a clock that the test moves, and the results that land them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import Any

import numpy as np

from bridge.gateway.flight import FlightTable
from bridge.gateway.framer import Framer, FrameRows, PackedFrame
from bridge.gateway.launch import Flight, Launch, Outcome
from bridge.scheduling.admission import Admission, Permit
from bridge.scheduling.ask import Ask
from bridge.scheduling.batch_room import BatchPermit, BatchRoom
from bridge.scheduling.forecast import Capacity
from bridge.scheduling.lanes import Lane
from bridge.scheduling.overhead import Overhead
from bridge.scheduling.service_time import ServiceTime
from bridge.wire.block import to_block
from bridge.wire.frame import (
    BatchReport,
    RequestFrame,
    ResultEntry,
    ResultFrame,
    ResultStatus,
    ServiceReport,
    decode_request,
)

MODEL = "m@1"
SERVICE = ServiceReport(0.001, 0.001, 0.05, 8, 8)
AMPLE = Capacity(frozenset({"w"}), 1024, 1024, ServiceTime(1e-6, 1e-9), target_s=1.0)


class ManualLoop(asyncio.AbstractEventLoop):
    """An event loop of timers only, whose time moves when the test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self._timers: list[asyncio.TimerHandle] = []

    def time(self) -> float:
        return self.now_s

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._timers.append(handle)
        return handle

    def get_debug(self) -> bool:
        return False

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """What `TimerHandle.cancel` calls."""

    def advance(self, seconds: float) -> None:
        """Let time pass; whatever is due runs."""
        self.now_s += seconds
        due = [timer for timer in self._timers if timer.when() <= self.now_s]
        self._timers = [timer for timer in self._timers if timer not in due]
        for timer in sorted(due, key=asyncio.TimerHandle.when):
            if not timer.cancelled():
                timer._run()

    @property
    def timers_waiting(self) -> int:
        return sum(not timer.cancelled() for timer in self._timers)


class Listening:
    """A caller that remembers what it was told."""

    def __init__(self) -> None:
        self.heard: list[Outcome] = []

    def settle(self, outcome: Outcome) -> None:
        self.heard.append(outcome)


class Sky:
    """A flight table, a framer in front of it, and the outcomes that were settled, by request."""

    def __init__(self, batch_rows: int = 8) -> None:
        self.loop = ManualLoop()
        self.table = FlightTable(self.loop)
        self.admission = Admission(Overhead())
        self.admission.set_capacity(MODEL, AMPLE)
        self.batch_room = BatchRoom()
        self.outcomes: dict[bytes, list[Outcome]] = {}
        self.framer = Framer(
            "gw",
            lambda _: FrameRows(batch_rows, batch_rows),
            lambda now_s: int(now_s * 1e6),
            self.admission.own_rows,
            lambda: 0.003,
        )

    def permit(self, rows: int) -> Permit:
        permit = self.admission.admit(0.0, Ask(MODEL, rows, 1e9))
        assert isinstance(permit, Permit)
        return permit

    def batch_permit(self, rows: int) -> BatchPermit:
        permit = self.batch_room.enter(self.loop.time(), rows, rows)
        assert isinstance(permit, BatchPermit)
        return permit

    def launch(
        self,
        *rows: float,
        model_key: str = MODEL,
        width: int = 1,
        timeout_s: float = 10.0,
        x: Any = None,
        lane: Lane = "online",
    ) -> Flight:
        """Launch a request of rows that all hold their number, or of `x`."""
        if x is None:
            x = np.repeat(np.array(rows, "<f8").reshape(-1, 1), width, axis=1)
        caller = Listening()
        deadline_s = self.loop.time() + timeout_s
        permit = self.permit(len(x)) if lane == "online" else self.batch_permit(len(x))
        launch = Launch(model_key, {"x": x}, permit, self.loop.time(), deadline_s)
        self.table.enter(launch, [len(x)], [caller])
        (flight,) = launch.flights
        self.outcomes[flight.request_id] = caller.heard
        self.framer.put(launch)
        return flight

    def framed(self) -> list[RequestFrame]:
        """Drain the framer; return the frames as a worker would read them."""
        return [decode_request(frame.data) for frame in self.packed()]

    def packed(self) -> list[PackedFrame]:
        return self.framer.drain(self.table.waits_for)

    def outcome(self, flight: Flight) -> Outcome:
        """The only outcome of a flight."""
        (outcome,) = self.outcomes[flight.request_id]
        return outcome

    def code(self, flight: Flight) -> str:
        """The only outcome of a flight, which is a problem, by its code."""
        return self.outcome(flight).code.value  # type: ignore[union-attr]


def entry(
    request_id: bytes, rows: int, part: int = 0, status: ResultStatus = ResultStatus.OK
) -> ResultEntry:
    return ResultEntry(request_id, part, status, rows, queue_us=1_000, batch_us=2_000)


def result(
    *entries: ResultEntry, y: Any = None, model_key: str = MODEL, name: str = "y"
) -> ResultFrame:
    """A result frame; its rows of `y` are 0, 1, 2, … unless they are given."""
    rows = sum(item.rows for item in entries if item.status is ResultStatus.OK)
    array = np.arange(rows, dtype="<f8").reshape(-1, 1) if y is None else np.asarray(y, "<f8")
    tensors = [to_block(name, [array])] if rows or y is not None else []
    return ResultFrame(
        "worker", model_key, list(entries), tensors, BatchReport(rows, 3_000, True), SERVICE
    )
