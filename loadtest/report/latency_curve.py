"""The latency distribution of a run, read from its histogram, and how far samples support it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]

from loadtest.result import Latency
from loadtest.summary import CONFIDENCE

Floats = np.ndarray[Any, np.dtype[np.float64]]
POINTS = 240


@dataclass(frozen=True, slots=True)
class LatencyCurve:
    """Latency by percentile; both arrays have shape (n,), ascending.

    `nines` is −log₁₀(1 − p): 1 is the 90th percentile, 2 the 99th, 3 the 99.9th. Above
    `nines_supported` the samples are too few for a claim.
    """

    nines: Floats
    latency_ms: Floats
    nines_supported: float

    @classmethod
    def read(cls, latency: Latency) -> LatencyCurve | None:
        """Return the curve, or None where there are no samples or the histogram is unreadable."""
        histogram = _decode(latency.histogram)
        count = histogram.get_total_count() if histogram else 0
        if not count:
            return None
        nines = np.linspace(0.0, max(math.log10(count), 1.0), POINTS)
        percentiles = (100 * (1 - 10.0**-nines)).tolist()
        by_percentile = histogram.get_percentile_to_value_dict(percentiles)
        latency_ms = np.array([by_percentile[percentile] for percentile in percentiles]) / 1000
        latency_ms[-1] = histogram.get_max_value() / 1000
        return cls(nines, latency_ms, nines_supported(count))


def nines_supported(samples: int) -> float:
    """Return how many nines so many samples support.

    The inverse of `loadtest.summary.samples_needed`.
    """
    return -math.log10(1 - (1 - CONFIDENCE) ** (1 / samples)) if samples else 0.0


def _decode(encoded: str) -> Any:
    try:
        return HdrHistogram.decode(encoded)
    except Exception:  # its own errors and those of zlib, base64 and ctypes: no plot, then
        return None
