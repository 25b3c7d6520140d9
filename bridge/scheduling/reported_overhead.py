"""The overhead that workers reckon with when they choose B: what gateways say of it, smoothed."""

from __future__ import annotations

import math

# What a gateway said is believed for so long; also the bound on how many are remembered: those
# that were heard within it.
HEARD_S_MAX = 2.0
# Gateways report the p95 of a second or so, which moves by half from second to second.
MEMORY_S = 3.0
# B follows o only beyond this share of it: a batch size that moves with every report costs the
# workers more than one that is a little off.
DEAD_SHARE = 0.25


class ReportedOverhead:
    """o of the worst gateway heard lately, as a mean over `MEMORY_S` seconds.

    `in_use_s` is what B is chosen with: it changes only when the mean is a quarter away from it,
    so at most once in about a second, and not at all under reports that swing by a fifth.
    """

    __slots__ = ("_at_s", "_heard", "_mean_s", "in_use_s")

    def __init__(self, start_s: float) -> None:
        """`start_s` is reckoned with until gateways have said otherwise."""
        self.in_use_s = self._mean_s = start_s
        self._at_s: float | None = None
        self._heard: dict[str, tuple[float, float]] = {}

    def observe(self, gateway: str, overhead_s: float, now_s: float) -> None:
        """Take in what a gateway says; 0 is no report."""
        if overhead_s <= 0:
            return
        self._heard[gateway] = (overhead_s, now_s)
        for silent in [
            name for name, (_, at_s) in self._heard.items() if self._is_old(at_s, now_s)
        ]:
            del self._heard[silent]
        # The first report counts as much as a second of them.
        passed_s = 1.0 if self._at_s is None else max(0.0, now_s - self._at_s)
        self._at_s = now_s
        worst_s = max(said_s for said_s, _ in self._heard.values())
        self._mean_s += (1 - math.exp(-passed_s / MEMORY_S)) * (worst_s - self._mean_s)
        if abs(self._mean_s - self.in_use_s) > DEAD_SHARE * self.in_use_s:
            self.in_use_s = self._mean_s

    @staticmethod
    def _is_old(at_s: float, now_s: float) -> bool:
        return now_s - at_s > HEARD_S_MAX
