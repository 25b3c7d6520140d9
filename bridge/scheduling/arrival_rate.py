"""How many rows a second arrive, as an exponentially weighted mean."""

from __future__ import annotations

import math

MEMORY_S = 1.0


class ArrivalRate:
    """Rows per second over about the last `MEMORY_S` seconds."""

    __slots__ = ("_at_s", "_per_s")

    def __init__(self) -> None:
        self._per_s = 0.0
        self._at_s = 0.0

    def observe(self, now_s: float, rows: int) -> None:
        """Take in an arrival."""
        self._per_s = self.per_s(now_s) + rows / MEMORY_S
        self._at_s = now_s

    def per_s(self, now_s: float) -> float:
        """Return the rate; it fades while nothing arrives."""
        if not self._per_s:
            return 0.0
        return self._per_s * math.exp((self._at_s - now_s) / MEMORY_S)
