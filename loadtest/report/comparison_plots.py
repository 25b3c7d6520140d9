"""The plots of two runs, one drawn over the other."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes

from loadtest.report import figures
from loadtest.report.axes import Floats, latency_axis, nines_axis, rate_axis, target_line, time_axis
from loadtest.report.buckets import Buckets
from loadtest.report.latency_curve import LatencyCurve
from loadtest.report.plots import (
    ascending,
    draw_curve,
    grouping_note,
    known_ms,
    marker,
    offered_axis,
)
from loadtest.report.server_plots import bucket_axes
from loadtest.report.svg_figure import COLOURS, Plot
from loadtest.report.timeline import Timeline
from loadtest.result import RateStep, RunResult

NAMES = ("before", "after")


def plots_of_both(before: RunResult, after: RunResult) -> list[Plot]:
    """Return the plots for which both runs have figures, in reading order."""
    makers: tuple[Callable[[RunResult, RunResult], Plot | None], ...] = (
        _distribution,
        _p99_over_time,
        _goodput_over_time,
        _p99_by_rate,
        _goodput_by_rate,
        _batch_rows,
        _queue_delay,
    )
    return [plot for plot in (maker(before, after) for maker in makers) if plot is not None]


def _targets(axes: Axes, before: RunResult, after: RunResult) -> float:
    for target_ms in sorted({before.target_ms, after.target_ms}):
        target_line(axes, target_ms)
    return max(before.target_ms, after.target_ms)


def _distribution(before: RunResult, after: RunResult) -> Plot | None:
    one, other = LatencyCurve.read(before.latency), LatencyCurve.read(after.latency)
    if one is None or other is None:
        return None

    def draw(axes: Axes) -> None:
        for name, curve in zip(NAMES, (one, other), strict=True):
            draw_curve(axes, curve, COLOURS[name], name)
        target_ms = _targets(axes, before, after)
        latency_axis(axes, one.latency_ms, other.latency_ms, target_ms=target_ms)
        nines_axis(axes, float(max(one.nines[-1], other.nines[-1])))

    return Plot(
        "Latency distribution",
        "HdrHistogram. Dotted where there are too few samples for a claim at that percentile.",
        f"p99 {figures.milliseconds(before.latency.percentiles_ms.get('99'))} before, "
        f"{figures.milliseconds(after.latency.percentiles_ms.get('99'))} after.",
        draw,
    )


def _p99_over_time(before: RunResult, after: RunResult) -> Plot | None:
    one, other = Timeline.of(before.series), Timeline.of(after.series)
    if not all(np.isfinite(timeline.p99_ms).any() for timeline in (one, other)):
        return None

    def draw(axes: Axes) -> None:
        _draw_lines(axes, one, other, lambda timeline: timeline.p99_ms)
        target_ms = _targets(axes, before, after)
        latency_axis(axes, one.p99_ms, other.p99_ms, target_ms=target_ms)

    worst = (float(np.nanmax(timeline.p99_ms)) for timeline in (one, other))
    parts = (f"{figures.milliseconds(ms)} {name}" for name, ms in zip(NAMES, worst, strict=True))
    return Plot(
        "p99 over time",
        f"Answers with status 200. {grouping_note(_longer(one, other))}",
        f"The worst second's p99 was {', '.join(parts)}.",
        draw,
    )


def _goodput_over_time(before: RunResult, after: RunResult) -> Plot | None:
    one, other = Timeline.of(before.series), Timeline.of(after.series)
    if not len(one.edges_s) or not len(other.edges_s):
        return None

    def draw(axes: Axes) -> None:
        _draw_lines(axes, one, other, lambda timeline: timeline.per_s["in_time"])
        rate_axis(axes, "in time, requests per second")

    return Plot(
        "Goodput over time",
        f"Answers within the target. {grouping_note(_longer(one, other))}",
        f"On average {figures.rate(before.goodput_per_s)} before, "
        f"{figures.rate(after.goodput_per_s)} after.",
        draw,
    )


def _longer(one: Timeline, other: Timeline) -> Timeline:
    return max(one, other, key=lambda timeline: timeline.seconds_per_point)


def _draw_lines(
    axes: Axes, one: Timeline, other: Timeline, values: Callable[[Timeline], Floats]
) -> None:
    unit = max(one.unit, other.unit, key=lambda unit: unit.seconds)
    for name, timeline in zip(NAMES, (one, other), strict=True):
        x = timeline.middles * timeline.unit.seconds / unit.seconds
        axes.plot(x, values(timeline), marker(len(x)) + "-", color=COLOURS[name], label=name)
    end_s = max(float(timeline.edges_s[-1]) for timeline in (one, other))
    time_axis(axes, unit, end_s / unit.seconds)


def _p99_by_rate(before: RunResult, after: RunResult) -> Plot | None:
    steps = [ascending(run.steps) for run in (before, after)]
    values = [known_ms([step.p99_ms for step in level]) for level in steps]
    if not all(np.isfinite(p99_ms).any() for p99_ms in values):
        return None

    def draw(axes: Axes) -> None:
        for name, level, p99_ms in zip(NAMES, steps, values, strict=True):
            _draw_steps(axes, name, level, p99_ms)
        latency_axis(axes, *values, target_ms=_targets(axes, before, after))
        offered_axis(axes)

    return Plot(
        "p99 by offered rate", "Answers with status 200.", "Both runs by their levels.", draw
    )


def _goodput_by_rate(before: RunResult, after: RunResult) -> Plot | None:
    steps = [ascending(run.steps) for run in (before, after)]
    if not all(steps):
        return None

    def draw(axes: Axes) -> None:
        for name, level in zip(NAMES, steps, strict=True):
            _draw_steps(axes, name, level, known_ms([step.goodput_per_s for step in level]))
        rate_axis(axes, "in time, requests per second")
        offered_axis(axes)

    best = (max(step.goodput_per_s for step in level) for level in steps)
    parts = (f"{figures.rate(per_s)} {name}" for name, per_s in zip(NAMES, best, strict=True))
    return Plot(
        "Goodput by offered rate",
        "Answers within the target.",
        f"At most {', '.join(parts)}.",
        draw,
    )


def _draw_steps(axes: Axes, name: str, steps: list[RateStep], values: Floats) -> None:
    axes.plot([s.offered_per_s for s in steps], values, "o-", color=COLOURS[name], label=name)


def _batch_rows(before: RunResult, after: RunResult) -> Plot | None:
    if before.server_side is None or after.server_side is None:
        return None
    return _bars(
        "Batch size",
        (before.server_side.batch_rows, after.server_side.batch_rows),
        Buckets.row_ranges,
        ("rows per batch", "batches, %"),
    )


def _queue_delay(before: RunResult, after: RunResult) -> Plot | None:
    if before.server_side is None or after.server_side is None:
        return None
    return _bars(
        "Queue delay",
        (before.server_side.queue_delay_s, after.server_side.queue_delay_s),
        Buckets.millisecond_bounds,
        ("delay in the queue, ms", "requests, %"),
    )


def _bars(
    title: str,
    counts: tuple[dict[str, int], dict[str, int]],
    labels_of: Callable[[Buckets], list[str]],
    axis_labels: tuple[str, str],
) -> Plot | None:
    """Return both runs' shares side by side, where their buckets have the same bounds."""
    both = Buckets.read(
        {bound: counts[0].get(bound, 0) + counts[1].get(bound, 0) for bound in counts[0]}
    )
    if (
        both is None
        or counts[0].keys() != counts[1].keys()
        or not all(sum(c.values()) for c in counts)
    ):
        return None
    labels = labels_of(both)

    def draw(axes: Axes) -> None:
        for shift, name, run in zip((-0.2, 0.2), NAMES, counts, strict=True):
            by_bound = {float(bound): count for bound, count in run.items()}
            percent = [100 * by_bound[bound] / sum(run.values()) for bound in both.bounds]
            places = np.arange(len(labels)) + shift
            axes.bar(places, percent, color=COLOURS[name], width=0.38, label=name)
        bucket_axes(axes, labels, *axis_labels)

    words = f"Both runs together: {both.in_words(labels, axis_labels[0])}"
    return Plot(title, "Shares of each run, from the server's own metrics.", words, draw)
