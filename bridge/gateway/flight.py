"""Everything in flight: requests that were admitted and are not yet answered.

A request enters with a permit and leaves exactly once: landed (a result), failed (a problem),
expired (its deadline), or abandoned (its caller has gone). Whatever arrives for it afterwards is
counted and dropped, so no second answer is possible, and an answer can reach only the caller
whose id it carries: ids are a random prefix per gateway process and a counter.

Requests that were admitted together are one launch; see `launch.py`.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bridge.gateway.launch import (
    Array,
    Caller,
    Flight,
    Landed,
    Launch,
    Outcome,
    Parts,
    Results,
    Returned,
    Timings,
    landed,
    rows_of,
    timings_of,
)
from bridge.gateway.problem import Problem, bad_result, expired, of_result
from bridge.wire.block import from_block
from bridge.wire.frame import (
    REQUEST_ID_BYTES,
    MalformedFrame,
    ResultEntry,
    ResultFrame,
    ResultStatus,
)

ID_PREFIX_BYTES = 8


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

    def enter(self, launch: Launch, sizes: Sequence[int], callers: Sequence[Caller]) -> None:
        """Enter the requests of a launch, which have so many rows each.

        Each caller is told once of its request's outcome, unless it is abandoned or its answer
        goes to the launch's destination. The launch's times are monotonic seconds, which the
        event loop counts as well.
        """
        start, prefix, counter, table = 0, self._prefix, self._counter, self._flights
        flights = launch.flights
        for rows, caller in zip(sizes, callers, strict=True):
            request_id = prefix + next(counter).to_bytes(REQUEST_ID_BYTES - ID_PREFIX_BYTES, "big")
            flight = table[request_id] = Flight(request_id, launch, start, rows, caller)
            flights.append(flight)
            start += rows
        launch.open = len(flights)
        launch.expiry = self._loop.call_at(launch.deadline_s, self._expire, launch)
        self._empty.clear()

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
            flight.caller.settle(problem)

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
        results = Results(arrays, frame.batch.run_us / 1e6)
        matched, offset = 0, 0
        together: dict[Launch, list[Returned]] = {}
        for entry in frame.results:
            flight = self._flights.get(entry.request_id)
            if flight is not None:
                matched += 1
                if self._came_whole(flight, entry, frame):
                    # Only now: a frame may name a request twice.
                    del self._flights[flight.request_id]
                    together.setdefault(flight.launch, []).append(Returned(flight, offset, entry))
                else:
                    self._land_one(flight, entry, results, offset, frame)
            if entry.status is ResultStatus.OK:
                offset += entry.rows
        for launch, returned in together.items():
            launch.leave(len(returned), sum(one.flight.rows for one in returned))
            _answer(launch, returned, results)
        self._note_empty()
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

    def _came_whole(self, flight: Flight, entry: ResultEntry, frame: ResultFrame) -> bool:
        return (
            flight.parts is None
            and flight.launch.is_sent
            and entry.rows == flight.rows
            and entry.status is ResultStatus.OK
            and not entry.part
            and frame.model_key == flight.launch.model_key
        )

    def _land_one(
        self,
        flight: Flight,
        entry: ResultEntry,
        results: Results,
        start: int,
        frame: ResultFrame,
    ) -> None:
        """Take in a part of a request, or what cannot be its answer."""
        if entry.status is not ResultStatus.OK:
            self.fail(flight, of_result(entry.status))
            return
        parts = flight.parts
        if (
            parts is None
            or frame.model_key != flight.launch.model_key
            or entry.part >= len(parts.rows)
            or parts.rows[entry.part] != entry.rows
        ):
            self.fail(flight, bad_result())
            return
        parts.arrived[entry.part] = rows_of(results.arrays, start, entry.rows)
        if len(parts.arrived) == len(parts.rows) and self._leave(flight):
            flight.caller.settle(_outcome(parts, timings_of(entry, results)))

    def _expire(self, launch: Launch) -> None:
        for flight in launch.flights:
            if self._leave(flight):
                if launch.lane == "batch":
                    # Workers hold no batch-lane request to its deadline.
                    self._abandoned.append(flight.request_id)
                flight.caller.settle(expired())

    def _leave(self, flight: Flight) -> bool:
        if self._flights.pop(flight.request_id, None) is None:
            return False
        flight.launch.leave(1, flight.rows)
        self._note_empty()
        return True

    def _note_empty(self) -> None:
        if not self._flights:
            self._empty.set()


def _answer(launch: Launch, returned: list[Returned], results: Results) -> None:
    if launch.destination is not None:
        launch.destination.on_returned(returned, results)
        return
    for one in returned:
        one.flight.caller.settle(landed(one, results))


def _outcome(parts: Parts, timings: Timings) -> Outcome:
    try:
        return Landed(parts.outputs(), timings)
    except (KeyError, ValueError):
        # The parts of one request came back with different outputs or row shapes.
        return bad_result()


def _arrays(frame: ResultFrame) -> dict[str, Array]:
    rows = sum(entry.rows for entry in frame.results if entry.status is ResultStatus.OK)
    return {tensor.name: from_block(tensor, rows) for tensor in frame.tensors}
