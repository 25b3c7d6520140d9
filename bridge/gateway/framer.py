"""Packs the requests of one event-loop turn into frames.

Requests share a frame only if a worker may run them in one batch: same model version, same row
shapes. A frame holds at most one batch of rows; a request with more is split into parts.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from bridge.gateway.launch import Flight, Launch, Parts
from bridge.scheduling.lanes import ModelLane
from bridge.wire.block import block_bytes, to_block
from bridge.wire.frame import (
    FRAME_BYTES_MAX,
    FRAME_REQUESTS_MAX,
    REQUEST_ID_BYTES,
    RequestEntry,
    RequestFrame,
    Tensor,
    encode_frame,
)

Array = np.ndarray[Any, np.dtype[Any]]
Signature = tuple[tuple[int, ...], ...]

# Half of what a frame may hold: the rows of a request need not be equally large.
FRAME_BYTES_TARGET = FRAME_BYTES_MAX // 2


@dataclass(frozen=True, slots=True)
class PackedFrame:
    """One frame ready to be sent, where to, and the flights that it carries."""

    lane: ModelLane
    data: bytes
    flights: tuple[Flight, ...]


@dataclass(slots=True)
class _Part:
    flight: Flight
    index: int
    start: int
    rows: int
    size: int


@dataclass(slots=True)
class _Load:
    """The parts that travel in one frame."""

    parts: list[_Part] = field(default_factory=list)
    rows: int = 0
    size: int = 0


class FrameRows(NamedTuple):
    """How many rows a request may have before it is split, and a frame of several requests."""

    request: int
    frame: int


class Framer:
    """Collects launches until the owner of the connection drains them."""

    def __init__(
        self,
        gateway_id: str,
        frame_rows: Callable[[ModelLane], FrameRows],
        server_us: Callable[[float], int],
        in_flight_rows: Callable[[str], int],
        overhead_s: Callable[[], float],
    ) -> None:
        """`frame_rows` says how a lane's frames are to be now; `in_flight_rows` counts online rows.

        `server_us` converts monotonic seconds; `overhead_s` is o, for those who choose B.
        """
        self._gateway_id = gateway_id
        self._frame_rows = frame_rows
        self._server_us = server_us
        self._in_flight_rows = in_flight_rows
        self._overhead_s = overhead_s
        self._waiting: list[Launch] = []

    def oldest_s(self) -> float | None:
        """Return when the first of those that wait was launched."""
        return self._waiting[0].launched_s if self._waiting else None

    def put(self, launch: Launch) -> None:
        """Add a launch's flights to the next frames."""
        self._waiting.append(launch)

    def drain(self, is_wanted: Callable[[Flight], bool]) -> list[PackedFrame]:
        """Return what was collected, as frames, without the flights nobody wants any more."""
        waiting, self._waiting = self._waiting, []
        groups: dict[tuple[ModelLane, Signature], list[Launch]] = {}
        for launch in waiting:
            launch.is_sent = True
            if launch.open:
                lane = ModelLane(launch.model_key, launch.lane)
                key = (lane, tuple([a.shape[1:] for a in launch.tensors.values()]))
                groups.setdefault(key, []).append(launch)
        frames: list[PackedFrame] = []
        for (lane, _), launches in groups.items():
            most = self._frame_rows(lane)
            if _fit_whole(launches, most):
                frames.append(self._pack_whole(lane, launches))
                continue
            flights = [one for launch in launches for one in launch.flights if is_wanted(one)]
            frames += [self._pack(lane, load) for load in _loads(flights, most)]
        return frames

    def _pack_whole(self, lane: ModelLane, launches: list[Launch]) -> PackedFrame:
        """Pack launches none of whose flights is missing or split: the usual case, and cheap."""
        entries: list[RequestEntry] = []
        flights: list[Flight] = []
        for launch in launches:
            times = self._times_us(launch)
            flights += launch.flights
            entries += [RequestEntry(one.request_id, 0, one.rows, *times) for one in launch.flights]
        arrays = [launch.tensors for launch in launches]
        blocks = [to_block(name, [array[name] for array in arrays]) for name in arrays[0]]
        return self._frame(lane, entries, blocks, flights)

    def _pack(self, lane: ModelLane, load: _Load) -> PackedFrame:
        parts = load.parts
        entries = [self._entry(part) for part in parts]
        tensors = [part.flight.tensors for part in parts]
        blocks = [to_block(name, _rows(parts, tensors, name)) for name in tensors[0]]
        return self._frame(lane, entries, blocks, [part.flight for part in parts])

    def _frame(
        self,
        lane: ModelLane,
        entries: list[RequestEntry],
        blocks: list[Tensor],
        flights: list[Flight],
    ) -> PackedFrame:
        frame = RequestFrame(
            frame_id=secrets.token_bytes(REQUEST_ID_BYTES),
            gateway=self._gateway_id,
            lane=lane.lane,
            requests=entries,
            tensors=blocks,
            in_flight_rows=self._in_flight_rows(lane.model_key) if lane.lane == "online" else 0,
            overhead_us=int(self._overhead_s() * 1e6),
        )
        return PackedFrame(lane, encode_frame(frame), tuple(flights))

    def _entry(self, part: _Part) -> RequestEntry:
        flight = part.flight
        times = self._times_us(flight.launch)
        return RequestEntry(flight.request_id, part.index, part.rows, *times)

    def _times_us(self, launch: Launch) -> tuple[int, int]:
        return self._server_us(launch.launched_s), self._server_us(launch.deadline_s)


def _fit_whole(launches: list[Launch], most: FrameRows) -> bool:
    """Return whether all flights of these launches are wanted and fit in one frame, unsplit."""
    rows = requests = size = 0
    for launch in launches:
        if launch.open != len(launch.flights):
            return False
        rows += launch.permit.rows
        requests += launch.open
        size += sum(map(block_bytes, launch.tensors.values()))
    # A request that is split has more rows than `most.request`; together they have no more.
    return (
        rows <= min(most.frame, most.request)
        and requests <= FRAME_REQUESTS_MAX
        and size <= FRAME_BYTES_TARGET
    )


def _rows(parts: list[_Part], tensors: list[Mapping[str, Array]], name: str) -> list[Array]:
    return [
        arrays[name]
        if part.rows == part.flight.rows
        else arrays[name][part.start : part.start + part.rows]
        for part, arrays in zip(parts, tensors, strict=True)
    ]


def _loads(flights: Iterable[Flight], most: FrameRows) -> Iterator[_Load]:
    load = _Load()
    for part in _parts(flights, most.request):
        is_full = (
            load.rows + part.rows > most.frame
            or load.size + part.size > FRAME_BYTES_TARGET
            or len(load.parts) == FRAME_REQUESTS_MAX
        )
        if is_full and load.parts:
            yield load
            load = _Load()
        load.parts.append(part)
        load.rows += part.rows
        load.size += part.size
    if load.parts:
        yield load


def _parts(flights: Iterable[Flight], most_rows: int) -> Iterator[_Part]:
    for flight in flights:
        row_bytes = sum(map(block_bytes, flight.tensors.values())) // flight.rows
        step = min(most_rows, max(1, FRAME_BYTES_TARGET // max(row_bytes, 1)))
        if flight.rows <= step:
            yield _Part(flight, 0, 0, flight.rows, row_bytes * flight.rows)
            continue
        starts = range(0, flight.rows, step)
        sizes = [min(step, flight.rows - start) for start in starts]
        flight.parts = Parts(sizes)
        for index, (start, rows) in enumerate(zip(starts, sizes, strict=True)):
            yield _Part(flight, index, start, rows, row_bytes * rows)
