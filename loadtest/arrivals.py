"""When requests are sent: times drawn before the run, from a seed, whatever the server does.

An open loop: the callers do not know of each other and do not wait. Send times are in seconds from
the start of the run, ascending, as float64 of shape (n,).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from loadtest.trace import ArrivalsError, Times, read_trace

REQUESTS_MAX = 50_000_000


class _Arrivals(msgspec.Struct, frozen=True, tag_field="kind", forbid_unknown_fields=True):
    pass


class Constant(_Arrivals, frozen=True, tag="constant", kw_only=True):
    """Equal gaps: the kindest load there is."""

    rate: float

    def draw(self, seconds: float, random: np.random.Generator) -> Times:
        """Return the send times of `seconds` seconds; `random` is not used."""
        del random
        times: Times = np.arange(_count(self.rate, seconds)) / self.rate
        return times


class Poisson(_Arrivals, frozen=True, tag="poisson", kw_only=True):
    """Independent callers: exponential gaps, coefficient of variation 1."""

    rate: float

    def draw(self, seconds: float, random: np.random.Generator) -> Times:
        """Return the send times of `seconds` seconds."""
        return _renewal(seconds, self.rate, 1.0, random)


class Gamma(_Arrivals, frozen=True, tag="gamma", kw_only=True):
    """Gamma gaps with a chosen coefficient of variation: above 1 they come in bursts."""

    rate: float
    cv: float

    def draw(self, seconds: float, random: np.random.Generator) -> Times:
        """Return the send times of `seconds` seconds."""
        if not (self.cv > 0 and math.isfinite(self.cv)):
            raise ArrivalsError(f"arrivals.cv: {self.cv} is not a positive number")
        return _renewal(seconds, self.rate, self.cv, random)


class Square(_Arrivals, frozen=True, tag="square", kw_only=True):
    """A Poisson process whose rate jumps between `rate` and `high_rate` every half period."""

    rate: float
    high_rate: float
    period_s: float
    high_share: float = 0.5

    def draw(self, seconds: float, random: np.random.Generator) -> Times:
        """Return the send times of `seconds` seconds; a period begins low."""
        if not self.period_s > 0:
            raise ArrivalsError(f"arrivals.period_s: {self.period_s} is not positive")
        if not 0 < self.high_share < 1:
            raise ArrivalsError(f"arrivals.high_share: {self.high_share} is not between 0 and 1")
        _check_rate(self.high_rate, "arrivals.high_rate")

        def rates(times: Times) -> Times:
            phase = np.mod(times, self.period_s) / self.period_s
            high: Times = np.where(phase >= 1 - self.high_share, self.high_rate, self.rate)
            return high

        return _thinned(seconds, max(self.rate, self.high_rate), rates, random)


class Ramp(_Arrivals, frozen=True, tag="ramp", kw_only=True):
    """A Poisson process whose rate grows evenly from `rate` to `end_rate`."""

    rate: float
    end_rate: float

    def draw(self, seconds: float, random: np.random.Generator) -> Times:
        """Return the send times of `seconds` seconds."""
        _check_rate(self.end_rate, "arrivals.end_rate")

        def rates(times: Times) -> Times:
            return self.rate + (self.end_rate - self.rate) * times / seconds

        return _thinned(seconds, max(self.rate, self.end_rate), rates, random)


class Replay(_Arrivals, frozen=True, tag="replay", kw_only=True):
    """The send times of a trace (see `read_trace`: BurstGPT, Azure Functions and such).

    `speed` 2 plays twice as fast; `column` names the column with the times where it is not one of
    the usual names.
    """

    file: str
    speed: float = 1.0
    column: str | None = None

    def draw(self, seconds: float, random: np.random.Generator) -> Times:
        """Return the trace's times, from its first on, up to `seconds` seconds.

        `random` places requests within a minute where the trace only counts them by the minute.
        """
        if not (self.speed > 0 and math.isfinite(self.speed)):
            raise ArrivalsError(f"arrivals.speed: {self.speed} is not a positive number")
        times: Times = read_trace(Path(self.file), self.column, random) / self.speed
        kept: Times = times[times < seconds]
        return kept


Arrivals = Constant | Poisson | Gamma | Square | Ramp | Replay


def draw(arrivals: Arrivals, seconds: float, seed: int) -> Times:
    """Return the send times of a run; the same arguments give the same times.

    Raises:
        ArrivalsError: a rate, duration or trace that cannot be used.
    """
    if not seconds > 0 or not math.isfinite(seconds):
        raise ArrivalsError(f"seconds: {seconds} is not a positive length")
    if not isinstance(arrivals, Replay):
        _check_rate(arrivals.rate)
    return arrivals.draw(seconds, np.random.default_rng(seed))


def mean_rate(arrivals: Arrivals) -> float:
    """Return the mean rate of a pattern, in requests per second; of a trace, over all of it.

    Raises:
        ArrivalsError: a trace that cannot be read, or with fewer than two moments.
    """
    match arrivals:
        case Constant() | Poisson() | Gamma():
            return arrivals.rate
        case Square():
            share = arrivals.high_share
            return arrivals.rate * (1 - share) + arrivals.high_rate * share
        case Ramp():
            return (arrivals.rate + arrivals.end_rate) / 2
        case Replay():
            times = read_trace(Path(arrivals.file), arrivals.column, np.random.default_rng(0))
            if times[-1] <= 0:
                raise ArrivalsError(f"arrivals.file: {arrivals.file}: all in one moment, no rate")
            return (len(times) - 1) / float(times[-1]) * arrivals.speed


def scaled(arrivals: Arrivals, factor: float) -> Arrivals:
    """Return the same pattern at `factor` times the rate."""
    replace = msgspec.structs.replace
    match arrivals:
        case Constant() | Poisson() | Gamma():
            return replace(arrivals, rate=arrivals.rate * factor)
        case Square():
            return replace(
                arrivals, rate=arrivals.rate * factor, high_rate=arrivals.high_rate * factor
            )
        case Ramp():
            return replace(
                arrivals, rate=arrivals.rate * factor, end_rate=arrivals.end_rate * factor
            )
        case Replay():
            return replace(arrivals, speed=arrivals.speed * factor)


def _check_rate(rate: float, name: str = "arrivals.rate") -> None:
    if not (rate > 0 and math.isfinite(rate)):
        raise ArrivalsError(f"{name}: {rate} is not a positive number of requests per second")


def _count(rate: float, seconds: float) -> int:
    count = math.floor(rate * seconds)
    if count > REQUESTS_MAX:
        raise ArrivalsError(f"{count} requests, more than {REQUESTS_MAX} allowed in one run")
    return count


def _renewal(seconds: float, rate: float, cv: float, random: np.random.Generator) -> Times:
    """A renewal process with gamma gaps: shape 1 / cv², mean 1 / rate."""
    shape = 1 / cv**2
    expected = _count(rate, seconds)
    times = np.empty(0)
    while not len(times) or times[-1] < seconds:
        more = max(64, int((expected - len(times)) * 1.05 + 4 * cv * expected**0.5))
        gaps = random.gamma(shape, 1 / (rate * shape), more)
        start = times[-1] if len(times) else 0.0
        times = np.concatenate([times, start + np.cumsum(gaps)])
    return times[times < seconds]


def _thinned(seconds: float, highest: float, rates: Any, random: np.random.Generator) -> Times:
    """A Poisson process with a varying rate, by thinning (Lewis and Shedler, 1979)."""
    times = _renewal(seconds, highest, 1.0, random)
    kept: Times = times[random.random(len(times)) * highest < rates(times)]
    return kept
