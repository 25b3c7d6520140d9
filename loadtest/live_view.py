"""What a person sees in the terminal while a load runs, and the table at its end.

Colours and the redrawn view are for terminals only, and `NO_COLOR` is respected, both by rich; a
pipe or a log file gets one plain line every few seconds.
"""

from __future__ import annotations

import math
import re
from collections import deque
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from loadtest.progress import Progress
from loadtest.report import figures, plain_words
from loadtest.result import RunResult
from loadtest.summary import LAG_SHARE_MAX

PLAIN_LINE_S = 5.0
SPARK_POINTS = 60
SIDE_BY_SIDE_COLUMNS = 90
SPARKS = "▁▂▃▄▅▆▇█"
_STYLES = {"in time": "green", "late": "yellow", "refused": "cyan", "failed": "red"}
# A name or address with control characters could move the cursor or change the window's title.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class LiveView:
    """Shows the snapshots that `update` is given, from `__enter__` to `__exit__`.

    `target_ms` is the latency target in milliseconds; it only colours the p99, and the generator's
    lag where that is more than a sound run may have.
    """

    def __init__(self, title: str, target_ms: float, console: Console | None = None) -> None:
        self._title = printable(title)
        self._target_ms = target_ms
        self._console = console or Console(stderr=True)
        self._p99_ms: deque[float | None] = deque(maxlen=SPARK_POINTS)
        self._next_line_s = 0.0
        self._live: Live | None = None
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)

    def __enter__(self) -> LiveView:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def update(self, progress: Progress) -> None:
        """Show a snapshot."""
        self._p99_ms.append(progress.p99_ms)
        if self._live is not None:
            self._live.update(self._view(progress), refresh=True)
        elif progress.elapsed_s >= min(self._next_line_s, progress.seconds):
            self._next_line_s = progress.elapsed_s + PLAIN_LINE_S
            _print_plain(self._console, plain_line(progress))

    def _view(self, progress: Progress) -> RenderableType:
        spark = Text.assemble(("p99  ", "dim"), sparkline(list(self._p99_ms)))
        return Panel(
            Group(_bar(progress), _outcomes(progress), self._latency(progress), spark),
            title=Text(self._title),
            width=min(self._console.width, 100),
        )

    def _latency(self, progress: Progress) -> Text:
        is_above = progress.p99_ms is not None and progress.p99_ms > self._target_ms
        is_void = progress.lag_p99_ms > LAG_SHARE_MAX * self._target_ms
        return Text.assemble(
            ("p50  ", "dim"),
            figures.milliseconds(progress.p50_ms),
            ("   p99  ", "dim"),
            (figures.milliseconds(progress.p99_ms), "red" if is_above else ""),
            ("   target  ", "dim"),
            figures.target(self._target_ms),
            ("   generator lag p99  ", "dim"),
            (figures.milliseconds(progress.lag_p99_ms), "red" if is_void else ""),
        )


def _bar(progress: Progress) -> RenderableType:
    line = Table.grid(padding=(0, 1), expand=True)
    line.add_column(ratio=1)
    line.add_column(justify="right", no_wrap=True)
    passed_s = min(progress.elapsed_s, progress.seconds)
    line.add_row(
        ProgressBar(total=progress.seconds, completed=passed_s, complete_style="cyan"),
        f"{passed_s:.0f} of {figures.duration(progress.seconds)}",
    )
    return line


def _outcomes(progress: Progress) -> Table:
    columns = {
        "offered": figures.count(progress.offered),
        "now": figures.rate(progress.rate_per_s),
        "in time": figures.count(progress.in_time),
        "late": figures.count(progress.late),
        "refused": figures.count(progress.refused),
        "failed": figures.count(progress.failed),
        "in flight": figures.count(progress.in_flight),
    }
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_row(
        *(
            Text(value, style=_STYLES.get(name, "") if value != "0" else "")
            for name, value in columns.items()
        )
    )
    return table


def plain_line(progress: Progress) -> str:
    """Return a snapshot as one line."""
    return (
        f"{progress.elapsed_s:.0f}/{progress.seconds:.0f} s"
        f"  offered {figures.count(progress.offered)} ({figures.rate(progress.rate_per_s)})"
        f"  in time {figures.count(progress.in_time)}  late {figures.count(progress.late)}"
        f"  refused {figures.count(progress.refused)}  failed {figures.count(progress.failed)}"
        f"  in flight {figures.count(progress.in_flight)}"
        f"  p50 {figures.milliseconds(progress.p50_ms)}"
        f"  p99 {figures.milliseconds(progress.p99_ms)}"
        f"  lag p99 {figures.milliseconds(progress.lag_p99_ms)}"
    )


def sparkline(values: list[float | None]) -> str:
    """Return a line of bars from 0 to the largest value, a space where there is none."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    top = max(known, default=0.0) or 1.0
    steps = len(SPARKS) - 1
    return "".join(
        " " if value is None or not math.isfinite(value) else SPARKS[round(steps * value / top)]
        for value in values
    )


def print_summary(result: RunResult, console: Console | None = None) -> None:
    """Print a result: what was asked, what became of it, and what it proves."""
    console = console or Console()
    heading = f"{printable(result.name)}: {printable(result.model)} at {printable(result.url)}"
    console.print(Text(heading, style="bold"), soft_wrap=True)
    if result.generator.void_reason is not None:
        reason = printable(result.generator.void_reason)
        console.print(Text(f"VOID, this run proves nothing: {reason}", style="bold red"))
    words = Table.grid(padding=(0, 2, 0, 0))
    for name, text in (
        ("asked", plain_words.asked(result)),
        ("answered", plain_words.answered(result)),
        ("claim", plain_words.claim(result)),
        ("verdict", plain_words.verdict(result)),
        ("generator", plain_words.lag(result)),
    ):
        words.add_row(Text(name, style="dim"), Text(printable(text)))
    console.print(words)
    console.print()
    if console.width >= SIDE_BY_SIDE_COLUMNS:
        console.print(_side_by_side(_outcome_table(result), _percentile_table(result)))
    else:
        console.print(_outcome_table(result), "", _percentile_table(result), sep="\n")
    if result.models:
        console.print("", _model_table(result), sep="\n")


def _outcome_table(result: RunResult) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("outcome")
    table.add_column("requests", justify="right", no_wrap=True)
    table.add_column("share", justify="right", no_wrap=True)
    for row in plain_words.outcome_rows(result):
        name = Text(printable(row.name), style=_STYLES.get(row.name, "red"))
        table.add_row(name, row.count, row.share)
    table.add_row("offered", figures.count(result.offered), "")
    return table


def _percentile_table(result: RunResult) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("latency")
    table.add_column("", justify="right")
    table.add_column("")
    for row in plain_words.percentile_rows(result):
        table.add_row(printable(row.name), row.latency, Text(row.note, style="dim"))
    return table


def _model_table(result: RunResult) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("model")
    for name in ("requests", "in time", "p50", "p99", "max"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("others")
    for row in plain_words.model_rows(result):
        table.add_row(
            printable(row.model),
            *(row.offered, row.in_time, row.p50, row.p99, row.highest),
            printable(row.others),
        )
    return table


def _side_by_side(*tables: Table) -> Table:
    grid = Table.grid(padding=(0, 4, 0, 0))
    grid.add_row(*tables)
    return grid


def _print_plain(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True, style=None)


def printable(text: str) -> str:
    """Return foreign text with every control character made visible."""
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)
