"""What became of one offered rate, as a scheduling benchmark wants to know it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from loadtest.bench_subject import Subject
from loadtest.summary import latency_ms, nearest_rank
from loadtest.traffic import Floats, Recording

OK, REFUSED = 200, 429


@dataclass(frozen=True, slots=True)
class Offered:
    """One rate, offered once."""

    load: float
    offered_per_s: float
    in_time: float
    late_of_admitted: float
    goodput_per_s: float
    refused: float
    other: float
    p50_ms: float
    p99_ms: float
    refusal_p99_ms: float
    lag_p99_ms: float
    connections: int
    forecast_error_ms: float
    idle_between_runs: float
    cores: dict[str, float] = field(default_factory=dict)


def offered(
    recording: Recording, subject: Subject, seconds: float, cores: dict[str, float]
) -> Offered:
    """Return what a recording says; `cores` is what each process used."""
    latency = latency_ms(recording)
    count = len(recording.status)
    in_time = int(np.count_nonzero(latency <= subject.target_s * 1e3))
    refused = recording.status == REFUSED
    admitted = max(1, count - int(np.count_nonzero(refused)))
    refusals = (recording.done_s[refused] - recording.intended_s[refused]) * 1e3
    return Offered(
        load=count / seconds / subject.limits.offline_per_s,
        offered_per_s=count / seconds,
        in_time=in_time / count,
        late_of_admitted=1 - in_time / admitted,
        goodput_per_s=in_time / seconds,
        refused=float(np.mean(refused)),
        other=float(np.mean((recording.status != OK) & ~refused)),
        p50_ms=_percentile(latency, 50),
        p99_ms=_percentile(latency, 99),
        refusal_p99_ms=_percentile(refusals, 99),
        lag_p99_ms=_percentile(recording.lag_s[~np.isnan(recording.lag_s)] * 1e3, 99),
        connections=recording.connections,
        forecast_error_ms=0.0,
        idle_between_runs=0.0,
        cores=cores,
    )


def _percentile(values: Floats, percent: float) -> float:
    if not len(values):
        return float("nan")
    return float(np.sort(values)[nearest_rank(percent, len(values)) - 1])


def median(found: Sequence[Offered]) -> Offered:
    """Return the median of each figure."""
    names = [name for name in Offered.__dataclass_fields__ if name != "cores"]
    values = {name: statistics.median(getattr(one, name) for one in found) for name in names}
    roles = found[0].cores
    cores = {role: statistics.median(one.cores[role] for one in found) for role in roles}
    return Offered(**{**values, "cores": cores})
