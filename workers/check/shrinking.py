"""The fewest rows that still show what a batch showed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Example:
    """A batch, and the place of the row concerned in it."""

    batch: tuple[int, ...]
    place: int


Shows = Callable[[tuple[int, ...], int], bool]


def smallest(batch: tuple[int, ...], place: int, shows: Shows, runs_max: int) -> Example:
    """Return a smaller batch with the row `batch[place]` that `shows` it still.

    First the row with one neighbour, before and after it; then neighbours are left out, half of
    them at first, then fewer, while the batch still shows it. At most `runs_max` batches are tried.
    """
    search = _Search(batch[place], shows, runs_max)
    for neighbour in dict.fromkeys(batch[:place] + batch[place + 1 :]):
        if search.shows((), (neighbour,)):
            return Example((batch[place], neighbour), 0)
        if search.shows((neighbour,), ()):
            return Example((neighbour, batch[place]), 1)
    before, after = search.reduced(batch[:place], batch[place + 1 :])
    return Example((*before, batch[place], *after), len(before))


class _Search:
    def __init__(self, row: int, shows: Shows, runs_max: int) -> None:
        self._row = row
        self._shows = shows
        self._left = runs_max

    def shows(self, before: tuple[int, ...], after: tuple[int, ...]) -> bool:
        if self._left == 0:
            return False
        self._left -= 1
        return self._shows((*before, self._row, *after), len(before))

    def reduced(
        self, before: tuple[int, ...], after: tuple[int, ...]
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Leave out pieces of the neighbours, halving the pieces, while it still shows."""
        piece = max(1, (len(before) + len(after)) // 2)
        while self._left:
            start = 0
            while start < len(before) + len(after):
                fewer = _without(before, after, start, piece)
                if self.shows(*fewer):
                    before, after = fewer
                else:
                    start += piece
            if piece == 1:
                break
            piece //= 2
        return before, after


def _without(
    before: tuple[int, ...], after: tuple[int, ...], start: int, count: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Leave out `count` neighbours from the one at `start`, counted over both sides."""
    end = start + count
    split = len(before)
    return (
        before[:start] + before[end:],
        after[: max(0, start - split)] + after[max(0, end - split) :],
    )
