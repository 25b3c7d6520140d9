"""Chunks: runs of input rows, each checked against the contract and sent as one frame.

Where a chunk begins and ends depends on the input, the contract and the options alone, so that a
job which goes on after a crash makes the same chunks again.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from bridge.contract.model import ModelContract
from bridge.contract.padding import padder_of
from bridge.jobs.cell_values import Array
from bridge.jobs.columns import input_columns
from bridge.jobs.errors import BadInput
from bridge.jobs.padded_rows import PaddedRowCheck
from bridge.jobs.page import Cells, Column, Page, Table, in_ranges
from bridge.jobs.rows import CheckedRows, RowCheck

CHUNK_ROWS = 1_024
CHUNK_BYTES_MAX = 8 << 20
# What a text takes is not known before it is read: taken for so many bytes.
TEXT_BYTES = 64
VARYING_ELEMENTS = 64


class RejectedRow(msgspec.Struct, frozen=True):
    """A row of the input, counted from 0, that has no outputs, and why; `key` as JSON has it."""

    row: int
    key: Any
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows `first_row` to `end_row` of the input; those that are valid, and the others.

    `tensors`: the valid rows, shape (rows, ...), by input in the contract's order; `row_numbers`:
    where they are in the input; `keys`: their key column, None if none was chosen; `lengths`:
    what they had before they were padded, None if they were not.
    """

    number: int
    first_row: int
    end_row: int
    tensors: Mapping[str, Array]
    row_numbers: Array
    keys: pa.Array | None
    rejected: tuple[RejectedRow, ...]
    lengths: Array | None = None

    @property
    def rows(self) -> int:
        """The valid rows."""
        return len(self.row_numbers)

    @property
    def tensor_bytes(self) -> int:
        """About how many bytes the valid rows take."""
        return sum(
            array.nbytes if array.dtype != object else array.size * TEXT_BYTES
            for array in self.tensors.values()
        )

    def only(self, rows: Collection[int]) -> Chunk:
        """Return the chunk with these of its valid rows alone, given by number; none rejected."""
        places = [place for place, row in enumerate(self.row_numbers.tolist()) if row in rows]
        return replace(
            self,
            tensors={name: array[places] for name, array in self.tensors.items()},
            row_numbers=self.row_numbers[places],
            keys=None if self.keys is None else self.keys.take(pa.array(places, pa.int64())),
            rejected=(),
            lengths=None if self.lengths is None else self.lengths[places],
        )

    def refused(self, place: int, code: str, reason: str) -> RejectedRow:
        """Return valid row `place` of the chunk as one that the model has refused."""
        key = None if self.keys is None else json_key(self.keys[place].as_py())
        return RejectedRow(int(self.row_numbers[place]), key, code, reason)


class Chunking:
    """Makes the chunks of one table for one model."""

    def __init__(
        self,
        table: Table,
        contract: ModelContract,
        *,
        key: str | None,
        columns: Mapping[str, str],
        chunk_rows: int,
    ) -> None:
        """Find the model's inputs, and the key column, in the table.

        Raises:
            BadInput: a column is missing, or its type is not the input's.
        """
        types = table.column_types
        found = input_columns(contract.inputs, types.keys(), columns, table.name)
        check = RowCheck(found, types, table.name, is_text=table.has_text_cells)
        padder = padder_of(contract)
        self._check = check if padder is None else PaddedRowCheck(check, padder)
        self._table = table
        self._key = key
        if key is not None and key not in types:
            raise BadInput(f"{table.name}: no column {key} for --key")
        self._rows = max(1, min(chunk_rows, CHUNK_BYTES_MAX // _row_bytes(contract)))
        self.key_type = None if key is None else _key_type(table, key)

    def chunks(self, number: int = 0, first_row: int = 0) -> Iterator[Chunk]:
        """Yield the chunks from `number` on, which begins at `first_row`.

        Raises:
            BadInput: the table cannot be read any further.
        """
        wanted = self._check.columns
        if self._key is not None and self._key not in wanted:
            wanted = [*wanted, self._key]
        for page in in_ranges(self._table.pages(wanted, first_row), self._rows, first_row):
            keys = None if self._key is None else self._keys(page.columns[self._key])
            for checked in self._check.check(page):
                yield _chunk(number, page, checked, keys)
                number += 1

    def _keys(self, column: Column) -> pa.Array:
        """The key column in its one type."""
        assert self.key_type is not None
        if isinstance(column, Cells):
            is_text = pa.types.is_string(self.key_type)
            cells = [_one_key(cell, is_text=is_text) for cell in column]
            return pa.array(cells, self.key_type)
        if column.type == self.key_type:
            return column
        try:
            return column.cast(self.key_type)
        except pa.ArrowInvalid:  # bytes that are no UTF-8, in CSV
            decoded = [
                None if cell is None else cell.decode(errors="replace")
                for cell in column.to_pylist()
            ]
            return pa.array(decoded, self.key_type)


def json_key(value: Any) -> Any:
    """Return a key as JSON can hold it."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _chunk(number: int, page: Page, checked: CheckedRows, keys: pa.Array | None) -> Chunk:
    rejected = tuple(
        RejectedRow(
            page.first_row + row,
            None if keys is None else json_key(keys[row].as_py()),
            fault.code,
            fault.reason,
        )
        for row, fault in sorted(checked.faults.items())
    )
    return Chunk(
        number,
        page.first_row + checked.start,
        page.first_row + checked.end,
        checked.tensors,
        np.asarray(page.first_row + checked.valid, dtype=np.int64),
        None if keys is None else keys.take(pa.array(checked.valid)),
        rejected,
        checked.lengths,
    )


def _row_bytes(contract: ModelContract) -> int:
    varying = VARYING_ELEMENTS if contract.padding is None else contract.padding.buckets[-1]
    total = 0
    for spec in contract.run_inputs:
        elements = math.prod(varying if size == -1 else size for size in spec.row_shape)
        total += elements * (spec.type.item_bytes or TEXT_BYTES)
    return max(1, total)


def _key_type(table: Table, key: str) -> pa.DataType:
    given = table.column_types[key]
    if given is None:  # JSON: whole numbers if the first row's is one, else text
        first = getattr(table, "first", {}).get(key)
        is_whole = isinstance(first, int) and not isinstance(first, bool)
        return pa.int64() if is_whole else pa.string()
    if table.has_text_cells:
        return pa.string()
    return given.value_type if pa.types.is_dictionary(given) else given


def _one_key(cell: Any, *, is_text: bool) -> Any:
    if cell is None:
        return None
    if is_text:
        return cell if isinstance(cell, str) else msgspec.json.encode(cell).decode()
    is_whole = isinstance(cell, int) and not isinstance(cell, bool) and abs(cell) < 2**63
    return cell if is_whole else None
