"""When requests are sent: times drawn before the run, from a seed, whatever the server does.

An open loop: the callers do not know of each other and do not wait. All functions return send times
in seconds from the start of the run, ascending, as float64 of shape (n,).
"""

from __future__ import annotations

import csv
import math
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

Times = np.ndarray[Any, np.dtype[np.float64]]

REQUESTS_MAX = 50_000_000
TRACE_COLUMNS = ("timestamp", "Timestamp", "TIMESTAMP", "time", "arrived_at", "end_timestamp")


class ArrivalsError(Exception):
    """Arrivals that cannot be drawn; the message names the setting or the trace's line."""


class Constant(msgspec.Struct, frozen=True, tag="constant", tag_field="kind", kw_only=True):
    """Equal gaps: the kindest load there is."""

    rate: float

    def draw(self, seconds: float, random: np.random.Generator) -> Times:
        """Return the send times of `seconds` seconds; `random` is not used."""
        del random
        times: Times = np.arange(_count(self.rate, seconds)) / self.rate
        return times


class Poisson(msgspec.Struct, frozen=True, tag="poisson", tag_field="kind", kw_only=True):
    """Independent callers: exponential gaps, coefficient of variation 1."""

    rate: float

    def draw(self, seconds: float, random: np.random.Generator) -> Times:
        """Return the send times of `seconds` seconds."""
        return _renewal(seconds, self.rate, 1.0, random)


class Gamma(msgspec.Struct, frozen=True, tag="gamma", tag_field="kind", kw_only=True):
    """Gamma gaps with a chosen coefficient of variation: above 1 they come in bursts."""

    rate: float
    cv: float

    def draw(self, seconds: float, random: np.random.Generator) -> Times:
        """Return the send times of `seconds` seconds."""
        if not self.cv > 0:
            raise ArrivalsError(f"arrivals.cv: {self.cv} is not positive")
        return _renewal(seconds, self.rate, self.cv, random)


class Square(msgspec.Struct, frozen=True, tag="square", tag_field="kind", kw_only=True):
    """A Poisson process whose rate jumps between `rate` and `high_rate` every half period."""

    rate: float
    high_rate: float
    period_s: float
    high_share: float = 0.5

    def draw(self, seconds: float, random: np.random.Generator) -> Times:
        """Return the send times of `seconds` seconds; a period begins low."""
        if not self.period_s > 0 or not 0 < self.high_share < 1:
            raise ArrivalsError("arrivals: period_s must be positive, high_share between 0 and 1")

        def rates(times: Times) -> Times:
            phase = np.mod(times, self.period_s) / self.period_s
            high: Times = np.where(phase >= 1 - self.high_share, self.high_rate, self.rate)
            return high

        return _thinned(seconds, max(self.rate, self.high_rate), rates, random)


class Ramp(msgspec.Struct, frozen=True, tag="ramp", tag_field="kind", kw_only=True):
    """A Poisson process whose rate grows evenly from `rate` to `end_rate`."""

    rate: float
    end_rate: float

    def draw(self, seconds: float, random: np.random.Generator) -> Times:
        """Return the send times of `seconds` seconds."""

        def rates(times: Times) -> Times:
            return self.rate + (self.end_rate - self.rate) * times / seconds

        return _thinned(seconds, max(self.rate, self.end_rate), rates, random)


class Replay(msgspec.Struct, frozen=True, tag="replay", tag_field="kind", kw_only=True):
    """The send times of a trace: a CSV with a timestamp column (BurstGPT, Azure Functions).

    Timestamps are seconds, or dates in ISO 8601. `speed` 2 plays twice as fast; `column` names the
    column where it is not one of the usual names.
    """

    file: str
    speed: float = 1.0
    column: str | None = None

    def draw(self, seconds: float, random: np.random.Generator) -> Times:
        """Return the trace's times, from its first on, up to `seconds` seconds."""
        del random
        if not self.speed > 0:
            raise ArrivalsError(f"arrivals.speed: {self.speed} is not positive")
        stamps = np.sort(np.array(_read_trace(Path(self.file), self.column), dtype=np.float64))
        times: Times = (stamps - stamps[0]) / self.speed
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


def offered_rate(times: Times, seconds: float) -> float:
    """Return the mean rate of drawn times, per second."""
    return len(times) / seconds


def _check_rate(rate: float) -> None:
    if not (rate > 0 and math.isfinite(rate)):
        raise ArrivalsError(
            f"arrivals.rate: {rate} is not a positive number of requests per second"
        )


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
    _check_rate(highest)
    times = _renewal(seconds, highest, 1.0, random)
    kept: Times = times[random.random(len(times)) * highest < rates(times)]
    return kept


def _read_trace(path: Path, column: str | None) -> list[float]:
    try:
        with path.open(newline="") as file:
            reader = csv.DictReader(file)
            name = _column(reader.fieldnames or [], column, path)
            stamps = [_seconds(row[name], path, reader.line_num) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ArrivalsError(f"arrivals.file: {path}: {error}") from error
    if not stamps:
        raise ArrivalsError(f"arrivals.file: {path}: holds no rows")
    return stamps


def _column(names: Any, wanted: str | None, path: Path) -> str:
    for name in (wanted,) if wanted else TRACE_COLUMNS:
        if name in names:
            return str(name)
    raise ArrivalsError(
        f"arrivals.column: {path} has the columns {', '.join(map(str, names))}; name one"
    )


def _seconds(text: str | None, path: Path, line: int) -> float:
    try:
        value = float(text or "")
    except ValueError:
        try:
            value = datetime.fromisoformat(text or "").timestamp()
        except ValueError:
            raise ArrivalsError(
                f"arrivals.file: {path}, line {line}: {text!r} is neither seconds nor a date"
            ) from None
    if not math.isfinite(value):
        raise ArrivalsError(f"arrivals.file: {path}, line {line}: {text!r} is not a time")
    return value
