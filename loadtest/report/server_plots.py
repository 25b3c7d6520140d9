"""The plots of what the server says of itself: batch sizes and queue delays."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from loadtest.report import figures
from loadtest.report.axes import tick
from loadtest.report.buckets import Buckets
from loadtest.report.svg_figure import COLOURS, Plot
from loadtest.result import RunResult

# More bars leave no room for their figures on a narrow screen.
LABELLED_BARS_MAX = 8


def batch_rows(result: RunResult) -> Plot | None:
    """Return the share of batches by their rows, from the server's metrics."""
    buckets = result.server_side and Buckets.read(result.server_side.batch_rows)
    if not buckets:
        return None
    labels = buckets.row_ranges()

    def draw(axes: Axes) -> None:
        _draw_shares(axes, buckets)
        bucket_axes(axes, labels, "rows per batch", "batches, %")

    return Plot(
        "Batch size",
        f"{figures.count(buckets.total)} batches, from the server's own metrics.",
        buckets.in_words(labels, "rows"),
        draw,
    )


def queue_delay(result: RunResult) -> Plot | None:
    """Return the share of requests by their wait for a batch, from the server's metrics."""
    buckets = result.server_side and Buckets.read(result.server_side.queue_delay_s)
    if not buckets:
        return None
    labels = buckets.millisecond_bounds()

    def draw(axes: Axes) -> None:
        _draw_shares(axes, buckets)
        bucket_axes(axes, labels, "delay in the queue, ms", "requests, %")

    return Plot(
        "Queue delay",
        f"{figures.count(buckets.total)} requests, from the server's own metrics.",
        buckets.in_words(labels, "ms"),
        draw,
    )


def _draw_shares(axes: Axes, buckets: Buckets) -> None:
    percent = buckets.percent()
    bars = axes.bar(range(len(percent)), percent, color=COLOURS["bars"], width=0.82)
    if len(percent) <= LABELLED_BARS_MAX:
        labels = [f"{share:.1f}" if share >= 0.05 else "< 0.1" for share in percent]
        axes.bar_label(bars, labels, padding=2, fontsize=10)
        axes.margins(y=0.12)


def bucket_axes(axes: Axes, labels: list[str], x_label: str, y_label: str) -> None:
    """Label the axes of a bar chart; of many bars only some have a label."""
    width_px = axes.figure.bbox.width
    longest = max(len(label) for label in labels)
    every = math.ceil(len(labels) * (longest * 7.5 + 8) / (width_px - 60))
    shown = range(0, len(labels), max(1, every))
    axes.set_xticks(list(shown), [labels[index] for index in shown])
    axes.grid(visible=False, axis="x")
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(FuncFormatter(tick))
