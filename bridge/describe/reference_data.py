"""The reference data of a model: read from a file as if nothing were forbidden, and summed up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bridge.contract.model import TensorSpec, ValueRules
from bridge.contract.statistics import Statistics
from bridge.contract.table_columns import InputColumns
from bridge.describe.summary import Summary
from bridge.jobs.columns import input_columns
from bridge.jobs.page import Cells, Column, Page
from bridge.jobs.rows import CheckedRows, RowCheck
from bridge.jobs.tables import open_table

Array = np.ndarray[Any, np.dtype[Any]]


def summed_up(path: Path, inputs: Sequence[TensorSpec]) -> Statistics:
    """Return the statistics of all rows of a file.

    Columns are found as for `batchbridge score`. The contract's ranges, categories and null
    policies are not applied: they are what the statistics are for.

    Raises:
        BadInput: the file cannot be read, or its columns do not fit.
    """
    reader = _Reader(path, inputs)
    summary = Summary(inputs)
    for page in reader.pages():
        left_out = 0
        for rows in reader.checked(page):
            summary.add(rows.tensors)
            left_out += len(rows.faults)
        summary.leave_out(left_out, reader.untold_nulls(page))
    return summary.statistics(path.name)


def first_rows(path: Path, inputs: Sequence[TensorSpec], rows_max: int) -> Mapping[str, Array]:
    """Return the first readable rows of one shape, (rows, ...); see `summed_up`.

    Raises:
        BadInput: as above.
    """
    reader = _Reader(path, inputs)
    for page in reader.pages():
        for rows in reader.checked(page):
            if len(rows.valid):
                return {name: array[:rows_max] for name, array in rows.tensors.items()}
    return {}


class _Reader:
    def __init__(self, path: Path, inputs: Sequence[TensorSpec]) -> None:
        self._table = open_table(path)
        types = self._table.column_types
        lenient = [_lenient(spec) for spec in inputs]
        self._columns = input_columns(lenient, types, {}, str(path))
        self._check = RowCheck(self._columns, types, str(path), is_text=self._table.has_text_cells)

    def pages(self) -> Iterator[Page]:
        yield from self._table.pages(self._check.columns, 0)

    def checked(self, page: Page) -> Iterator[CheckedRows]:
        yield from self._check.check(page)

    def untold_nulls(self, page: Page) -> dict[tuple[str, int], int]:
        """The nulls of columns whose datatype has none, by input and place of the column."""
        return {
            (item.spec.name, place): _nulls(page.columns[name])
            for item in self._columns
            if item.spec.type.kind != "floating" and _is_by_column(item)
            for place, name in enumerate(item.columns)
        }


def _lenient(spec: TensorSpec) -> TensorSpec:
    nulls = ValueRules(nulls="allow" if spec.type.kind == "floating" else "unset")
    return msgspec.structs.replace(spec, rules=nulls, column_rules={})


def _is_by_column(item: InputColumns) -> bool:
    return not item.is_whole or item.elements == 1


def _nulls(column: Column) -> int:
    if isinstance(column, Cells):
        return sum(cell is None for cell in column)
    return int(column.null_count)
