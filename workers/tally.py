"""What a worker counts between two beats; the beat carries it to a gateway's metrics."""

from __future__ import annotations

import threading
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Counts:
    """Frames taken over from other workers, and frames given up on."""

    reclaimed: int = 0
    dead_lettered: int = 0


NOTHING_COUNTED = Counts()


class Tally:
    """Counts since the last `take`; safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reclaimed = 0
        self._dead_lettered = 0

    def add_reclaimed(self) -> None:
        """Count a frame taken over."""
        with self._lock:
            self._reclaimed += 1

    def add_dead_letter(self) -> None:
        """Count a frame given up on."""
        with self._lock:
            self._dead_lettered += 1

    def take(self) -> Counts:
        """Return what was counted since the last call."""
        with self._lock:
            counts = Counts(self._reclaimed, self._dead_lettered)
            self._reclaimed = self._dead_lettered = 0
            return counts
