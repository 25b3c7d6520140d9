"""The values of named rows as they were sent: row by row, or column by column."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, Protocol

import msgspec

from bridge.contract.invalid import InvalidCode, InvalidInput, shown

UNSET = msgspec.UNSET


class Cells(Protocol):
    """The named values of one request, however they were written."""

    @property
    def rows(self) -> int:
        """How many rows there are."""

    @property
    def names(self) -> set[str]:
        """Every name that is given anywhere."""

    def flat(self, names: Sequence[str]) -> list[Any]:
        """Return the cells of these columns, row by row; UNSET where one is not given."""

    def where(self, name: str) -> str:
        """Return the beginning of a message about a name that is given."""

    def objects(self) -> Sequence[dict[str, Any]]:
        """Return the JSON objects whose keys are names."""

    def all(self) -> Iterable[Iterable[Any]]:
        """Return all cells."""


class RowCells:
    """Cells that came row by row."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self._rows = rows
        self.rows = len(rows)
        self.names: set[str] = set().union(*rows)

    def flat(self, names: Sequence[str]) -> list[Any]:
        """As in `Cells`."""
        try:
            if len(names) == 1:
                return [row[names[0]] for row in self._rows]
            return list(chain.from_iterable(map(itemgetter(*names), self._rows)))
        except KeyError:
            return [row.get(name, UNSET) for row in self._rows for name in names]

    def where(self, name: str) -> str:
        """The first row that has the name."""
        return f"row {next(index for index, row in enumerate(self._rows) if name in row)}: "

    def objects(self) -> Sequence[dict[str, Any]]:
        """The rows."""
        return self._rows

    def all(self) -> Iterable[Iterable[Any]]:
        """As in `Cells`."""
        return map(dict.values, self._rows)


class ColumnCells:
    """Cells that came column by column."""

    def __init__(self, columns: dict[str, list[Any]]) -> None:
        """Raises InvalidInput, `wrong_shape`, when the columns differ in length."""
        self._columns = columns
        self.names = set(columns)
        first, self.rows = next(((name, len(cells)) for name, cells in columns.items()), ("", 0))
        for name, cells in columns.items():
            if len(cells) != self.rows:
                raise InvalidInput(
                    InvalidCode.WRONG_SHAPE,
                    f"column '{shown(name)}' has {len(cells)} values, '{shown(first)}' has "
                    f"{self.rows}",
                )

    def flat(self, names: Sequence[str]) -> list[Any]:
        """As in `Cells`."""
        absent = [UNSET] * self.rows
        columns = [self._columns.get(name, absent) for name in names]
        return list(chain.from_iterable(zip(*columns, strict=True)))

    def where(self, name: str) -> str:
        """Nothing: a column is in every row."""
        return ""

    def objects(self) -> Sequence[dict[str, Any]]:
        """The object of the columns."""
        return [self._columns]

    def all(self) -> Iterable[Iterable[Any]]:
        """As in `Cells`."""
        return self._columns.values()
