"""`find-capacity`: the largest rate of which 99 % is answered within the target."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from loadtest.errors import LoadtestError
from loadtest.result import RateStep, RunResult
from loadtest.summary import INTERVAL_Z, samples_needed

WANTED_SHARE = 0.99
PRECISION = 0.05
PRECISION_MIN, PRECISION_MAX = 0.01, 1.0
PROBES_MAX = 24
# Below the first rate, while none has kept the target: lower rates need ever longer runs.
HALVINGS_MAX = 4
RATE_MAX = 1_000_000.0
# A rate whose runs are void so often cannot be judged.
TRIES_MAX = 2


class CapacityError(LoadtestError):
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
    def step(self) -> RateStep:
        """The rate and what came of it."""
        result = self.result
        return RateStep(
            offered_per_s=result.offered_per_s,
            goodput_per_s=result.goodput_per_s,
            refused_per_s=result.outcomes.get("refused", 0) / result.seconds,
            p50_ms=result.latency.percentiles_ms["50"],
            p99_ms=result.latency.percentiles_ms["99"],
        )

    @property
    def void_reason(self) -> str | None:
        """Why the run proves nothing, None for a sound run."""
        return self.result.generator.void_reason

    @property
    def is_kept(self) -> bool:
        """Whether the target was kept."""
        return self.share >= WANTED_SHARE


@dataclass(slots=True)
class CapacitySearch:
    """Doubles the rate until the target is missed, then halves the gap; pure.

    Ends when the highest rate that kept the target and the lowest that missed it are within
    `precision` of each other, when no rate down to 1 / 2^`HALVINGS_MAX` of the first kept it, or
    after `PROBES_MAX` probes.
    """

    rate: float
    precision: float = PRECISION
    kept: float | None = None
    missed: float | None = None
    probes: int = field(default=0)

    @property
    def is_done(self) -> bool:
        """Whether the gap is small enough or there were probes enough."""
        if self.probes >= PROBES_MAX or (self.kept or 0.0) >= RATE_MAX:
            return True
        if self.kept is None and self.probes > HALVINGS_MAX:
            return True
        return (
            self.kept is not None
            and self.missed is not None
            and self.missed / self.kept <= 1 + self.precision
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
    """The result: the largest rate that kept the target, and every sound run.

    `limit` says why no higher rate could be judged, None where a higher rate missed the target.
    """

    rate: float
    probe: Probe
    probes: list[Probe]
    limit: str | None = None

    @property
    def result(self) -> RunResult:
        """The run at the capacity, with every rate that was tried as a step."""
        steps = [probe.step for probe in sorted(self.probes, key=lambda probe: probe.rate)]
        return msgspec.structs.replace(self.probe.result, name="capacity", steps=steps)


def find_capacity(
    start_rate: float,
    run: Callable[[float], RunResult],
    on_probe: Callable[[Probe], None] = lambda probe: None,
    precision: float = PRECISION,
) -> Capacity:
    """Search from `start_rate` on; `run` runs a rate. `on_probe` hears of each run.

    A void run proves nothing, so it is repeated. A rate whose runs are all void bounds the search
    from above and the result says so: a capacity at least, not the capacity.

    Raises:
        CapacityError: `start_rate` is not positive, `precision` is out of its bounds, a run was too
            short for the claim, or no rate kept the target.
    """
    if not (start_rate > 0 and math.isfinite(start_rate)):
        raise CapacityError(f"start: {start_rate} is not a positive number of requests per second")
    if not PRECISION_MIN <= precision <= PRECISION_MAX:
        raise CapacityError(
            f"precision: {precision} is not between {PRECISION_MIN} and {PRECISION_MAX}"
        )
    search = CapacitySearch(start_rate, precision)
    sound: list[Probe] = []
    void: dict[float, str] = {}
    while not search.is_done:
        probe = _probe(search.rate, run, on_probe)
        if probe.void_reason is None:
            sound.append(probe)
        else:
            void[probe.rate] = probe.void_reason
        search.record(probe.void_reason is None and probe.is_kept)
    kept = [probe for probe in sound if probe.is_kept]
    limit = None if search.missed is None else void.get(search.missed)
    if not kept:
        raise CapacityError(_nothing_kept(sound, limit))
    best = max(kept, key=lambda probe: probe.rate)
    return Capacity(best.rate, best, sound, limit)


def _probe(
    rate: float, run: Callable[[float], RunResult], on_probe: Callable[[Probe], None]
) -> Probe:
    """A void run may be a hiccup of the machine: it is repeated."""
    for _ in range(TRIES_MAX):
        probe = Probe(rate, run(rate))
        if probe.result.offered < samples_needed(99.0):
            raise CapacityError(
                f"{probe.result.offered} requests at {rate:,.0f} per second are too few for a 99th "
                f"percentile; {samples_needed(99.0)} are needed"
            )
        on_probe(probe)
        if probe.void_reason is None:
            break
    return probe


def _nothing_kept(sound: list[Probe], limit: str | None) -> str:
    if limit is not None or not sound:
        return f"no rate could be judged, all lower ones included: {limit}"
    lowest = min(sound, key=lambda probe: probe.rate)
    return (
        f"even {lowest.rate:g} requests/s were not answered within the target: "
        f"{lowest.share:.1%} in time"
    )


def wilson_interval(hits: int, count: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of a share, `hits` of `count` (Wilson, 1927)."""
    share, z2 = hits / count, INTERVAL_Z**2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    spread = (
        INTERVAL_Z * math.sqrt(share * (1 - share) / count + z2 / (4 * count**2)) / (1 + z2 / count)
    )
    return max(0.0, middle - spread), min(1.0, middle + spread)


def probe_seconds(rate: float, seconds: float, target_s: float, precision: float) -> float:
    """Return how long a rate must be offered: at least `seconds`.

    Long enough for a 99th percentile, and for an overload to show. A server that gets `precision`
    more than it can do falls behind by so much of the time, so it keeps a target of `target_s` for
    `target_s / precision`; a shorter run would find a capacity that the server does not have.
    """
    return max(seconds, 1.2 * samples_needed(99.0) / rate, target_s / precision)
