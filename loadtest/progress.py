"""How far a run is: what a generator tells and a live view shows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """A run at one moment. Counts are totals so far; each offered request is counted once.

    `elapsed_s` of `seconds` have passed. `rate_per_s` is what was offered in the last second;
    `p50_ms` and `p99_ms` are those of the answers of the last seconds, None without enough of
    them; `lag_p99_ms` is the generator's own lag behind the intended send times.
    """

    elapsed_s: float
    seconds: float
    offered: int
    in_time: int
    late: int
    refused: int
    failed: int
    rate_per_s: float
    p50_ms: float | None
    p99_ms: float | None
    lag_p99_ms: float
    in_flight: int
