"""The plots of one run. Each function returns None where the run has nothing to show in it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from loadtest.report import figures
from loadtest.report.axes import latency_axis, nines_axis, rate_axis, target_line, tick, time_axis
from loadtest.report.latency_curve import Floats, LatencyCurve
from loadtest.report.server_plots import batch_rows, queue_delay
from loadtest.report.svg_figure import COLOURS, Plot
from loadtest.report.timeline import Timeline
from loadtest.result import RateStep, RunResult
from loadtest.summary import samples_needed

# Above so many points markers run together into a thicker line.
MARKERS_MAX = 30
KINDS = (
    ("in_time", "in time", "in-time"),
    ("late", "late", "late"),
    ("refused", "refused", "refused"),
    ("failed", "failed", "failed"),
)


def plots_of(result: RunResult) -> list[Plot]:
    """Return the plots that the result has figures for, in reading order."""
    makers: tuple[Callable[[RunResult], Plot | None], ...] = (
        latency_over_time,
        outcomes_over_time,
        latency_distribution,
        latency_by_rate,
        goodput_by_rate,
        batch_rows,
        queue_delay,
    )
    return [plot for plot in (maker(result) for maker in makers) if plot is not None]


def marker(points: int) -> str:
    """Return the marker of a line of so many points."""
    return "o" if points <= MARKERS_MAX else ""


def grouping_note(timeline: Timeline) -> str:
    """Say how many seconds one point stands for."""
    if timeline.seconds_per_point == 1:
        return "One point per second."
    return (
        f"One point per {timeline.seconds_per_point} s: the worst p99 and maximum of these "
        "seconds, the middle p50, mean counts."
    )


def _p99_note(timeline: Timeline) -> str:
    missing = int(np.isnan(timeline.p99_ms).sum())
    if not missing:
        return grouping_note(timeline)
    gaps = "No p99" if missing == len(timeline.p99_ms) else "Gaps in the p99"
    return f"{grouping_note(timeline)} {gaps}: it takes {samples_needed(99)} answers in a second."


def latency_over_time(result: RunResult) -> Plot | None:
    """Return p50, p99 and maximum per second, with the target."""
    timeline = Timeline.of(result.series)
    if not np.isfinite(timeline.max_ms).any():
        return None

    def draw(axes: Axes) -> None:
        style = marker(len(timeline.middles)) + "-"
        for values, name in ((timeline.p50_ms, "p50"), (timeline.p99_ms, "p99")):
            if np.isfinite(values).any():
                axes.plot(timeline.middles, values, style, color=COLOURS[name], label=name)
        thin: Any = {"color": COLOURS["max"], "linewidth": 1.0, "markersize": 3.0}
        axes.plot(timeline.middles, timeline.max_ms, style, label="maximum", **thin)
        target_line(axes, result.target_ms)
        latency_axis(axes, timeline.p50_ms, timeline.max_ms, target_ms=result.target_ms)
        time_axis(axes, timeline.unit, float(timeline.edges[-1]))

    worst = int(np.nanargmax(timeline.max_ms))
    return Plot(
        "Latency over time",
        f"Answers with status 200, from the intended send time. {_p99_note(timeline)}",
        f"The slowest answer took {figures.milliseconds(float(timeline.max_ms[worst]))}, due in "
        f"second {timeline.edges_s[worst]:g}.",
        draw,
    )


def outcomes_over_time(result: RunResult) -> Plot | None:
    """Return what was offered per second, and what became of it, stacked."""
    timeline = Timeline.of(result.series)
    if not len(timeline.edges_s):
        return None
    total = {name: sum(getattr(second, name) for second in result.series) for name, _, _ in KINDS}

    def draw(axes: Axes) -> None:
        bottom = np.zeros(len(timeline.middles))
        for name, label, colour in KINDS:
            if total[name]:
                top = bottom + timeline.per_s[name]
                axes.stairs(
                    top,
                    timeline.edges,
                    baseline=bottom,
                    fill=True,
                    color=COLOURS[colour],
                    label=label,
                )
                bottom = top
        axes.stairs(
            timeline.per_s["offered"],
            timeline.edges,
            baseline=None,
            color=COLOURS["offered"],
            linewidth=1.2,
            label="offered",
        )
        rate_axis(axes, "requests per second")
        time_axis(axes, timeline.unit, float(timeline.edges[-1]))

    parts = ", ".join(f"{figures.count(total[name])} {label}" for name, label, _ in KINDS)
    return Plot(
        "What became of the requests",
        "By the second in which a request was due, stacked; the line is what was offered.",
        f"In all {parts}.",
        draw,
    )


def latency_distribution(result: RunResult) -> Plot | None:
    """Return the latency at every percentile."""
    curve = LatencyCurve.read(result.latency)
    if curve is None:
        return None

    def draw(axes: Axes) -> None:
        draw_curve(axes, curve, COLOURS["p99"], "latency")
        target_line(axes, result.target_ms)
        latency_axis(axes, curve.latency_ms, target_ms=result.target_ms)
        nines_axis(axes, float(curve.nines[-1]))

    percentiles_ms = result.latency.percentiles_ms
    parts = (
        f"{figures.percentile_name(name)} {figures.milliseconds(percentiles_ms[name])}"
        for name in figures.percentiles(percentiles_ms)
    )
    return Plot(
        "Latency distribution",
        "HdrHistogram. Dotted where there are too few samples for a claim at that percentile.",
        ", ".join(parts) + ".",
        draw,
    )


def draw_curve(axes: Axes, curve: LatencyCurve, colour: str, label: str) -> None:
    """Draw a distribution, dotted beyond what its samples support."""
    supported = curve.nines <= curve.nines_supported
    axes.plot(curve.nines[supported], curve.latency_ms[supported], color=colour, label=label)
    beyond = curve.nines >= curve.nines[supported][-1]
    axes.plot(curve.nines[beyond], curve.latency_ms[beyond], ":", color=colour)


def ascending(steps: list[RateStep]) -> list[RateStep]:
    """Return the steps by offered rate."""
    return sorted(steps, key=lambda step: step.offered_per_s)


def known_ms(values: list[float | None]) -> Floats:
    """Return latencies in ms of shape (n,), NaN where there is none."""
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)


def latency_by_rate(result: RunResult) -> Plot | None:
    """Return p50 and p99 by offered rate."""
    steps = ascending(result.steps)
    p50_ms, p99_ms = known_ms([s.p50_ms for s in steps]), known_ms([s.p99_ms for s in steps])
    if not np.isfinite(np.concatenate([p50_ms, p99_ms])).any():
        return None
    offered = [step.offered_per_s for step in steps]

    def draw(axes: Axes) -> None:
        axes.plot(offered, p50_ms, "o-", color=COLOURS["p50"], label="p50")
        axes.plot(offered, p99_ms, "o-", color=COLOURS["p99"], label="p99")
        target_line(axes, result.target_ms)
        latency_axis(axes, p50_ms, p99_ms, target_ms=result.target_ms)
        offered_axis(axes)

    parts = (
        f"{figures.milliseconds(step.p99_ms)} at {figures.rate(step.offered_per_s)}"
        for step in steps
        if step.p99_ms is not None
    )
    return Plot(
        "Latency by offered rate",
        "Answers with status 200 at each level of the load; refused requests are not in it.",
        f"p99: {', '.join(parts)}.",
        draw,
    )


def offered_axis(axes: Axes) -> None:
    """Make the x axis one of offered requests per second, from zero."""
    axes.set_xlabel("offered, requests per second")
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(tick)


def goodput_by_rate(result: RunResult) -> Plot | None:
    """Return answers in time and refusals by offered rate."""
    steps = ascending(result.steps)
    if not steps:
        return None
    offered = [step.offered_per_s for step in steps]

    def draw(axes: Axes) -> None:
        axes.plot(
            [0, offered[-1]], [0, offered[-1]], ":", color=COLOURS["offered"], label="all offered"
        )
        goodput = [step.goodput_per_s for step in steps]
        refused = [step.refused_per_s for step in steps]
        axes.plot(offered, goodput, "o-", color=COLOURS["in-time"], label="in time")
        axes.plot(offered, refused, "o-", color=COLOURS["refused"], label="refused")
        rate_axis(axes, "requests per second")
        offered_axis(axes)

    best = max(steps, key=lambda step: step.goodput_per_s)
    return Plot(
        "Goodput by offered rate",
        f"Answers within {figures.target(result.target_ms)}, and refusals.",
        f"At most {figures.rate(best.goodput_per_s)} in time, at "
        f"{figures.rate(best.offered_per_s)} offered.",
        draw,
    )
