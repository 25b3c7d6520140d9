"""How figures are written: measurements with three significant digits, settings as given."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

NOTHING = "–"
DECIMALS_MAX = 3
_PERCENTILE = re.compile(r"\d{1,3}(\.\d{1,9})?")


def number(value: float) -> str:
    """Return a measurement with three significant digits, or all digits before the point."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    decimals = min(max(0, 2 - math.floor(math.log10(abs(value)))), DECIMALS_MAX)
    text = f"{value:,.{decimals}f}"
    return text if text.strip("-0.") else "< 0.001"


def setting(value: float) -> str:
    """Return a number that somebody chose, with the digits that it needs."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:g}"


def count(value: int) -> str:
    """Return a count with all its digits, in groups of three."""
    return f"{value:,}"


def milliseconds(value_ms: float | None) -> str:
    """Return a measured length of time in ms, from ten seconds on in s."""
    if value_ms is None:
        return NOTHING
    return f"{number(value_ms / 1000)} s" if value_ms >= 10_000 else f"{number(value_ms)} ms"


def target(value_ms: float) -> str:
    """Return a chosen length of time in ms."""
    return f"{setting(value_ms)} ms"


def rate(value_per_s: float) -> str:
    """Return a measured rate per second."""
    return f"{number(value_per_s)}/s"


def duration(seconds: float) -> str:
    """Return the length of a run."""
    if seconds < 600:
        return f"{setting(round(seconds, 1))} s"
    if seconds < 36_000:
        return f"{setting(round(seconds / 60, 1))} min"
    return f"{setting(round(seconds / 3600, 1))} h"


def share(part: int, whole: int) -> str:
    """Return a percentage with two decimals; only all is 100 % and only nothing is 0 %.

    Above one half it is rounded down: a share of 98.996 % must not read as the 99 % that it missed.
    """
    if whole <= 0:
        return NOTHING
    if part in {0, whole}:
        return "100 %" if part else "0 %"
    hundredths = part * 10_000 // whole if 2 * part > whole else round(part * 10_000 / whole)
    return f"{hundredths / 100:.2f} %" if hundredths else "< 0.01 %"


def ratio(before: float | None, after: float | None) -> str:
    """Return how many times `before` `after` is."""
    if before is None or after is None or before == 0:
        return NOTHING
    return f"× {number(after / before)}"


def signed(value: float) -> str:
    """Return a difference with its sign."""
    text = number(abs(value))
    if text in {"0", "< 0.001"}:
        return "0"
    return f"{'+' if value > 0 else '−'}{text}"


def percentiles(of: Iterable[str]) -> list[str]:
    """Return the names that are percentiles, each once and ascending; others are left out."""
    return sorted({name for name in of if _PERCENTILE.fullmatch(name)}, key=float)


def percentile_name(percentile: str) -> str:
    """Return the name of a percentile in `Latency.percentiles_ms`."""
    return {"50": "p50", "100": "max"}.get(percentile, f"p{percentile}")
