"""What a person sees of a job: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

PLAIN_LINE_S = 10.0
SHARES = 10_000


class ProgressView:
    """Rows, rows a second, rejected rows and the time left, from `__enter__` to `__exit__`."""

    def __init__(self, title: str, done_before: int, console: Console | None = None) -> None:
        """`done_before`: rows that an earlier process of the same job has done."""
        self._console = console or Console(stderr=True)
        self._title = title
        self._before = done_before
        self._began_s = time.monotonic()
        self._next_line_s = self._began_s + PLAIN_LINE_S
        self._note = ""
        self._progress: Progress | None = None
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f} %"),
                TextColumn("{task.fields[said]}"),
                TimeRemainingColumn(),
                console=self._console,
                transient=True,
            )

    def __enter__(self) -> ProgressView:
        if self._progress is not None:
            self._progress.start()
            self._task = self._progress.add_task(escape(self._title), total=SHARES, said="")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def update(self, rows: int, rejected: int, share: float) -> None:
        """Show that so many rows are done, of which some were rejected: `share` of all, 0 to 1."""
        self._note = ""
        now_s = time.monotonic()
        said = self._said(rows, rejected, now_s)
        if self._progress is not None:
            self._progress.update(self._task, completed=int(share * SHARES), said=said)
        elif now_s >= self._next_line_s:
            self._next_line_s = now_s + PLAIN_LINE_S
            self._print(f"{share:.0%}, {said}")

    def note(self, text: str) -> None:
        """Say what is being waited for, once as long as it is the same."""
        if text != self._note:
            self._note = text
            self._print(text)

    def _said(self, rows: int, rejected: int, now_s: float) -> str:
        rate = (rows - self._before) / max(1e-3, now_s - self._began_s)
        text = f"{rows:,} rows, {rate:,.0f} rows/s"
        return text + (f", {rejected:,} rejected" if rejected else "")

    def _print(self, text: str) -> None:
        self._console.print(f"{self._title}: {text}", markup=False, highlight=False, soft_wrap=True)
