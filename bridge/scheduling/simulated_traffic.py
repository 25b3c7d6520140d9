"""When simulated callers come: renewal processes with gamma gaps, at a rate that may change."""

from __future__ import annotations

import numpy as np

from bridge.scheduling.simulated_outcome import Floats
from bridge.scheduling.simulated_setup import Traffic

_GAPS_BEYOND = 1.05


def arrival_times_s(traffic: Traffic, duration_s: float, random: np.random.Generator) -> Floats:
    """Return the times from 0 to `duration_s` at which the requests of `traffic` come, ascending.

    A renewal process of mean gap 1 in operational time, which runs at the rate of the phase.
    """
    times, expected = _phases(traffic, duration_s)
    count = int(expected[-1] * _GAPS_BEYOND + 10 * np.sqrt(expected[-1]) * traffic.cv + 10)
    shape = 1 / traffic.cv**2
    passed = np.cumsum(random.gamma(shape, 1 / shape, count))
    found: Floats = np.interp(passed[passed < expected[-1]], expected, times)
    return found


def _phases(traffic: Traffic, duration_s: float) -> tuple[Floats, Floats]:
    """Return the instants at which the rate changes, and how many requests are expected by then."""
    times, expected = [0.0], [0.0]
    while times[-1] < duration_s:
        for phase in traffic.phases:
            lasts_s = min(phase.lasts_s, duration_s - times[-1])
            times.append(times[-1] + lasts_s)
            expected.append(expected[-1] + phase.per_s * lasts_s)
    return np.array(times), np.array(expected)
