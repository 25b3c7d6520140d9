"""From what was recorded to what may be claimed: outcomes, percentiles, intervals, soundness."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]

from loadtest.result import GeneratorCost, Latency, ModelPart, RateStep, Second
from loadtest.traffic import LEFT, LOST, OK, TIMED_OUT, UNSENT, WRONG, Floats, Ints, Recording

PERCENTILES = (50.0, 90.0, 99.0, 99.9)
CONFIDENCE = 0.99
INTERVAL_Z = 1.96
LAG_SHARE_MAX = 0.01
HIGHEST_US = 3_600_000_000
SIGNIFICANT_DIGITS = 3
STEPS = 12
_NAMES = {
    429: "refused",
    503: "unavailable",
    504: "expired",
    UNSENT: "unsent",
    LOST: "lost",
    TIMED_OUT: "timed_out",
    LEFT: "left",
    WRONG: "wrong",
}


def merged(parts: Sequence[Recording]) -> Recording:
    """Return the recordings of several processes as one, by intended time."""
    order = np.argsort(np.concatenate([part.intended_s for part in parts]), kind="stable")

    def join(name: str) -> Any:
        return np.concatenate([getattr(part, name) for part in parts])[order]

    return Recording(
        join("choice"),
        join("intended_s"),
        join("lag_s"),
        join("sent_s"),
        join("done_s"),
        join("status"),
        join("tries"),
        sum(part.cpu_s for part in parts),
        sum(part.connections for part in parts),
        next((part.first_wrong for part in parts if part.first_wrong is not None), None),
    )


def after_warm_up(recording: Recording, warm_s: float) -> Recording:
    """Return what was intended after `warm_s`, with times counted from there."""
    is_kept = recording.intended_s >= warm_s
    share = float(is_kept.mean()) if len(is_kept) else 1.0
    kept = recording.part(is_kept)
    return replace(
        kept,
        intended_s=kept.intended_s - warm_s,
        sent_s=kept.sent_s - warm_s,
        done_s=kept.done_s - warm_s,
        cpu_s=recording.cpu_s * share,  # a request costs the same before and after
        connections=recording.connections,
        first_wrong=recording.first_wrong,
    )


def samples_needed(percentile: float) -> int:
    """Return the fewest samples for a percentile.

    So many that with 99 % confidence at least one lies above it: n with (p / 100)^n <= 0.01
    (Wilks, 1941); 459 for the 99th.
    """
    return math.ceil(math.log(1 - CONFIDENCE) / math.log(percentile / 100))


def percentile_ms(sorted_ms: Floats, percentile: float) -> float | None:
    """Return a percentile of ascending samples, the nearest rank; None without enough samples."""
    if not len(sorted_ms) or len(sorted_ms) < samples_needed(percentile):
        return None
    return float(sorted_ms[nearest_rank(percentile, len(sorted_ms)) - 1])


def nearest_rank(percentile: float, count: int) -> int:
    """Return the rank, from 1, of a percentile in `count` ascending samples."""
    # Rounded first: 0.999 * 1000 is 999.0000000000001 in floating point, its ceiling a rank off.
    return max(1, math.ceil(round(percentile * count / 100, 6)))


def percentile_interval_ms(sorted_ms: Floats, percentile: float) -> tuple[float, float] | None:
    """Return the 95 % confidence interval of a percentile, by order statistics.

    The ranks are n q ± 1.96 sqrt(n q (1 - q)) (Conover, Practical Nonparametric Statistics, 3.2).
    """
    count, share = len(sorted_ms), percentile / 100
    if count < samples_needed(percentile):
        return None
    middle, spread = count * share, INTERVAL_Z * math.sqrt(count * share * (1 - share))
    low = max(0, math.floor(middle - spread) - 1)
    high = min(count - 1, math.ceil(middle + spread) - 1)
    return float(sorted_ms[low]), float(sorted_ms[high])


def latency_ms(recording: Recording) -> Floats:
    """Return the latencies of the answers with status 200, from the intended time."""
    answered = recording.status == OK
    result: Floats = (recording.done_s[answered] - recording.intended_s[answered]) * 1e3
    return result


def latency_summary(recording: Recording) -> Latency:
    """Return what may be claimed of the latency."""
    ordered = np.sort(latency_ms(recording))
    percentiles = {f"{p:g}": percentile_ms(ordered, p) for p in PERCENTILES}
    percentiles["100"] = float(ordered[-1]) if len(ordered) else None
    return Latency(
        samples=len(ordered),
        mean_ms=float(ordered.mean()) if len(ordered) else None,
        percentiles_ms=percentiles,
        p99_interval_ms=percentile_interval_ms(ordered, 99.0),
        histogram=_histogram(ordered),
    )


def outcomes(recording: Recording, target_ms: float) -> dict[str, int]:
    """Count every request once, by what became of it; see `RunResult`."""
    in_time = int(np.count_nonzero(latency_ms(recording) <= target_ms))
    counts = {"in_time": in_time}
    values, numbers = np.unique(recording.status, return_counts=True)
    for value, number in zip(values.tolist(), numbers.tolist(), strict=True):
        if value == OK:
            counts["late"] = number - in_time
        else:
            counts[_NAMES.get(value, f"status {value}")] = number
    return counts


def model_parts(
    recording: Recording, target_ms: float, models: Sequence[str], which: Ints
) -> list[ModelPart]:
    """Return what each model answered; request i asked `models[which[i]]`."""
    parts = [recording.part(which == number) for number in range(len(models))]
    return [
        ModelPart(
            model=model,
            offered=len(part.intended_s),
            outcomes=outcomes(part, target_ms),
            latency=latency_summary(part),
        )
        for model, part in zip(models, parts, strict=True)
    ]


def generator_cost(
    recording: Recording, target_ms: float, processes: int, *, is_open: bool
) -> GeneratorCost:
    """Return the generator's own lag and cost; void if its lag alone could explain the result."""
    lag_ms = np.sort(recording.lag_s[~np.isnan(recording.lag_s)]) * 1e3
    count = max(1, len(recording.intended_s))
    p99 = float(lag_ms[nearest_rank(99.0, len(lag_ms)) - 1]) if len(lag_ms) else 0.0
    return GeneratorCost(
        lag_p50_ms=float(lag_ms[len(lag_ms) // 2]) if len(lag_ms) else 0.0,
        lag_p99_ms=p99,
        lag_max_ms=float(lag_ms[-1]) if len(lag_ms) else 0.0,
        cpu_s=recording.cpu_s,
        cpu_us_per_request=recording.cpu_s / count * 1e6,
        processes=processes,
        connections=recording.connections,
        void_reason=_void_reason(recording, p99, target_ms) if is_open else None,
    )


def _void_reason(recording: Recording, lag_p99_ms: float, target_ms: float) -> str | None:
    if not len(recording.intended_s):
        return "no request was due in the measured time"
    unsent = int(np.count_nonzero(recording.status == UNSENT))
    if unsent:
        return f"the generator itself did not send {unsent} of {len(recording.intended_s)} requests"
    allowed_ms = LAG_SHARE_MAX * target_ms
    if lag_p99_ms > allowed_ms:
        return (
            f"the generator itself was late: p99 {lag_p99_ms:.2f} ms, more than 1 % of the target "
            f"({allowed_ms:.2f} ms); use more processes or a quieter machine"
        )
    return None


def series(recording: Recording, seconds: float, target_ms: float) -> list[Second]:
    """Return the run second by second, by intended time."""
    edges = np.arange(0, math.ceil(seconds) + 1)
    starts = np.searchsorted(recording.intended_s, edges)
    return [
        _second(float(at), recording.part(slice(first, last)), target_ms)
        for at, first, last in zip(edges[:-1], starts[:-1], starts[1:], strict=True)
    ]


def rate_steps(recording: Recording, seconds: float, target_ms: float) -> list[RateStep]:
    """Return a ramp cut into `STEPS` equal times: what was offered, and what came of it."""
    edges = np.linspace(0, seconds, STEPS + 1)
    starts = np.searchsorted(recording.intended_s, edges)
    length_s = seconds / STEPS
    steps = []
    for first, last in itertools.pairwise(starts):
        part = recording.part(slice(first, last))
        counts = outcomes(part, target_ms)
        ordered = np.sort(latency_ms(part))
        steps.append(
            RateStep(
                offered_per_s=len(part.intended_s) / length_s,
                goodput_per_s=counts["in_time"] / length_s,
                refused_per_s=counts.get("refused", 0) / length_s,
                p50_ms=percentile_ms(ordered, 50.0),
                p99_ms=percentile_ms(ordered, 99.0),
            )
        )
    return steps


def _second(at_s: float, part: Recording, target_ms: float) -> Second:
    counts = outcomes(part, target_ms)
    ordered = np.sort(latency_ms(part))
    known = sum(counts.get(name, 0) for name in ("in_time", "late", "refused"))
    return Second(
        at_s=at_s,
        offered=len(part.intended_s),
        in_time=counts["in_time"],
        late=counts.get("late", 0),
        refused=counts.get("refused", 0),
        failed=len(part.intended_s) - known,
        p50_ms=percentile_ms(ordered, 50.0),
        p99_ms=percentile_ms(ordered, 99.0),
        max_ms=float(ordered[-1]) if len(ordered) else None,
    )


def _histogram(ordered_ms: Floats) -> str:
    histogram = HdrHistogram(1, HIGHEST_US, SIGNIFICANT_DIGITS)
    values, counts = np.unique(
        np.rint(ordered_ms * 1e3).astype(np.int64).clip(1), return_counts=True
    )
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        histogram.record_value(value, count)
    return str(histogram.encode().decode())
