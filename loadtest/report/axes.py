"""Axes for latencies, rates, time and percentiles: scales, ticks and units."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from loadtest.report import figures
from loadtest.report.svg_figure import COLOURS
from loadtest.report.timeline import TimeUnit

Floats = np.ndarray[Any, np.dtype[np.float64]]
# Above this ratio of the largest to the smallest latency a linear axis hides the small ones.
LOG_FROM_RATIO = 12.0


def tick(value: float, _position: float = 0) -> str:
    """Return the label of a tick."""
    return figures.setting(value)


def time_axis(axes: Axes, unit: TimeUnit, end: float) -> None:
    """Make the x axis the time of the intended sending, from the start to `end`, in `unit`."""
    axes.set_xlabel(f"intended send time since the start, {unit.name}")
    axes.set_xlim(0, end)
    axes.xaxis.set_major_formatter(FuncFormatter(tick))


def rate_axis(axes: Axes, label: str) -> None:
    """Make the y axis one of requests per second, from zero."""
    axes.set_ylabel(label)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(FuncFormatter(tick))


def latency_axis(axes: Axes, *shown_ms: Floats, target_ms: float) -> None:
    """Make the y axis one of latencies in ms that shows all of `shown_ms` and the target."""
    shown = np.concatenate([*shown_ms, [target_ms]])
    known = shown[np.isfinite(shown) & (shown > 0)]
    low_ms, high_ms = (float(known.min()), float(known.max())) if len(known) else (1.0, 1.0)
    if high_ms / low_ms < LOG_FROM_RATIO:
        axes.set_ylabel("latency, ms")
        axes.set_ylim(0, high_ms * 1.08)
        axes.yaxis.set_major_locator(MaxNLocator(6))
    else:
        axes.set_ylabel("latency, ms (log scale)")
        axes.set_yscale("log")
        axes.set_ylim(low_ms * 0.8, high_ms * 1.25)
        subs = (1, 2, 5) if high_ms / low_ms < 3000 else (1,)
        axes.yaxis.set_major_locator(LogLocator(subs=subs, numticks=20))
        axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(tick))


def nines_axis(axes: Axes, nines_max: float) -> None:
    """Make the x axis one of percentiles, each nine as wide as the one before."""
    marks = [(0.0, "0"), (-math.log10(0.5), "50"), (1.0, "90"), (2.0, "99")]
    marks += [(float(nines), f"99.{'9' * (nines - 2)}") for nines in range(3, 9)]
    marks = [mark for mark in marks if mark[0] <= nines_max + 0.05]
    axes.set_xlim(0, nines_max * 1.01)
    axes.xaxis.set_major_locator(FixedLocator([at for at, _ in marks]))
    axes.set_xticks([at for at, _ in marks], [label for _, label in marks])
    axes.set_xlabel("percentile of the answers, %")


def target_line(axes: Axes, target_ms: float) -> None:
    """Draw the latency target."""
    label = f"target {figures.target(target_ms)}"
    axes.axhline(target_ms, color=COLOURS["target"], linestyle=(0, (5, 3)), label=label, zorder=1.5)
