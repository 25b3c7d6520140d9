"""Everything in flight: requests that were admitted and are not yet answered.

A request enters with a permit and leaves exactly once: landed (a result), failed (a problem),
expired (its deadline), or abandoned (its caller has gone). Whatever arrives for it afterwards is
counted and dropped, so no second answer is possible, and an answer can reach only the caller
whose id it carries: ids are a random prefix per gateway process and a counter.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bridge.gateway.problem import Problem, bad_result, expired, of_result
from bridge.scheduling.admission import Permit
from bridge.wire.block import from_block
from bridge.wire.frame import (
    REQUEST_ID_BYTES,
    MalformedFrame,
    ResultEntry,
    ResultFrame,
    ResultStatus,
)

Array = np.ndarray[Any, np.dtype[Any]]

ID_PREFIX_BYTES = 8


@dataclass(frozen=True, slots=True)
class Timings:
    """Where an answer's time went, in seconds: to the worker, in its queue, in the model."""

    queue_s: float
    batch_s: float
    run_s: float


@dataclass(frozen=True, slots=True)
class Landed:
    """A whole answer: output name to array of shape (rows, ...)."""

    outputs: Mapping[str, Array]
    timings: Timings


Outcome = Landed | Problem
Settle = Callable[[Outcome], None]


class Flight:
    """One admitted request on its way: its rows, its permit, and who is told of the outcome."""

    __slots__ = (
        "deadline_s",
        "expiry",
        "launched_s",
        "model_key",
        "parts",
        "permit",
        "request_id",
        "rows",
        "settle",
        "tensors",
    )

    def __init__(
        self,
        request_id: bytes,
        model_key: str,
        tensors: Mapping[str, Array],
        permit: Permit,
        launched_s: float,
        deadline_s: float,
        settle: Settle,
    ) -> None:
        self.request_id = request_id
        self.model_key = model_key
        self.tensors = tensors
        self.permit = permit
        self.rows = permit.rows
        self.launched_s = launched_s
        self.deadline_s = deadline_s
        self.settle = settle
        self.expiry: asyncio.TimerHandle | None = None
        self.parts = _Parts()


class _Parts:
    """The parts into which a request was split: the rows of each, and those that came back."""

    __slots__ = ("arrived", "rows")

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.arrived: dict[int, Mapping[str, Array]] = {}

    def outputs(self) -> Mapping[str, Array]:
        if len(self.rows) == 1:
            return self.arrived[0]
        ordered = [self.arrived[part] for part in range(len(self.rows))]
        return {name: np.concatenate([part[name] for part in ordered]) for name in ordered[0]}


@dataclass(frozen=True, slots=True)
class Landing:
    """What one result frame did: how many entries were awaited, how many nobody waited for."""

    matched: int
    strays: int


class FlightTable:
    """All flights of one gateway, by request id."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._flights: dict[bytes, Flight] = {}
        self._prefix = secrets.token_bytes(ID_PREFIX_BYTES)
        self._counter = itertools.count()
        self._abandoned: list[bytes] = []
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return len(self._flights)

    def launch(
        self,
        model_key: str,
        tensors: Mapping[str, Array],
        permit: Permit,
        launched_s: float,
        deadline_s: float,
        settle: Settle,
    ) -> Flight:
        """Enter a request; `settle` is called once with its outcome, unless it is abandoned.

        `launched_s`, now, and `deadline_s`, when the flight expires, are monotonic seconds, which
        the event loop counts as well.
        """
        request_id = self._prefix + next(self._counter).to_bytes(
            REQUEST_ID_BYTES - ID_PREFIX_BYTES, "big"
        )
        flight = Flight(request_id, model_key, tensors, permit, launched_s, deadline_s, settle)
        flight.expiry = self._loop.call_at(deadline_s, self._expire, flight)
        self._flights[request_id] = flight
        self._empty.clear()
        return flight

    def waits_for(self, flight: Flight) -> bool:
        """Return whether the flight is still unanswered."""
        return flight.request_id in self._flights

    def abandon(self, flight: Flight) -> None:
        """Drop a flight whose caller has gone; its id is kept until `take_abandoned`."""
        if self._leave(flight):
            self._abandoned.append(flight.request_id)

    def take_abandoned(self) -> list[bytes]:
        """Return the ids abandoned since the last call, so that workers need not run them."""
        abandoned, self._abandoned = self._abandoned, []
        return abandoned

    def fail(self, flight: Flight, problem: Problem) -> None:
        """Answer one flight with a problem."""
        if self._leave(flight):
            flight.settle(problem)

    def fail_all(self, make_problem: Callable[[], Problem]) -> int:
        """Answer everything in flight with a problem; return how many requests that were."""
        flights = list(self._flights.values())
        for flight in flights:
            self.fail(flight, make_problem())
        return len(flights)

    async def wait_empty(self) -> None:
        """Return when nothing is in flight."""
        await self._empty.wait()

    def land(self, frame: ResultFrame) -> Landing:
        """Hand every request of a result frame its own rows.

        A frame that does not add up settles the requests that it names with `bad_result`; none
        of its rows reach anybody.
        """
        try:
            arrays = _arrays(frame)
        except MalformedFrame:
            return self.refuse(frame)
        matched, offset = 0, 0
        for entry in frame.results:
            flight = self._flights.get(entry.request_id)
            rows = entry.rows if entry.status is ResultStatus.OK else 0
            if flight is not None:
                matched += self._land_one(flight, entry, arrays, offset, frame)
            offset += rows
        return Landing(matched, len(frame.results) - matched)

    def refuse(self, frame: ResultFrame) -> Landing:
        """Settle the requests that a frame names with `bad_result`."""
        matched = 0
        for entry in frame.results:
            flight = self._flights.get(entry.request_id)
            if flight is not None:
                self.fail(flight, bad_result())
                matched += 1
        return Landing(matched, len(frame.results) - matched)

    def _land_one(
        self,
        flight: Flight,
        entry: ResultEntry,
        arrays: Mapping[str, Array],
        offset: int,
        frame: ResultFrame,
    ) -> int:
        if entry.status is not ResultStatus.OK:
            self.fail(flight, of_result(entry.status))
            return 1
        parts = flight.parts
        expected = parts.rows[entry.part] if entry.part < len(parts.rows) else None
        if expected != entry.rows or frame.model_key != flight.model_key:
            self.fail(flight, bad_result())
            return 1
        end = offset + entry.rows
        parts.arrived[entry.part] = {name: array[offset:end] for name, array in arrays.items()}
        if len(parts.arrived) < len(parts.rows):
            return 1
        if self._leave(flight):
            timings = Timings(entry.queue_us / 1e6, entry.batch_us / 1e6, frame.batch.run_us / 1e6)
            flight.settle(_outcome(parts, timings))
        return 1

    def _expire(self, flight: Flight) -> None:
        if self._leave(flight):
            flight.settle(expired())

    def _leave(self, flight: Flight) -> bool:
        if self._flights.pop(flight.request_id, None) is None:
            return False
        flight.permit.release()
        if flight.expiry is not None:
            flight.expiry.cancel()
        if not self._flights:
            self._empty.set()
        return True


def _outcome(parts: _Parts, timings: Timings) -> Outcome:
    try:
        return Landed(parts.outputs(), timings)
    except (KeyError, ValueError):
        # The parts of one request came back with different outputs or row shapes.
        return bad_result()


def _arrays(frame: ResultFrame) -> dict[str, Array]:
    rows = sum(entry.rows for entry in frame.results if entry.status is ResultStatus.OK)
    return {tensor.name: from_block(tensor, rows) for tensor in frame.tensors}
