"""One input of a model as named values: JSON cells in, an array out."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import msgspec
import numpy as np

from bridge.contract.invalid import InvalidCode, InvalidInput, shown
from bridge.contract.named_columns import column_names, full_name, is_single, rules_of_columns
from bridge.gateway.dialects.binary import text_array
from bridge.gateway.dialects.call import Array
from bridge.gateway.dialects.inputs import InputTensor
from bridge.gateway.dialects.json_tensor import CODES, packed
from bridge.gateway.dialects.named_cells import Cells
from bridge.gateway.dialects.named_column import NamedColumn, Reading, as_sent
from bridge.gateway.dialects.stated_units import BushelWeights, StatedUnits

UNSET = msgspec.UNSET
# Of values in lists that state a unit: each takes ten times as long as one that does not.
OWN_UNITS_MAX = 16_384
UNIT_KEYS = 2  # "value" and "unit"

_NAMED_CODES = {**CODES, "FP16": "e"}


class NamedInput:
    """Reads one input of a model version from named cells."""

    def __init__(
        self, tensor: InputTensor, weights: BushelWeights, shared: frozenset[str] = frozenset()
    ) -> None:
        """`shared`: names that another input has, too; columns then have their full ones only."""
        spec = tensor.spec
        self.tensor = tensor
        columns = column_names(spec)
        self._full_names = tuple(full_name(spec, column) for column in columns)
        self._names = tuple(
            full if column in shared else column
            for column, full in zip(columns, self._full_names, strict=True)
        )
        places = range(len(rules_of_columns(spec)))
        self._columns = [NamedColumn(spec, place, weights, shared) for place in places]
        self._is_single = is_single(spec) and not self._names
        self._code = _NAMED_CODES[spec.datatype]
        self.names = (spec.name, *self._names, *self._full_names)

    def read(self, cells: Cells, stated: StatedUnits, read_before: Mapping[str, Array]) -> Array:
        """Return the input's rows, shape (rows, ...), as the contract accepts them.

        `read_before` as in `Reading`.

        Raises:
            InvalidInput: naming row, column, value and what was expected.
        """
        values, row_shape = self._flat(cells)
        if stated or not self._columns[0].is_of_type(values):
            reading = Reading(len(values) // cells.rows, stated, read_before)
            step = len(self._columns)
            for place, column in enumerate(self._columns):
                values[place::step] = column.resolved(values[place::step], reading)
        array = self._array(values, (cells.rows, *row_shape))
        return array if self.tensor.check is None else self.tensor.check.accepted(array)

    def _flat(self, cells: Cells) -> tuple[list[Any], tuple[int, ...]]:
        """The values in C order, and the shape of a row."""
        own = self.tensor.name
        row_shape = self.tensor.spec.row_shape
        if self._names:
            given = [name for name in (*self._names, *self._full_names) if name in cells.names]
            if given or own not in cells.names:
                return cells.flat(self._sent(cells, given)), row_shape
        whole = cells.flat((own,))
        if self._is_single and (not row_shape or list not in set(map(type, whole))):
            return whole, row_shape
        return self._flattened(whole)

    def _sent(self, cells: Cells, given: Sequence[str]) -> list[str]:
        """Under which of its names each column is given."""
        own = self.tensor.name
        if own in cells.names and own not in self._names:
            raise _twice(own, given[0])
        sent = []
        for column, full in zip(self._names, self._full_names, strict=True):
            if full != column and full in cells.names and column in cells.names:
                raise _twice(full, column)
            sent.append(full if full in cells.names else column)
        return sent

    def _flattened(self, whole: list[Any]) -> tuple[list[Any], tuple[int, ...]]:
        """Rows that are lists, nested or flat, one after the other."""
        row_shape = self.tensor.spec.row_shape
        if -1 in row_shape:
            self._refuse_absent(whole)
            row_shape = _actual_shape(row_shape, whole[0])
        size = math.prod(row_shape)
        if sum(type(cell) is dict for cell in whole) * size > OWN_UNITS_MAX:
            raise InvalidInput(
                InvalidCode.TOO_LARGE,
                f"column '{self.tensor.shown_name}': more than {OWN_UNITS_MAX} values with units "
                "of their own; state the unit once, in 'units'",
            )
        values: list[Any] = []
        for row, cell in enumerate(whole):
            values += self._row_values(row, cell, row_shape, size)
        return values, row_shape

    def _refuse_absent(self, whole: list[Any]) -> None:
        """Refuse rows without a list: nothing says how many values would stand for them."""
        for row, cell in enumerate(whole):
            if cell is None:
                raise self._columns[0].refused(row, None)
            if cell is UNSET:
                name = self.tensor.shown_name
                raise InvalidInput(
                    InvalidCode.MISSING, f"row {row}, column '{name}' is missing, expected a list"
                )

    def _row_values(
        self, row: int, cell: Any, row_shape: tuple[int, ...], size: int
    ) -> Sequence[Any]:
        if cell is None or cell is UNSET:
            return [cell] * size
        if type(cell) is dict:
            # Whatever else the object holds would be copied for each value.
            if type(cell.get("value")) is not list or len(cell) > UNIT_KEYS:
                raise self._columns[0].refused(row, cell)
            inner = self._row_values(row, cell["value"], row_shape, size)
            # Each value is judged with the rest of the object.
            return [{**cell, "value": item} for item in inner]
        if size == 1 and type(cell) is not list:
            return [cell]
        if type(cell) is list and len(cell) == size and list not in set(map(type, cell)):
            return cell
        found = _nested(cell, row_shape)
        if found is None:
            raise self._another_shape(row, cell, row_shape)
        return found

    def _another_shape(self, row: int, cell: Any, row_shape: tuple[int, ...]) -> InvalidInput:
        is_list = type(cell) is list
        return InvalidInput(
            InvalidCode.RAGGED if is_list else InvalidCode.WRONG_TYPE,
            f"row {row}, column '{self.tensor.shown_name}': "
            f"{'another shape' if is_list else as_sent(cell)}, expected a list of shape "
            f"{list(row_shape)}",
        )

    def _array(self, values: list[Any], announced: tuple[int, ...]) -> Array:
        shape = self.tensor.checked_shape(self.tensor.spec.datatype, list(announced))
        if not self._code:
            return text_array(self.tensor, values, shape)
        try:
            return np.ndarray(shape, self.tensor.type.dtype, packed(values, self._code))
        except (struct.error, OverflowError):
            raise self._out_of_range(values, len(values) // shape[0]) from None

    def _out_of_range(self, values: list[Any], row_values: int) -> InvalidInput:
        for index, value in enumerate(values):
            try:
                struct.pack(f"<{self._code}", value)
            except (struct.error, OverflowError):
                label = self._columns[index % len(self._columns)].label
                return InvalidInput(
                    InvalidCode.NUMBER_RANGE,
                    f"row {index // row_values}, {label}: {shown(value)} is outside "
                    f"{self.tensor.spec.datatype}",
                )
        raise AssertionError("packing fails for one value at least")


def _actual_shape(row_shape: tuple[int, ...], cell: Any) -> tuple[int, ...]:
    """The shape of a row with its varying dimensions as they are in the first one."""
    shape = []
    if type(cell) is dict:
        cell = cell.get("value")
    for size in row_shape:
        is_list = type(cell) is list
        shape.append(len(cell) if size == -1 and is_list else max(size, 0))
        cell = cell[0] if is_list and cell else None
    return tuple(shape)


def _nested(cell: Any, shape: tuple[int, ...]) -> list[Any] | None:
    """The values of nested lists of exactly this shape; None for anything else."""
    level = [cell]
    for size in shape:
        if any(type(item) is not list or len(item) != size for item in level):
            return None
        level = list(chain.from_iterable(level))
    return level


def _twice(one: str, other: str) -> InvalidInput:
    return InvalidInput(
        InvalidCode.DUPLICATE_NAME,
        f"'{shown(one)}' and '{shown(other)}' are the same, give one of them",
    )
