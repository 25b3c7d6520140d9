"""Rows as tensors, read from any table and written to `golden.parquet` with a head of their own.

An input of the file is a column of its own, as `batchbridge score` wants it, so the file can be
scored as it is; what belongs to a row beside the inputs has a prefix in its name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bridge.contract.invalid import shown
from bridge.contract.model import TensorSpec
from bridge.contract.table_columns import ColumnsMissing, find_columns
from bridge.jobs.cell_values import Array
from bridge.jobs.columns import input_columns
from bridge.jobs.errors import BadInput
from bridge.jobs.output_file import write_output
from bridge.jobs.outputs import OutputTable
from bridge.jobs.page import Cells, Column, Fault
from bridge.jobs.rows import CheckedRows, RowCheck
from bridge.jobs.tables import open_table, reason_of

HEAD_KEY = b"batchbridge.golden"


@dataclass(frozen=True, slots=True)
class RowsOfOneShape:
    """Rows by their numbers in the table: tensors by name, shape (rows, ...), and their labels.

    `labels` are empty where no label column was asked for; a missing one is an empty text.
    """

    numbers: tuple[int, ...]
    tensors: Mapping[str, Array]
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RowsRead:
    """The rows of a table that the specs allow, and why the others are not, by their number.

    `is_cut`: the table has more.
    """

    parts: tuple[RowsOfOneShape, ...]
    faults: Mapping[int, Fault]
    is_cut: bool

    @property
    def rows(self) -> int:
        """How many rows are in all parts."""
        return sum(len(part.numbers) for part in self.parts)


def specs_in(path: Path, specs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return those of `specs` for which a file has columns.

    Raises:
        BadInput: the file cannot be read, has none of them, or one in part.
    """
    table = open_table(path)
    found = []
    for spec in specs:
        try:
            find_columns([spec], table.column_types, {}, str(path))
        except ColumnsMissing as error:
            parts = {*spec.columns, *(f"{spec.name}.{name}" for name in spec.columns)}
            if parts & table.column_types.keys():
                raise BadInput(str(error)) from None
            continue
        found.append(spec)
    if not found:
        names = ", ".join(shown(spec.name) for spec in specs)
        raise BadInput(f"{path}: no column for any of {names}")
    return found


def read_rows(
    path: Path, specs: Sequence[TensorSpec], rows_max: int, label_column: str = ""
) -> RowsRead:
    """Return at most the first `rows_max` rows of a file, checked by the specs' rules.

    Columns are found as for `batchbridge score`.

    Raises:
        BadInput: the file cannot be read, or its columns do not fit.
    """
    table = open_table(path)
    if label_column and label_column not in table.column_types:
        raise BadInput(f"{path}: no column {shown(label_column)} for the labels")
    columns = input_columns(specs, table.column_types, {}, str(path))
    check = RowCheck(columns, table.column_types, str(path), is_text=table.has_text_cells)
    names = list(dict.fromkeys([*check.columns, *([label_column] if label_column else [])]))
    parts: list[RowsOfOneShape] = []
    faults: dict[int, Fault] = {}
    for page in table.pages(names, 0):
        left = rows_max - page.first_row
        if left <= 0:
            return RowsRead(tuple(parts), faults, is_cut=True)
        kept = page if page.rows <= left else page.part(0, left)
        labels = _labels(kept.columns[label_column]) if label_column else []
        for checked in check.check(kept):
            parts += _part(checked, kept.first_row, labels)
            faults.update({kept.first_row + row: why for row, why in checked.faults.items()})
        if kept.rows < page.rows:
            return RowsRead(tuple(parts), faults, is_cut=True)
    return RowsRead(tuple(parts), faults, is_cut=False)


def write_golden(
    path: Path,
    head: bytes,
    specs: Sequence[TensorSpec],
    parts: Sequence[RowsOfOneShape],
    label_column: str,
) -> None:
    """Write parts, whose tensors are those of the specs, one below the other, and the head.

    Raises:
        BadInput: two columns would have one name.
        BadResult: a tensor of another shape than its spec's, or text that is not UTF-8.
        OutputFailed: it cannot be written.
    """
    table = OutputTable(specs, None, None)
    schema = table.schema
    if label_column:
        schema = schema.append(pa.field(label_column, pa.string()))
    twice = [name for name in schema.names if schema.names.count(name) > 1]
    if twice:
        raise BadInput(f"{path.name}: two columns would be called {shown(twice[0])}")
    schema = schema.with_metadata({HEAD_KEY: head})
    write_output(path, schema, _batches(table, schema, parts, has_labels=bool(label_column)))


def read_head(path: Path) -> bytes | None:
    """Return the head of a golden file; None if the file is none.

    Raises:
        BadInput: it is no Parquet file.
    """
    try:
        metadata: Mapping[bytes, bytes] = pq.read_schema(path).metadata or {}
    except (OSError, pa.ArrowException) as error:
        raise BadInput(f"{path}: {reason_of(error)}") from error
    return metadata.get(HEAD_KEY)


def _batches(
    table: OutputTable, schema: pa.Schema, parts: Sequence[RowsOfOneShape], *, has_labels: bool
) -> Iterator[pa.RecordBatch]:
    for part in parts:
        columns = table.batch(part.tensors, np.array(part.numbers), None).columns
        if has_labels:
            columns = [*columns, pa.array(part.labels, pa.string())]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _part(checked: CheckedRows, first_row: int, labels: list[str]) -> list[RowsOfOneShape]:
    places = checked.valid.tolist()
    if not places:
        return []
    numbers = tuple(first_row + place for place in places)
    of_rows = tuple(labels[place] for place in places) if labels else ()
    return [RowsOfOneShape(numbers, checked.tensors, of_rows)]


def _labels(column: Column) -> list[str]:
    cells = list(column) if isinstance(column, Cells) else column.to_pylist()
    return [_label(cell) for cell in cells]


def _label(cell: Any) -> str:
    """Return a label as a contract writes it: whole numbers without a point, truths in lower case.

    pandas makes whole numbers floating as soon as one is missing.
    """
    if cell is None:
        return ""
    if isinstance(cell, bytes):
        return cell.decode(errors="replace")
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)
