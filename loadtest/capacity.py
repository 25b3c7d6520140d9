"""`find-capacity`: the largest rate of which 99 % is answered within the target."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from loadtest.result import RunResult
from loadtest.summary import INTERVAL_Z, samples_needed

WANTED_SHARE = 0.99
PRECISION = 0.05
PROBES_MAX = 24
RATE_MAX = 1_000_000.0


class CapacityError(Exception):
    """No capacity can be claimed; the message says why."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One rate that was tried: the share answered in time and its 95 % confidence interval."""

    rate: float
    result: RunResult

    @property
    def share(self) -> float:
        """Answers within the target over requests offered."""
        return self.result.outcomes["in_time"] / self.result.offered

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % confidence interval of the share (Wilson, 1927)."""
        return wilson_interval(self.result.outcomes["in_time"], self.result.offered)

    @property
    def is_kept(self) -> bool:
        """Whether the target was kept."""
        return self.share >= WANTED_SHARE


@dataclass(slots=True)
class CapacitySearch:
    """Doubles the rate until the target is missed, then halves the gap; pure.

    Ends when the highest rate that kept the target and the lowest that missed it are within
    `PRECISION`, or after `PROBES_MAX` probes.
    """

    rate: float
    kept: float | None = None
    missed: float | None = None
    probes: int = field(default=0)

    @property
    def is_done(self) -> bool:
        """Whether the gap is small enough or there were probes enough."""
        if self.probes >= PROBES_MAX or (self.kept or 0.0) >= RATE_MAX:
            return True
        if self.missed is not None and self.missed < 1e-2:
            return True
        return (
            self.kept is not None
            and self.missed is not None
            and self.missed / self.kept <= 1 + PRECISION
        )

    def record(self, is_kept: bool) -> None:
        """Take in what became of `rate`, and choose the next."""
        self.probes += 1
        if is_kept:
            self.kept = max(self.rate, self.kept or 0.0)
        else:
            self.missed = min(self.rate, self.missed or math.inf)
        if self.missed is None:
            self.rate = min(self.rate * 2, RATE_MAX)
        elif self.kept is None:
            self.rate = self.rate / 2
        else:
            self.rate = math.sqrt(self.kept * self.missed)


@dataclass(frozen=True, slots=True)
class Capacity:
    """The result: the largest rate that kept the target, and every rate that was tried."""

    rate: float
    probe: Probe
    probes: list[Probe]


def find_capacity(
    start_rate: float,
    run: Callable[[float], RunResult],
    on_probe: Callable[[Probe], None] = lambda probe: None,
) -> Capacity:
    """Search from `start_rate` on; `run` runs a rate. `on_probe` hears of each result.

    Raises:
        CapacityError: a run was void or too short for the claim, or no rate kept the target.
    """
    search = CapacitySearch(start_rate)
    probes: list[Probe] = []
    while not search.is_done:
        probe = Probe(search.rate, run(search.rate))
        _check(probe)
        probes.append(probe)
        on_probe(probe)
        search.record(probe.is_kept)
    kept = [probe for probe in probes if probe.is_kept]
    if not kept:
        raise CapacityError(
            f"even {probes[-1].rate:g} requests/s were not answered within the target: "
            f"{probes[-1].share:.1%} in time"
        )
    best = max(kept, key=lambda probe: probe.rate)
    return Capacity(best.rate, best, probes)


def wilson_interval(hits: int, count: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of a share, `hits` of `count` (Wilson, 1927)."""
    share, z2 = hits / count, INTERVAL_Z**2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    spread = (
        INTERVAL_Z * math.sqrt(share * (1 - share) / count + z2 / (4 * count**2)) / (1 + z2 / count)
    )
    return max(0.0, middle - spread), min(1.0, middle + spread)


def probe_seconds(rate: float, seconds: float) -> float:
    """Return how long a rate must be offered so that a 99th percentile can be claimed."""
    return max(seconds, 1.2 * samples_needed(99.0) / rate)


def _check(probe: Probe) -> None:
    if probe.result.generator.void_reason is not None:
        raise CapacityError(f"at {probe.rate:g} requests/s: {probe.result.generator.void_reason}")
    if probe.result.offered < samples_needed(99.0):
        raise CapacityError(
            f"{probe.result.offered} requests at {probe.rate:g} per second are too few for a 99th "
            f"percentile; {samples_needed(99.0)} are needed"
        )
