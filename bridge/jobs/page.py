"""A page: a run of rows of the input as the file has them, and those that could not be read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Protocol, TypeAlias

import pyarrow as pa

from bridge.contract.invalid import InvalidCode


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a row is rejected: a code of `InvalidCode`, or of `ResultStatus`, and the reason."""

    code: str
    reason: str


class Cells(list[Any]):
    """A column whose cells are Python values of any JSON type; a slice of it is one, too."""

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return Cells(found) if isinstance(index, slice) else found


Column: TypeAlias = "pa.Array | Cells"


@dataclass(frozen=True, slots=True)
class Page:
    """Rows `first_row` and following of the input, as columns of equal length.

    `faults`: rows, counted from the page's first, that could not be read; their cells are null.
    """

    first_row: int
    rows: int
    columns: Mapping[str, Column]
    faults: Mapping[int, Fault] = field(default_factory=dict)

    def part(self, start: int, end: int) -> Page:
        """Return the rows from `start` to `end`, counted from the page's first."""
        return Page(
            self.first_row + start,
            end - start,
            {name: column[start:end] for name, column in self.columns.items()},
            {row - start: fault for row, fault in self.faults.items() if start <= row < end},
        )

    def taken(self, rows: list[int]) -> Page:
        """Return some rows, counted from the page's first, in this order."""
        at = pa.array(rows, pa.int64())
        return Page(
            self.first_row,
            len(rows),
            {
                name: Cells([column[row] for row in rows])
                if isinstance(column, Cells)
                else column.take(at)
                for name, column in self.columns.items()
            },
            {place: self.faults[row] for place, row in enumerate(rows) if row in self.faults},
        )


class Table(Protocol):
    """Rows from somewhere, which can be read again from any row."""

    @property
    def name(self) -> str:
        """What a person knows it as."""

    @property
    def column_types(self) -> Mapping[str, pa.DataType | None]:
        """Each column's type; None where each cell has its own."""

    @property
    def has_text_cells(self) -> bool:
        """Whether every cell is text that stands for a value, as in CSV."""

    def share_before(self, row: int) -> float:
        """Return which share of all rows is before a row that was read, 0 to 1; an estimate."""

    def pages(self, columns: list[str], first_row: int) -> Iterator[Page]:
        """Yield the rows from `first_row` on, in order.

        Raises:
            BadInput: it cannot be read any further; the message says where.
        """


def share_by_size(row: int, rows_read: int, bytes_read: int, bytes_total: int) -> float:
    """Return which share of a file's rows is before `row`, if all take as many bytes."""
    if not rows_read or not bytes_total:
        return 0.0
    return min(1.0, bytes_read / bytes_total * row / rows_read)


def in_ranges(pages: Iterator[Page], rows: int, first_row: int) -> Iterator[Page]:
    """Cut pages anew: each holds the rows of one range of `rows`, counted from row 0.

    So where a range begins and ends depends on the input only.
    """
    waiting: list[Page] = []
    held = 0
    for page in pages:
        start = 0
        while start < page.rows:
            left = rows - (page.first_row + start) % rows
            end = min(page.rows, start + left)
            waiting.append(page.part(start, end))
            held += end - start
            if end - start == left:
                yield _joined(waiting)
                waiting, held = [], 0
            start = end
    if held:
        yield _joined(waiting)


def _joined(pages: list[Page]) -> Page:
    if len(pages) == 1:
        return pages[0]
    first_row = pages[0].first_row
    names = list(pages[0].columns)
    return Page(
        first_row,
        sum(page.rows for page in pages),
        {name: _concatenated([page.columns[name] for page in pages]) for name in names},
        {
            page.first_row - first_row + row: fault
            for page in pages
            for row, fault in page.faults.items()
        },
    )


def _concatenated(columns: Sequence[Column]) -> Column:
    if isinstance(columns[0], Cells):
        return Cells(chain.from_iterable(columns))
    return pa.concat_arrays(columns)


SCHEMA_FAULT = InvalidCode.SCHEMA.value
