"""What a worker has in hand: frames taken from the queue and not yet run; batches come from it.

The reader puts frames in, the runner takes batches out, at the last moment: while a run lasts at
most one further batch per lane and model is held here. Which requests run next is decided in
`bridge/scheduling/formation.py`. No request waits for a timer: `take` returns at once when there
is anything to run.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bridge.scheduling.formation import Formation
from bridge.scheduling.forming import Pace
from bridge.scheduling.lanes import LaneShares, ModelLane
from bridge.wire.frame import RequestEntry, RequestFrame

Array = np.ndarray[Any, np.dtype[Any]]
Signature = tuple[tuple[int, ...], ...]

CANCELLED_IDS_MAX = 65_536


@dataclass(slots=True, eq=False)
class TakenFrame:
    """One request frame in this worker's hands.

    `renewed_s` is when the lease was last renewed, in monotonic seconds; `open_requests` counts
    the requests that have no result yet: at 0 the frame is acknowledged. `runs_alone`: it was in
    the hands of workers that died, so none of its requests shares a batch.
    """

    model_key: str
    entry_id: bytes
    frame: RequestFrame
    arrays: Mapping[str, Array]
    taken_us: int
    renewed_s: float
    runs_alone: bool = False
    open_requests: int = 0

    @property
    def stream(self) -> ModelLane:
        """Where it was taken from."""
        return ModelLane(self.model_key, self.frame.lane)

    @property
    def signature(self) -> Signature:
        """The row shapes: frames with equal ones may share a batch."""
        return tuple(tensor.row_shape for tensor in self.frame.tensors)


@dataclass(slots=True, eq=False)
class Slice:
    """One request's rows within a frame; never changed.

    What batch formation asks for is copied when the frame is taken, while a run goes on, and not
    looked up when the next batch is formed, while the session waits.
    """

    taken: TakenFrame
    entry: RequestEntry
    start: int
    rows: int = field(init=False)
    enqueued_us: int = field(init=False)
    deadline_us: int = field(init=False)
    runs_alone: bool = field(init=False)

    def __post_init__(self) -> None:
        """Copy what batch formation asks for."""
        entry = self.entry
        self.rows = entry.rows
        self.enqueued_us = entry.enqueued_us
        self.deadline_us = entry.deadline_us
        self.runs_alone = self.taken.runs_alone

    @property
    def end(self) -> int:
        """One past the last row."""
        return self.start + self.rows


@dataclass(slots=True)
class Batch:
    """What the runner gets: slices to run together, and those that are answered without a run.

    `was_awaited`: nothing was in hand when the runner asked for it.
    """

    model_key: str
    slices: list[Slice] = field(default_factory=list)
    expired: list[Slice] = field(default_factory=list)
    cancelled: list[Slice] = field(default_factory=list)
    was_awaited: bool = False

    @property
    def rows(self) -> int:
        """The rows to run."""
        return sum(piece.entry.rows for piece in self.slices)


class Hand:
    """Frames in hand, safe between the reader's and the runner's thread.

    Bound: the reader puts frames of a lane only while fewer than one batch of its rows is here.
    """

    def __init__(
        self, paces: Mapping[str, Pace], lease_s: float, shares: LaneShares | None = None
    ) -> None:
        self._changed = threading.Condition()
        self._formation: Formation[Slice] = Formation(paces, shares or LaneShares())
        self._lease_s = lease_s
        self._frames: dict[TakenFrame, None] = {}
        self._cancelled: OrderedDict[bytes, None] = OrderedDict()
        self._is_closed = False

    def set_pace(self, model_key: str, pace: Pace) -> None:
        """Change a model's batch size, time and target."""
        with self._changed:
            self._formation.set_pace(model_key, pace)

    def put(self, frames: Iterable[TakenFrame]) -> None:
        """Add frames that were taken from the queue."""
        with self._changed:
            for taken in frames:
                stream, signature, start = taken.stream, taken.signature, 0
                for entry in taken.frame.requests:
                    self._formation.put(stream, signature, Slice(taken, entry, start))
                    start += entry.rows
                taken.open_requests = len(taken.frame.requests)
                self._frames[taken] = None
            self._changed.notify_all()

    def close(self) -> None:
        """Let `take` and `wait_hungry` return when nothing is left, from now on."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def rows_wanted(self) -> Mapping[ModelLane, int]:
        """Return the lanes of which more is to be read, and how many rows each lacks."""
        with self._changed:
            return self._formation.rows_wanted()

    def wait_hungry(self) -> Mapping[ModelLane, int]:
        """Wait until more of a lane is to be read; return as `rows_wanted`.

        Empty when the hand is closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or bool(self._formation.rows_wanted()))
            return {} if self._is_closed else self._formation.rows_wanted()

    def rows_next(self, model_key: str) -> int:
        """Return the rows in hand that run next, those of the batch lane as far as they fill."""
        with self._changed:
            return self._formation.rows_next(model_key)

    def online_rows(self, model_key: str) -> int:
        """Return how many rows of each batch online requests of a model can count on."""
        with self._changed:
            return self._formation.online_rows(model_key)

    def cancel(self, request_ids: Iterable[bytes]) -> None:
        """Remember that these requests' callers have gone; the oldest of too many are forgotten."""
        with self._changed:
            for request_id in request_ids:
                self._cancelled[request_id] = None
            while len(self._cancelled) > CANCELLED_IDS_MAX:
                self._cancelled.popitem(last=False)

    def take(self, now: Callable[[], tuple[float, int]]) -> Batch | None:
        """Wait for something to run and return the next batch; None when closed and empty.

        `now` gives monotonic seconds and microseconds on the queue's clock.
        """
        with self._changed:
            is_awaited = not self._formation
            self._changed.wait_for(lambda: self._is_closed or bool(self._formation))
            batch = self._form(*now())
            if batch is not None:
                batch.was_awaited = is_awaited
                self._changed.notify_all()
            return batch

    def finish(self, pieces: Iterable[Slice]) -> list[TakenFrame]:
        """Note that requests have their results; return the frames of which these were the last."""
        done = []
        with self._changed:
            for piece in pieces:
                taken = piece.taken
                taken.open_requests -= 1
                if not taken.open_requests:
                    self._frames.pop(taken, None)
                    done.append(taken)
        return done

    def frames_to_renew(self, now_s: float) -> list[TakenFrame]:
        """Return the frames in hand whose lease is ours, marked as renewed now.

        A frame whose lease has lapsed (this process was stopped) is another worker's by now.
        """
        with self._changed:
            held = [taken for taken in self._frames if not self._is_lapsed(taken, now_s)]
            for taken in held:
                taken.renewed_s = now_s
            return held

    def holds(self, stream: ModelLane, entry_id: bytes) -> bool:
        """Return whether this frame is in hand."""
        with self._changed:
            return any(
                taken.entry_id == entry_id and taken.stream == stream for taken in self._frames
            )

    def holds_suspect(self) -> bool:
        """Return whether a frame that was in the hands of workers that died is in hand."""
        with self._changed:
            return any(taken.runs_alone for taken in self._frames)

    def _form(self, now_s: float, now_us: int) -> Batch | None:
        lease_s, cancelled = self._lease_s, self._cancelled

        def is_unwanted(piece: Slice) -> bool:
            # A cancelled request is kept in mind: a large one comes in several parts.
            is_lapsed = now_s - piece.taken.renewed_s >= lease_s
            return is_lapsed or piece.entry.request_id in cancelled

        formed = self._formation.take(now_us, is_unwanted)
        if formed is None:
            return None
        batch = Batch(formed.model_key, formed.run, formed.expired)
        for piece in formed.unwanted:
            if self._is_lapsed(piece.taken, now_s):
                # Another worker has it: neither run nor acknowledged here.
                self._frames.pop(piece.taken, None)
            else:
                batch.cancelled.append(piece)
        return batch

    def _is_lapsed(self, taken: TakenFrame, now_s: float) -> bool:
        return now_s - taken.renewed_s >= self._lease_s


def joined(slices: list[Slice], *, own: bool) -> dict[str, Array]:
    """Return the batch's inputs: for each tensor the rows of the slices, in order.

    Neighbouring slices of one frame are one view. `own`: the arrays are writable and shared with
    nobody.
    """
    runs: list[tuple[TakenFrame, int, int]] = []
    last, start, end = slices[0].taken, slices[0].start, slices[0].start
    for piece in slices:
        if piece.taken is not last or piece.start != end:
            runs.append((last, start, end))
            last, start = piece.taken, piece.start
        end = piece.start + piece.rows
    runs.append((last, start, end))
    if len(runs) == 1:
        taken, start, end = runs[0]
        views = {name: array[start:end] for name, array in taken.arrays.items()}
        return {name: view.copy() for name, view in views.items()} if own else views
    return {
        name: np.concatenate([_rows(taken.arrays[name], start, end) for taken, start, end in runs])
        for name in runs[0][0].arrays
    }


def _rows(array: Array, start: int, end: int) -> Array:
    # Most frames run as a whole, and a view takes longer to make than to be copied.
    return array if end - start == len(array) else array[start:end]
