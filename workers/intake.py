"""What reads have brought of each lane: how large its frames are, and whether it is in use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from bridge.scheduling.lanes import ModelLane
from workers.hand import TakenFrame

READ_FRAMES_MAX = 128
# Weight of the last read in the running mean of rows per frame.
MEAN_WEIGHT = 0.25
# A lane had frames "just now" for so long.
ACTIVE_S = 1.0


class Intake:
    """Says how many frames a read may take; for the reader's thread.

    At first each batch lane counts as in use: a worker may start beside a long queue.
    """

    def __init__(self, lanes: Iterable[ModelLane], now_s: float) -> None:
        self._rows_per_frame: dict[ModelLane, float] = {}
        self._seen_s = {lane: now_s for lane in lanes if lane.lane == "batch"}

    def learn(self, lane: ModelLane, frames: Sequence[TakenFrame], now_s: float) -> None:
        """Note what a read has brought of a lane."""
        if frames:  # and not only junk, from which nothing is learned
            self._seen_s[lane] = now_s
        for taken in frames:
            rows = sum(entry.rows for entry in taken.frame.requests)
            mean = self._rows_per_frame.get(lane, float(rows))
            self._rows_per_frame[lane] = mean + MEAN_WEIGHT * (rows - mean)

    def leaves_out(self, wanted: Mapping[ModelLane, int], now_s: float) -> bool:
        """Note which lanes are wanted; return whether one that has had frames is not."""
        full = self._rows_per_frame.keys() - wanted.keys()
        for lane in full:  # its frames wait in the queue, unseen
            self._seen_s[lane] = now_s
        return bool(full)

    def is_in_use(self, lane: ModelLane, now_s: float) -> bool:
        """Whether a lane had frames just now."""
        return now_s - self._seen_s.get(lane, now_s - ACTIVE_S) < ACTIVE_S

    def count(self, wanted: Mapping[ModelLane, int], now_s: float) -> int:
        """Return the frames to take from each stream, at least 1.

        COUNT is per stream, so it is the least that any may take among the lanes in use; an idle
        model with small batches must not slow the others down.
        """
        counts = [
            rows / self._rows_per_frame.get(lane, float(rows))
            for lane, rows in wanted.items()
            if self.is_in_use(lane, now_s)
        ]
        return max(1, min(READ_FRAMES_MAX, int(min(counts, default=READ_FRAMES_MAX))))
