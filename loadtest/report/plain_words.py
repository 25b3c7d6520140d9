"""A run in plain words: what was asked, what was answered, what can be claimed, and why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from loadtest.report import figures
from loadtest.result import RunResult
from loadtest.summary import LAG_SHARE_MAX, samples_needed

# The share of the offered requests that has to be answered in time for a server to carry a load.
SHARE_CARRIED = 0.99
MEANINGS = {
    "in_time": "answered with status 200 within the target",
    "late": "answered with status 200 after the target",
    "refused": "refused at the door with status 429",
    "unavailable": "status 503: the server could not serve",
    "expired": "status 504: accepted, but not answered by its deadline",
    "wrong": "answered with status 200 and with a wrong answer",
    "lost": "the connection was lost or could not be made",
    "timed_out": "no answer within the caller's own timeout",
    "left": "the caller went away on purpose",
    "unsent": "never sent: the run ended first",
}
# How an adjective of each kind of arrivals is written where it differs from the scenario file.
KINDS = {"poisson": "Poisson", "gamma": "Gamma", "square": "square-wave"}
# The colour of each outcome; whatever else there is failed.
COLOURS = {"in_time": "in-time", "late": "late", "refused": "refused", "left": "offered"}


@dataclass(frozen=True, slots=True)
class OutcomeRow:
    """One line of the table of outcomes."""

    name: str
    count: str
    share: str
    meaning: str
    colour: str


@dataclass(frozen=True, slots=True)
class PercentileRow:
    """One line of the table of percentiles."""

    name: str
    latency: str
    note: str


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One line of the table of models, in a run that asks several."""

    model: str
    offered: str
    in_time: str
    others: str
    p50: str
    p99: str
    highest: str


def is_closed(result: RunResult) -> bool:
    """Whether callers waited for their answer before they asked again."""
    return result.loop.startswith("closed")


def asked(result: RunResult) -> str:
    """Say what was asked of the server."""
    how = (
        "closed loop, each caller waits for its answer"
        if is_closed(result)
        else f"{_arrivals(result)}, open loop: nobody waits for anybody"
    )
    return (
        f"{figures.count(result.offered)} requests in {figures.duration(result.seconds)}, "
        f"{figures.rate(result.offered_per_s)} ({how}), each to be answered within "
        f"{figures.target(result.target_ms)}."
    )


def _arrivals(result: RunResult) -> str:
    arrivals = result.scenario.get("arrivals")
    kind = arrivals.get("kind") if isinstance(arrivals, dict) else None
    return (
        f"{KINDS.get(kind, kind)} arrivals" if isinstance(kind, str) else "send times drawn before"
    )


def answered(result: RunResult) -> str:
    """Say what became of the requests."""
    if not result.offered:
        return "Nothing: no request was due."
    in_time = figures.share(result.outcomes.get("in_time", 0), result.offered)
    others = _others(result.outcomes, result.offered) or "nothing late, refused or failed"
    return f"{in_time} in time, {figures.rate(result.goodput_per_s)}; {others}.{_wrong(result)}"


def _wrong(result: RunResult) -> str:
    return f" The first wrong answer: {result.first_wrong}." if result.first_wrong else ""


def _others(outcomes: Mapping[str, int], offered: int) -> str:
    """What became of the requests that were not answered in time, "" where there are none."""
    return ", ".join(
        f"{figures.share(number, offered)} {name.replace('_', ' ')}"
        for name, number in outcomes.items()
        if name != "in_time" and number
    )


def verdict(result: RunResult) -> str:
    """Say whether the server carried the load."""
    if result.generator.void_reason is not None:
        return "None: the run is void."
    stayed = result.offered - result.outcomes.get("left", 0)
    if not stayed:
        return "None: nobody waited for an answer."
    carried = result.outcomes.get("in_time", 0) >= SHARE_CARRIED * stayed
    whose = "requests" if stayed == result.offered else "requests whose callers stayed"
    wanted = f"{SHARE_CARRIED:.0%}".replace("%", " %")
    return (
        f"{'At least' if carried else 'Less than'} {wanted} of the {whose} were answered in time: "
        f"the server {'carried' if carried else 'did not carry'} this load."
    )


def claim(result: RunResult) -> str:
    """Say what the run proves about latency, with its confidence interval."""
    latency, p99_ms = result.latency, result.latency.percentiles_ms.get("99")
    if result.generator.void_reason is not None:
        return "None: the run is void."
    if p99_ms is None:
        return (
            f"None about the 99th percentile: {figures.count(latency.samples)} answers, "
            f"and it takes {figures.count(samples_needed(99))}."
        )
    text = f"99 of 100 answers came within {figures.milliseconds(p99_ms)}"
    if latency.p99_interval_ms is not None:
        low_ms, high_ms = latency.p99_interval_ms
        text += (
            f" (95 % confidence interval {figures.milliseconds(low_ms)} to "
            f"{figures.milliseconds(high_ms)})"
        )
    return f"{text}, from {figures.count(latency.samples)} answers with status 200."


def caveats(result: RunResult) -> list[str]:
    """Say what a reader could take the figures for that they are not."""
    notes = []
    if is_closed(result):
        notes.append(
            "In a closed loop a slow server is asked less, so its latency says nothing about a "
            "given load; use an open loop for that."
        )
    not_in_it = result.offered - result.latency.samples
    if not_in_it:
        notes.append(
            f"Latency is that of answers with status 200; {figures.count(not_in_it)} other "
            f"requests ({figures.share(not_in_it, result.offered)}) are not in it."
        )
    if result.latency.p99_interval_ms is not None:
        notes.append(
            "The interval takes answers as independent of each other. Under a queue they are not "
            "quite: repeat the run to see how far it moves."
        )
    return notes


def lag(result: RunResult) -> str:
    """Say how late the generator was with its own sending."""
    limit_ms = LAG_SHARE_MAX * result.target_ms
    text = f"{figures.milliseconds(result.generator.lag_p99_ms)} late at p99"
    if is_closed(result):
        return f"{text}."
    return f"{text}; above {figures.target(limit_ms)}, 1 % of the target, a run is void."


def outcome_rows(result: RunResult) -> list[OutcomeRow]:
    """Return the table of outcomes, in the order of `MEANINGS`, then the rest."""
    order = list(MEANINGS)
    names = sorted(
        result.outcomes, key=lambda name: (order.index(name) if name in order else 99, name)
    )
    return [
        OutcomeRow(
            name.replace("_", " "),
            figures.count(result.outcomes[name]),
            figures.share(result.outcomes[name], result.offered),
            MEANINGS.get(name, "answered with another status"),
            COLOURS.get(name, "failed"),
        )
        for name in names
    ]


def model_rows(result: RunResult) -> list[ModelRow]:
    """Return the table of models, empty where one was asked."""
    return [
        ModelRow(
            part.model,
            figures.count(part.offered),
            figures.share(part.outcomes.get("in_time", 0), part.offered),
            _others(part.outcomes, part.offered) or figures.NOTHING,
            figures.milliseconds(part.latency.percentiles_ms.get("50")),
            figures.milliseconds(part.latency.percentiles_ms.get("99")),
            figures.milliseconds(part.latency.percentiles_ms.get("100")),
        )
        for part in result.models
    ]


def percentile_rows(result: RunResult) -> list[PercentileRow]:
    """Return the table of percentiles, ascending, then the mean."""
    rows = []
    for name in figures.percentiles(result.latency.percentiles_ms):
        value_ms = result.latency.percentiles_ms[name]
        rows.append(
            PercentileRow(
                figures.percentile_name(name),
                figures.milliseconds(value_ms),
                _percentile_note(result, name, value_ms),
            )
        )
    mean = figures.milliseconds(result.latency.mean_ms)
    return [*rows, PercentileRow("mean", mean, "not a latency that anybody is promised")]


def _percentile_note(result: RunResult, name: str, value_ms: float | None) -> str:
    if value_ms is None and 0 < float(name) < 100:
        return f"too few answers: it takes {figures.count(samples_needed(float(name)))}"
    if value_ms is not None and name == "99" and result.latency.p99_interval_ms is not None:
        low_ms, high_ms = result.latency.p99_interval_ms
        return f"95 % interval {figures.milliseconds(low_ms)} to {figures.milliseconds(high_ms)}"
    return ""
