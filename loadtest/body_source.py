"""Where the rows of a load test come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from loadtest.datatypes import Rows
from loadtest.errors import BadRows
from loadtest.server_model import ServerModel


@dataclass(frozen=True, slots=True)
class Drawn:
    """Rows for one body, and the outputs that they must get, where these are known."""

    rows: Rows
    expected: Rows | None = None


class BodySource(Protocol):
    """Makes rows that a model accepts; the same source, made anew, makes the same rows."""

    def draw(self, count: int) -> Drawn:
        """Return `count` rows, every input's first dimension.

        Raises:
            BadRows: the model does not take so many rows.
        """

    def describe(self) -> dict[str, Any]:
        """Return what is needed to make the same rows again, for the run's JSON."""


def check_count(model: ServerModel, count: int) -> None:
    """Check that a request may have so many rows.

    Raises:
        BadRows: the model's first dimension is another.
    """
    if model.rows_fixed not in (None, count):
        raise BadRows(
            f"{model.name} takes exactly {model.rows_fixed} rows in a request, not {count}"
        )
