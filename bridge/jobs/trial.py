"""Which rows of a chunk kill workers? A pure state machine that asks for one run after the other.

A chunk under suspicion is tried in parts of about the square root of its rows, one at a time and
with nothing else of its job under way, so that a death tells which part it was; a guilty part is
tried row by row. With k guilty rows in a chunk of n that costs at most 4 k deaths, one for the
part and three for each row alone, and about k·sqrt(n) small runs.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

# Workers that may die before rows are given back: a part of a chunk under suspicion, a row alone;
# for a whole chunk see `CHUNK_LOSSES_MAX`. A row is given up only when it was alone three times: a
# death may be anybody's, and among many small parts somebody is there whenever a worker is killed
# for another reason.
PART_LOSSES_MAX = 1
ROW_LOSSES_MAX = 3
ROWS_ALONE_BELOW = 17


@dataclass(frozen=True, slots=True, order=True)
class RowRange:
    """Rows `start` to `end` of a chunk."""

    start: int
    end: int

    @property
    def rows(self) -> int:
        """How many."""
        return self.end - self.start

    @property
    def losses_max(self) -> int:
        """How many workers may die with it before it comes back."""
        return ROW_LOSSES_MAX if self.rows == 1 else PART_LOSSES_MAX


class Trial:
    """One chunk's; `next_range` is tried until there is none."""

    def __init__(self, rows: int) -> None:
        self._left = deque(_split(RowRange(0, rows)))
        self.condemned: list[int] = []

    @property
    def next_range(self) -> RowRange | None:
        """What to try now; the same until it has passed or come back."""
        return self._left[0] if self._left else None

    def passed(self) -> None:
        """Note that the rows on trial have run."""
        self._left.popleft()

    def came_back(self) -> None:
        """Note that the rows on trial came back unscored."""
        guilty = self._left.popleft()
        if guilty.rows == 1:
            self.condemned.append(guilty.start)
        else:
            self._left.extendleft(
                RowRange(row, row + 1) for row in reversed(range(guilty.start, guilty.end))
            )


def _split(whole: RowRange) -> list[RowRange]:
    step = 1 if whole.rows < ROWS_ALONE_BELOW else math.isqrt(whole.rows)
    return [
        RowRange(start, min(whole.end, start + step))
        for start in range(whole.start, whole.end, step)
    ]
