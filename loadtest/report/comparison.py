"""Two runs beside each other: their figures with ratios, and everything in which they differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loadtest.report import figures
from loadtest.result import RunResult

ABSENT = "(not given)"


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure of both runs, as it is shown."""

    name: str
    before: str
    after: str
    difference: str
    ratio: str


@dataclass(frozen=True, slots=True)
class Difference:
    """One setting in which the runs differ.

    `is_unlike` is true where it makes the figures incomparable: another load, target or machine.
    """

    setting: str
    before: str
    after: str
    is_unlike: bool


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested settings as one level of dotted names and texts."""
    found: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = _text(value)
    return found


def scenario_parts(result: RunResult) -> dict[str, dict[str, str]]:
    """Return what repeats a run by title: the scenario itself, the bodies sent, the options."""
    rest = dict(result.scenario)
    found = {"Bodies": rest.pop("pool", None), "Options": rest.pop("asked", None)}
    parts = {title: flat(values) for title, values in found.items() if isinstance(values, dict)}
    return {"Scenario": flat(rest), **parts}


def _text(value: Any) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case float():
            return repr(value).removesuffix(".0")
        case list() | tuple():
            return ", ".join(_text(item) for item in value) or "none"
        case Mapping() if not value:
            return "none"
    return str(value)


def differences(before: RunResult, after: RunResult) -> list[Difference]:
    """Return every setting in which two runs differ, those that forbid a comparison first."""
    return [
        Difference(name, one, other, is_unlike)
        for is_unlike, settings in ((True, _like_for_like), (False, _what_may_differ))
        for name, one, other in _unequal(settings(before), settings(after))
    ]


def _unequal(before: dict[str, str], after: dict[str, str]) -> list[tuple[str, str, str]]:
    names = [*before, *(name for name in after if name not in before)]
    pairs = [(name, before.get(name, ABSENT), after.get(name, ABSENT)) for name in names]
    return [(name, one, other) for name, one, other in pairs if one != other]


def _like_for_like(result: RunResult) -> dict[str, str]:
    return flat(
        {
            "model": result.model,
            "loop": result.loop,
            "seconds": result.seconds,
            "target_ms": result.target_ms,
            "generator": {
                "processes": result.generator.processes,
                "connections": result.generator.connections,
            },
            "scenario": result.scenario,
            "machine": result.machine,
        }
    )


def _what_may_differ(result: RunResult) -> dict[str, str]:
    return flat(
        {
            "name": result.name,
            "made_at": result.made_at,
            "command": result.command,
            "seed": result.seed,
            "url": result.url,
            "server": result.server,
            "versions": result.versions,
        }
    )


def measures(before: RunResult, after: RunResult) -> list[Measure]:
    """Return the figures of both runs, with differences and ratios (after ÷ before)."""
    percentiles = {*before.latency.percentiles_ms, *after.latency.percentiles_ms}
    one, other = before.generator, after.generator
    return [
        _measure("offered, per second", before.offered_per_s, after.offered_per_s),
        _measure("in time, per second (goodput)", before.goodput_per_s, after.goodput_per_s),
        *(_share(name, before, after) for name in {**before.outcomes, **after.outcomes}),
        *(
            _measure(
                f"{figures.percentile_name(name)}, ms",
                before.latency.percentiles_ms.get(name),
                after.latency.percentiles_ms.get(name),
            )
            for name in figures.percentiles(percentiles)
        ),
        _measure("mean, ms", before.latency.mean_ms, after.latency.mean_ms),
        _measure("generator lag p99, ms", one.lag_p99_ms, other.lag_p99_ms),
        _measure("generator CPU per request, µs", one.cpu_us_per_request, other.cpu_us_per_request),
    ]


def _measure(name: str, before: float | None, after: float | None) -> Measure:
    return Measure(
        name,
        figures.NOTHING if before is None else figures.number(before),
        figures.NOTHING if after is None else figures.number(after),
        figures.NOTHING if before is None or after is None else figures.signed(after - before),
        figures.ratio(before, after),
    )


def _share(outcome: str, before: RunResult, after: RunResult) -> Measure:
    one, other = before.outcomes.get(outcome, 0), after.outcomes.get(outcome, 0)
    # Nothing offered is nothing of it: the shares then say so by a dash.
    percent = [100 * one / max(1, before.offered), 100 * other / max(1, after.offered)]
    return Measure(
        f"{outcome.replace('_', ' ')}, of offered",
        figures.share(one, before.offered),
        figures.share(other, after.offered),
        f"{figures.signed(percent[1] - percent[0])} points",
        figures.ratio(*percent),
    )


def claim(before: RunResult, after: RunResult) -> str:
    """Say whether the 99th percentiles differ by more than the samples leave open."""
    void = [
        name for name, run in (("before", before), ("after", after)) if run.generator.void_reason
    ]
    if void:
        return f"None: {' and '.join(void)} {'is' if len(void) == 1 else 'are'} void."
    one, other = before.latency.p99_interval_ms, after.latency.p99_interval_ms
    if one is None or other is None:
        return "None about the 99th percentile: too few answers."
    was = f"{_interval(before)} before, {_interval(after)} after"
    if one[0] <= other[1] and other[0] <= one[1]:
        return f"p99 {was}: the intervals overlap, so these two runs show no difference in p99."
    word = "lower" if other[1] < one[0] else "higher"
    return f"p99 {was}: {word} after, and the 95 % intervals do not overlap."


def _interval(run: RunResult) -> str:
    p99_ms, interval = run.latency.percentiles_ms.get("99"), run.latency.p99_interval_ms
    low, high = (figures.number(value) for value in interval or (0.0, 0.0))
    return f"{figures.milliseconds(p99_ms)} ({low} to {high})"
