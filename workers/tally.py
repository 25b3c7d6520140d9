"""What a worker counts between two beats; the beat carries it to a gateway's metrics."""

from __future__ import annotations

import threading
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Counts:
    """Frames taken over from other workers, frames given up on, and where the time went.

    `busy_us`: in runs; `gap_us`: between runs while there was work in hand.
    """

    reclaimed: int = 0
    dead_lettered: int = 0
    busy_us: int = 0
    gap_us: int = 0


NOTHING_COUNTED = Counts()


class Tally:
    """Counts since the last `take`; safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reclaimed = 0
        self._dead_lettered = 0
        self._busy_us = 0
        self._gap_us = 0

    def add_reclaimed(self) -> None:
        """Count a frame taken over."""
        with self._lock:
            self._reclaimed += 1

    def add_dead_letter(self) -> None:
        """Count a frame given up on."""
        with self._lock:
            self._dead_lettered += 1

    def add_run_time(self, busy_us: int, gap_us: int) -> None:
        """Count time in runs, and between runs while there was work."""
        with self._lock:
            self._busy_us += busy_us
            self._gap_us += gap_us

    def take(self) -> Counts:
        """Return what was counted since the last call."""
        with self._lock:
            counts = Counts(self._reclaimed, self._dead_lettered, self._busy_us, self._gap_us)
            self._reclaimed = self._dead_lettered = self._busy_us = self._gap_us = 0
            return counts
