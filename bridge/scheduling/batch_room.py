"""How much of the batch lane one gateway fills, and when there is room again."""

from __future__ import annotations

from typing import ClassVar

from bridge.scheduling.admission import Refusal
from bridge.scheduling.lanes import Lane

ROWS_MAX = 65_536
BYTES_MAX = 64 * 2**20
# A hint of less would make a client ask all the time, one of more would let the room stand empty.
RETRY_AFTER_S_MIN = 0.02
RETRY_AFTER_S_MAX = 5.0
# Where nothing has left the lane lately, so that nobody knows how fast it moves.
RETRY_AFTER_S_UNKNOWN = 1.0
# The pace is taken over at least so long: results come many rows at a time.
PACE_S_MIN = 0.25


class BatchPermit:
    """Room for `rows` rows of the batch lane; its rows are released once each, at `BatchRoom`."""

    __slots__ = ("_held_rows", "_room", "_row_share", "rows")

    lane: ClassVar[Lane] = "batch"

    def __init__(self, room: BatchRoom, rows: int, share: float) -> None:
        self._room = room
        self._held_rows = self.rows = rows
        self._row_share = share / rows

    def release(self, rows: int | None = None) -> None:
        """Give the room of `rows` rows back, by default of all; never of more than are held."""
        released = self._held_rows if rows is None else min(rows, self._held_rows)
        if released:
            self._held_rows -= released
            self._room.leave(released * self._row_share)


class BatchRoom:
    """One gateway's room for batch-lane rows, of all models together: rows and bytes are bounded.

    Batch-lane rows have no latency target, so nothing is forecast for them: they wait in the queue
    for what online requests leave. What bounds the wait is that no more of them are let in than the
    room holds. A request that finds the room empty is let in whatever its size.
    """

    def __init__(self, rows_max: int = ROWS_MAX, bytes_max: int = BYTES_MAX) -> None:
        self._rows_max = rows_max
        self._bytes_max = bytes_max
        self._taken = 0.0
        # Since `_since_s` so much has left; before that it was `_per_s`.
        self._left = 0.0
        self._since_s = 0.0
        self._per_s = 0.0

    @property
    def taken(self) -> float:
        """The share of the room that is taken; above 1 only by a request that was alone."""
        return self._taken

    def enter(self, now_s: float, rows: int, size: int) -> BatchPermit | Refusal:
        """Return a permit for `rows` rows of `size` bytes together, or a refusal.

        A refusal says after how long so much will have left, at the present pace.
        """
        self._measure(now_s)
        share = max(rows / self._rows_max, size / self._bytes_max)
        if self._taken and self._taken + share > 1.0:
            return Refusal(self._retry_after_s(min(self._taken, self._taken + share - 1.0)))
        self._taken += share
        return BatchPermit(self, rows, share)

    def leave(self, share: float) -> None:
        """Take a share of the room back."""
        self._left += share
        self._taken -= share
        # Shares come in portions and leave in others: what is left in the end is rounding.
        if self._taken < 0.5 / self._rows_max:
            self._taken = 0.0

    def _measure(self, now_s: float) -> None:
        elapsed_s = now_s - self._since_s
        if elapsed_s >= PACE_S_MIN:
            self._per_s = self._left / elapsed_s
            self._left, self._since_s = 0.0, now_s

    def _retry_after_s(self, wanted: float) -> float:
        if not self._per_s:
            return RETRY_AFTER_S_UNKNOWN
        return min(RETRY_AFTER_S_MAX, max(RETRY_AFTER_S_MIN, wanted / self._per_s))
