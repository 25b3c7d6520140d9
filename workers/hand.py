"""What a worker has in hand: frames taken from the queue and not yet run; batches come from it.

The reader puts frames in, the runner takes batches out, at the last moment: while a run lasts at
most one further batch per model is held here. Requests leave first in, first out; the next model
to run is the one whose first request has the earliest deadline. No request waits for a timer:
`take` returns at once when there is anything to run.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

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
    def signature(self) -> Signature:
        """The row shapes: frames with equal ones may share a batch."""
        return tuple(tensor.row_shape for tensor in self.frame.tensors)


@dataclass(frozen=True, slots=True)
class Slice:
    """One request's rows within a frame."""

    taken: TakenFrame
    entry: RequestEntry
    start: int

    @property
    def end(self) -> int:
        """One past the last row."""
        return self.start + self.entry.rows


@dataclass(slots=True)
class Batch:
    """What the runner gets: slices to run together, and those that are answered without a run."""

    model_key: str
    slices: list[Slice] = field(default_factory=list)
    expired: list[Slice] = field(default_factory=list)
    cancelled: list[Slice] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """The rows to run."""
        return sum(piece.entry.rows for piece in self.slices)


@dataclass(frozen=True, slots=True)
class Pace:
    """What batch formation must know of a model version: its batch size and S(b) in µs."""

    batch_rows: int
    batch_us: Callable[[int], float]


# A deadline further off than this is no deadline but a clock that jumped: the gateway, which
# measures on its own monotonic clock, still ends the request in time.
CLOCK_SANE_US = 3_600_000_000


class Hand:
    """Frames in hand, by model and row shapes; safe between the reader's and the runner's thread.

    Bound: the reader puts frames of a model only while fewer than one batch of its rows is here.
    """

    def __init__(self, paces: Mapping[str, Pace], lease_s: float) -> None:
        self._changed = threading.Condition()
        self._queues: OrderedDict[tuple[str, Signature], deque[Slice]] = OrderedDict()
        self._rows = dict.fromkeys(paces, 0)
        self._paces = dict(paces)
        self._lease_s = lease_s
        self._frames: dict[TakenFrame, None] = {}
        self._cancelled: OrderedDict[bytes, None] = OrderedDict()
        self._is_closed = False

    def set_pace(self, model_key: str, pace: Pace) -> None:
        """Change a model's batch size and time."""
        with self._changed:
            self._paces[model_key] = pace

    def put(self, frames: Iterable[TakenFrame]) -> None:
        """Add frames that were taken from the queue."""
        with self._changed:
            for taken in frames:
                queue = self._queues.setdefault((taken.model_key, taken.signature), deque())
                start = 0
                for entry in taken.frame.requests:
                    queue.append(Slice(taken, entry, start))
                    start += entry.rows
                taken.open_requests = len(taken.frame.requests)
                self._rows[taken.model_key] += start
                self._frames[taken] = None
            self._changed.notify_all()

    def close(self) -> None:
        """Let `take` and `wait_hungry` return when nothing is left, from now on."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def rows_wanted(self) -> dict[str, int]:
        """Return, for each model with less than a batch in hand, how many rows it lacks."""
        with self._changed:
            return self._wanted()

    def wait_hungry(self) -> dict[str, int]:
        """Wait until a model has less than a batch in hand; return as `rows_wanted`.

        Empty when the hand is closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or bool(self._wanted()))
            return {} if self._is_closed else self._wanted()

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
            self._changed.wait_for(lambda: self._is_closed or bool(self._queues))
            if not self._queues:
                return None
            batch = self._form(*now())
            self._changed.notify_all()
            return batch

    def finish(self, piece: Slice) -> TakenFrame | None:
        """Note that a request has its result; return its frame when that was the last one."""
        with self._changed:
            taken = piece.taken
            taken.open_requests -= 1
            if taken.open_requests:
                return None
            self._frames.pop(taken, None)
            return taken

    def frames_to_renew(self, now_s: float) -> list[TakenFrame]:
        """Return the frames in hand whose lease is ours, marked as renewed now.

        A frame whose lease has lapsed (this process was stopped) is another worker's by now.
        """
        with self._changed:
            held = [taken for taken in self._frames if now_s - taken.renewed_s < self._lease_s]
            for taken in held:
                taken.renewed_s = now_s
            return held

    def holds(self, model_key: str, entry_id: bytes) -> bool:
        """Return whether this frame is in hand."""
        with self._changed:
            return any(
                taken.entry_id == entry_id and taken.model_key == model_key
                for taken in self._frames
            )

    def holds_suspect(self) -> bool:
        """Return whether a frame that was in the hands of workers that died is in hand."""
        with self._changed:
            return any(taken.runs_alone for taken in self._frames)

    def _wanted(self) -> dict[str, int]:
        return {
            key: self._paces[key].batch_rows - rows
            for key, rows in self._rows.items()
            if rows < self._paces[key].batch_rows
        }

    def _form(self, now_s: float, now_us: int) -> Batch:
        key = min(self._queues, key=lambda key: self._queues[key][0].entry.deadline_us)
        queue, pace = self._queues[key], self._paces[key[0]]
        batch, rows = Batch(key[0]), 0
        while queue:
            piece = queue[0]
            has_room = not batch.slices or rows + piece.entry.rows <= pace.batch_rows
            is_alone = piece.taken.runs_alone and bool(batch.slices)
            if not has_room or is_alone:
                break
            queue.popleft()
            if not queue:
                del self._queues[key]
            self._rows[key[0]] -= piece.entry.rows
            if self._sort(piece, batch, now_s, now_us, pace):
                rows += piece.entry.rows
                if piece.taken.runs_alone:
                    break
        return batch

    def _sort(self, piece: Slice, batch: Batch, now_s: float, now_us: int, pace: Pace) -> bool:
        """Put a slice where it belongs; return whether it is to be run."""
        if now_s - piece.taken.renewed_s >= self._lease_s:
            # Another worker has it: neither run nor acknowledged here.
            self._frames.pop(piece.taken, None)
            return False
        # Kept in mind: a large request comes in several parts.
        if piece.entry.request_id in self._cancelled:
            batch.cancelled.append(piece)
            return False
        if self._is_late(piece, now_us, pace):
            batch.expired.append(piece)
            return False
        batch.slices.append(piece)
        return True

    def _is_late(self, piece: Slice, now_us: int, pace: Pace) -> bool:
        left_us = piece.entry.deadline_us - now_us
        if left_us <= -CLOCK_SANE_US:
            return False
        if left_us <= 0:
            return True
        # Too little time by the estimate: dropped while others wait. With nothing else to run it
        # is tried, or a wrong estimate could never be corrected.
        return left_us < pace.batch_us(piece.entry.rows) and bool(self._queues)


def joined(slices: list[Slice], *, own: bool) -> dict[str, Array]:
    """Return the batch's inputs: for each tensor the rows of the slices, in order.

    Neighbouring slices of one frame are one view. `own`: the arrays are writable and shared with
    nobody.
    """
    runs: list[tuple[TakenFrame, int, int]] = []
    for piece in slices:
        if runs and runs[-1][0] is piece.taken and runs[-1][2] == piece.start:
            runs[-1] = (piece.taken, runs[-1][1], piece.end)
        else:
            runs.append((piece.taken, piece.start, piece.end))
    if len(runs) == 1:
        taken, start, end = runs[0]
        views = {name: array[start:end] for name, array in taken.arrays.items()}
        return {name: view.copy() for name, view in views.items()} if own else views
    return {
        name: np.concatenate([taken.arrays[name][start:end] for taken, start, end in runs])
        for name in runs[0][0].arrays
    }
