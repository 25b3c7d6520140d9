"""Requests on their way and back: launched together, each with its own caller and its own rows.

Requests that were admitted together, of one event-loop turn, are one launch: they share a permit,
a deadline with its timer, and the arrays that hold their rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from bridge.gateway.problem import Problem
from bridge.scheduling.admission import Permit
from bridge.scheduling.batch_room import BatchPermit
from bridge.scheduling.lanes import Lane
from bridge.wire.frame import ResultEntry

Array = np.ndarray[Any, np.dtype[Any]]


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


class Caller(Protocol):
    """Who waits for a request's outcome."""

    def settle(self, outcome: Outcome) -> None:
        """Hear the outcome, once, among those of other requests: nothing may be raised."""


class Flight:
    """One admitted request on its way: its launch, where its rows are, who hears the outcome."""

    __slots__ = ("caller", "launch", "parts", "request_id", "rows", "start")

    def __init__(
        self, request_id: bytes, launch: Launch, start: int, rows: int, caller: Caller
    ) -> None:
        self.request_id = request_id
        self.launch = launch
        self.start = start
        self.rows = rows
        self.caller = caller
        # None for a request that travels whole.
        self.parts: Parts | None = None

    @property
    def tensors(self) -> Mapping[str, Array]:
        """The request's own rows."""
        launch = self.launch
        if self.rows == launch.permit.rows:
            return launch.tensors
        return rows_of(launch.tensors, self.start, self.rows)


class Returned(NamedTuple):
    """A flight that landed: its rows begin at `start` in the arrays of the result frame."""

    flight: Flight
    start: int
    entry: ResultEntry


class RowWriter(Protocol):
    """Writes the rows of many answers at once."""

    def write(self, arrays: Mapping[str, Array]) -> object | None:
        """Return the rows of all outputs, written; None where that cannot be done at once."""


class Results:
    """The arrays of one result frame, whose rows belong to several requests."""

    __slots__ = ("_written", "arrays", "run_s")

    def __init__(self, arrays: Mapping[str, Array], run_s: float) -> None:
        self.arrays = arrays
        self.run_s = run_s
        self._written: dict[RowWriter, object | None] = {}

    def written(self, writer: RowWriter) -> object | None:
        """Return what the writer makes of the arrays, which it is asked once."""
        if writer not in self._written:
            self._written[writer] = writer.write(self.arrays)
        return self._written[writer]


class Destination(Protocol):
    """Where the answers of a launch go, several at a time."""

    def on_returned(self, returned: Sequence[Returned], results: Results) -> None:
        """Answer these requests of the launch, at least one; nothing may be raised."""


class Launch:
    """Requests that go on their way together; `open` of them are not answered.

    `tensors` hold the rows of all, in the order of `flights`. Answers go to `destination`, or,
    where that is None, to each flight's own caller, who always hears of problems.
    """

    __slots__ = (
        "deadline_s",
        "destination",
        "expiry",
        "flights",
        "is_sent",
        "launched_s",
        "model_key",
        "open",
        "permit",
        "tensors",
    )

    def __init__(
        self,
        model_key: str,
        tensors: Mapping[str, Array],
        permit: Permit | BatchPermit,
        launched_s: float,
        deadline_s: float,
        destination: Destination | None = None,
    ) -> None:
        self.model_key = model_key
        self.tensors = tensors
        self.permit = permit
        self.launched_s = launched_s
        self.deadline_s = deadline_s
        self.destination = destination
        self.flights: list[Flight] = []
        self.expiry: asyncio.TimerHandle | None = None
        self.open = 0
        self.is_sent = False

    @property
    def lane(self) -> Lane:
        """The lane that its permit is for."""
        return self.permit.lane

    def leave(self, requests: int, rows: int) -> None:
        """Note that so many requests with so many rows are no longer in flight."""
        self.open -= requests
        self.permit.release(rows)
        if not self.open:
            # Flights and launch hold each other, and only the collector would free their rows.
            self.flights = []
            if self.expiry is not None:
                self.expiry.cancel()


class Parts:
    """The parts into which a request was split: the rows of each, and those that came back."""

    __slots__ = ("arrived", "rows")

    def __init__(self, rows: list[int]) -> None:
        self.rows = rows
        self.arrived: dict[int, Mapping[str, Array]] = {}

    def outputs(self) -> Mapping[str, Array]:
        """Return the rows of all parts, in order."""
        ordered = [self.arrived[part] for part in range(len(self.rows))]
        return {name: np.concatenate([part[name] for part in ordered]) for name in ordered[0]}


def landed(returned: Returned, results: Results) -> Landed:
    """Return the answer of one request."""
    rows = rows_of(results.arrays, returned.start, returned.flight.rows)
    return Landed(rows, timings_of(returned.entry, results))


def timings_of(entry: ResultEntry, results: Results) -> Timings:
    """Return where the time of one request went."""
    return Timings(entry.queue_us / 1e6, entry.batch_us / 1e6, results.run_s)


def rows_of(arrays: Mapping[str, Array], start: int, rows: int) -> dict[str, Array]:
    """Return `rows` rows of each array, from `start` on."""
    return {name: array[start : start + rows] for name, array in arrays.items()}
