"""A table's own columns as a model's inputs: where nothing else says what a model takes."""

from __future__ import annotations

import math
from collections.abc import Collection

import pyarrow as pa

from bridge.contract.datatype import DATATYPES
from bridge.contract.model import TensorSpec
from bridge.jobs.cell_values import values_of
from bridge.jobs.page import Cells, Column, Table

_BY_ARROW_TYPE = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "halffloat": "FP16",
    "float": "FP32",
    "double": "FP64",
    "string": "BYTES",
    "large_string": "BYTES",
}
# In this order, as each takes all that the one before takes; truth values are no numbers here.
_BY_CELLS = ("BOOL", "INT64", "FP64", "BYTES")
# CSV writes 0 and 1 for both: numbers then.
_BY_TEXT = ("INT64", "FP64", "BOOL", "BYTES")


def table_inputs(table: Table, left_out: Collection[str]) -> tuple[TensorSpec, ...]:
    """Return an input of its own name for each column but those `left_out`.

    One value a row, of the column's datatype; where the column has none, of the one that all
    values of the first page have. Whole numbers with nulls among them are floating, and so are
    those written as `3.0`. Columns of lists, dates and whatever else no such input can be are
    passed over.

    Raises:
        BadInput: the table cannot be read.
    """
    names = [name for name in table.column_types if name not in left_out]
    page = next(iter(table.pages(names, 0)), None)
    found = []
    for name in names:
        cells = None if page is None else page.columns[name]
        datatype = _datatype(table, name, cells)
        if datatype is not None:
            found.append(TensorSpec(name=name, datatype=datatype, shape=(-1,)))
    return tuple(found)


def _datatype(table: Table, name: str, cells: Column | None) -> str | None:
    column = table.column_types[name]
    if column is not None and pa.types.is_dictionary(column):
        column = column.value_type
    if column is not None and not table.has_text_cells:
        found = _BY_ARROW_TYPE.get(str(column))
        has_nulls = cells is not None and not isinstance(cells, Cells) and cells.null_count
        if found is not None and DATATYPES[found].kind == "integer" and has_nulls:
            return "FP64"
        return found
    if cells is None:
        return None
    order = _BY_TEXT if table.has_text_cells else _BY_CELLS
    return next((one for one in order if _takes(cells, one, is_text=table.has_text_cells)), None)


def _takes(cells: Column, datatype: str, *, is_text: bool) -> bool:
    is_integer = DATATYPES[datatype].kind == "integer"
    if is_integer and _is_written_floating(cells):
        return False
    # A whole number that is missing makes the column floating, as in pandas.
    null = None if is_integer else math.nan
    _, faults = values_of(cells, DATATYPES[datatype], [null], is_text=is_text)
    return not faults


def _is_written_floating(cells: Column) -> bool:
    """Whether `3.0` stands for three: what wrote that has floating numbers."""
    values = cells if isinstance(cells, Cells) else cells.to_pylist()
    return any(isinstance(one, float) or (isinstance(one, bytes) and b"." in one) for one in values)
