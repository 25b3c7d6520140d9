"""Pages to the model's inputs: valid rows as tensors, the others with the reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bridge.contract.defaults import null_value
from bridge.contract.invalid import InvalidCode, InvalidInput, shown
from bridge.contract.model import TensorSpec, ValueRules
from bridge.contract.table_columns import InputColumns
from bridge.contract.values import ValueCheck
from bridge.jobs.cell_values import Array, accepts, values_of
from bridge.jobs.errors import BadInput
from bridge.jobs.page import Cells, Column, Fault, Page


@dataclass(frozen=True, slots=True)
class CheckedRows:
    """Rows `start` to `end` of a page: those that are valid, by their place in it, and the others.

    `tensors` hold the valid rows only, shape (rows, ...), in the contract's order. `lengths`, of
    the valid rows, if they were padded.
    """

    start: int
    end: int
    tensors: Mapping[str, Array]
    valid: Array
    faults: Mapping[int, Fault]
    lengths: Array | None = None


class RowCheck:
    """Reads the inputs of one model from pages of one table."""

    def __init__(
        self,
        inputs: Sequence[InputColumns],
        types: Mapping[str, pa.DataType | None],
        where: str,
        *,
        is_text: bool,
    ) -> None:
        """Check that the columns' types can be the inputs' at all.

        Raises:
            BadInput: a column that cannot; `where` is the table.
        """
        self._inputs = inputs
        self._is_text = is_text
        self._checks = {item.spec.name: ValueCheck(item.spec) for item in inputs}
        for item in inputs:
            for name in item.columns:
                _refuse_type(item.spec, name, types[name], where, is_text=is_text)
            if is_text and item.is_whole and item.elements != 1:
                raise BadInput(
                    f"{where}: column {shown(item.columns[0])}: a cell of CSV cannot hold "
                    f"the {item.elements or 'many'} values of the input {shown(item.spec.name)}"
                )

    @property
    def columns(self) -> list[str]:
        """The columns that are read, each once."""
        return list(dict.fromkeys(name for item in self._inputs for name in item.columns))

    def check(self, page: Page) -> Iterator[CheckedRows]:
        """Yield the page's rows; in several pieces where the rows' shapes vary."""
        for start, end in self._spans(page):
            yield self._checked(page.part(start, end), start)

    def check_one_shape(self, page: Page) -> CheckedRows:
        """Read rows of which `varying_sizes` are equal."""
        return self._checked(page, 0)

    def varying_sizes(self, page: Page) -> list[tuple[int, ...]]:
        """Return how many values each row has of each input where that varies."""
        varying = [item for item in self._inputs if item.elements is None]
        lengths = [_lengths(page.columns[item.columns[0]]) for item in varying]
        return list(zip(*lengths, strict=True)) if varying else [()] * page.rows

    def _spans(self, page: Page) -> Iterator[tuple[int, int]]:
        """Where the rows of one shape begin and end: only those can travel together."""
        if all(item.elements is not None for item in self._inputs):
            yield 0, page.rows
            return
        start = 0
        for _, group in groupby(self.varying_sizes(page)):
            end = start + len(list(group))
            yield start, end
            start = end

    def _checked(self, page: Page, start: int) -> CheckedRows:
        faults = dict(page.faults)
        arrays = {item.spec.name: self._tensor(item, page, faults) for item in self._inputs}
        valid = np.arange(page.rows)
        if faults:
            valid = np.delete(valid, list(faults))
        self._check_values(arrays, valid, faults)
        if faults:
            valid = np.delete(np.arange(page.rows), list(faults))
            arrays = {name: array[valid] for name, array in arrays.items()}
        return CheckedRows(
            start,
            start + page.rows,
            arrays,
            valid + start,
            {row + start: fault for row, fault in faults.items()},
        )

    def _tensor(self, item: InputColumns, page: Page, faults: dict[int, Fault]) -> Array:
        spec = item.spec
        if not item.is_whole:
            parts = self._elements(item, page, faults)
            return np.ascontiguousarray(np.stack(parts, axis=1).reshape(page.rows, *spec.row_shape))
        (name,) = item.columns
        column = page.columns[name]
        if item.elements == 1 and not _is_list(column):
            flat = self._column(spec, column, [0], name, faults)
            return flat.reshape(page.rows, *spec.row_shape)
        elements = item.elements
        if elements is None:
            elements = _lengths(column)[0] if page.rows else 0
        cells = _flattened(column, elements, faults)
        flat = self._column(spec, cells, range(max(1, elements)), name, faults)
        shape = _row_shape(spec.row_shape, elements)
        if shape is None:
            fault = Fault(InvalidCode.WRONG_SHAPE, f"{elements} values are no {spec.row_shape}")
            faults.update({row: faults.get(row, fault) for row in range(page.rows)})
            return np.zeros((page.rows, *(max(1, size) for size in spec.row_shape)), flat.dtype)
        return flat.reshape(page.rows, *shape)

    def _elements(self, item: InputColumns, page: Page, faults: dict[int, Fault]) -> list[Array]:
        """The values of each element, shape (rows,): of its column, or its default."""
        names = iter(item.columns)
        parts = []
        for place in range(len(item.columns) + len(item.defaults)):
            if place in item.defaults:
                absent, default = pa.nulls(page.rows), [item.defaults[place]]
                parts.append(values_of(absent, item.spec.type, default, is_text=False)[0])
            else:
                name = next(names)
                parts.append(self._column(item.spec, page.columns[name], [place], name, faults))
        return parts

    def _column(
        self,
        spec: TensorSpec,
        cells: Column,
        elements: Sequence[int],
        name: str,
        faults: dict[int, Fault],
    ) -> Array:
        """The values of one column, which holds these elements of each row."""
        nulls = [null_value(_rules(spec, index)) for index in elements]
        values, found = values_of(cells, spec.type, nulls, is_text=self._is_text)
        for place, fault in found.items():
            reason = f"column {shown(name)}: {fault.reason}"
            faults.setdefault(place // len(nulls), Fault(fault.code, reason))
        return values

    def _check_values(
        self, arrays: Mapping[str, Array], valid: Array, faults: dict[int, Fault]
    ) -> None:
        """Note the rows whose values the contract does not allow, as for an online caller."""
        for name, check in self._checks.items():
            if check.is_empty:
                continue
            array = arrays[name]
            left = [valid]
            while left:
                rows = left.pop()
                fault = _why_refused(check, array[rows]) if len(rows) else None
                if fault is None:
                    continue
                if len(rows) == 1:
                    faults.setdefault(int(rows[0]), fault)
                else:
                    middle = len(rows) // 2
                    left += [rows[middle:], rows[:middle]]


def _why_refused(check: ValueCheck, array: Array) -> Fault | None:
    try:
        check.check(array)
    except InvalidInput as error:
        # The row is told beside it, by its number in the file.
        return Fault(error.code.value, error.message.replace(", row 0", "", 1))
    return None


def _rules(spec: TensorSpec, element: int) -> ValueRules:
    if not spec.column_rules:
        return spec.rules
    return spec.column_rules.get(spec.columns[element % len(spec.columns)], spec.rules)


def _refuse_type(
    spec: TensorSpec, name: str, column: pa.DataType | None, where: str, *, is_text: bool
) -> None:
    if column is None or is_text:
        return
    inner = column
    while _is_list_type(inner):
        inner = inner.value_type
    if not accepts(inner, spec.type):
        raise BadInput(
            f"{where}: column {shown(name)} is {column}, the input {shown(spec.name)} takes "
            f"{spec.datatype}"
        )


def _is_list_type(column: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(column)
        or pa.types.is_large_list(column)
        or pa.types.is_fixed_size_list(column)
    )


def _is_list(column: Column) -> bool:
    if isinstance(column, Cells):
        return any(isinstance(cell, list) for cell in column)
    return _is_list_type(column.type)


def _row_shape(shape: tuple[int, ...], elements: int) -> tuple[int, ...] | None:
    """The shape of a row with so many values; None if there is none."""
    fixed = 1
    for size in shape:
        fixed *= size if size != -1 else 1
    if -1 not in shape:
        return shape if fixed == elements else None
    if elements % fixed:
        return None
    return tuple(elements // fixed if size == -1 else size for size in shape)


def _lengths(column: Column) -> list[int]:
    """How many values each row's cell holds, in any nesting."""
    if isinstance(column, Cells):
        return [len(_flat(cell)) if isinstance(cell, list) else 1 for cell in column]
    counts = np.ones(len(column), dtype=np.int64)
    inner, at = column, np.arange(len(column) + 1)
    while _is_list_type(inner.type):
        sizes = np.asarray(
            pc.list_value_length(inner).fill_null(0).to_numpy(zero_copy_only=False), dtype=np.int64
        )
        ends = np.concatenate([[0], np.cumsum(sizes)])
        at = ends[at]
        counts = np.diff(at)
        inner = inner.flatten()
    return [int(count) for count in counts]


def _flattened(column: Column, elements: int, faults: dict[int, Fault]) -> Column:
    """The values of all rows; a row that has not `elements` of them is a fault, and nulls."""
    wrong = [row for row, length in enumerate(_lengths(column)) if length != elements]
    for row in wrong:
        is_null = isinstance(column, Cells) and column[row] is None
        code = InvalidCode.NULL_VALUE if is_null else InvalidCode.WRONG_SHAPE
        faults.setdefault(row, Fault(code, f"not {elements} values"))
    if isinstance(column, Cells) or wrong:
        rows = list(column) if isinstance(column, Cells) else column.to_pylist()
        for row in wrong:
            rows[row] = [None] * elements
        return _as_column([value for cell in rows for value in _flat(cell)], column)
    inner = column
    while _is_list_type(inner.type):
        inner = inner.flatten()
    return inner


def _as_column(values: list[Any], like: Column) -> Column:
    if isinstance(like, Cells):
        return Cells(values)
    inner = like.type
    while _is_list_type(inner):
        inner = inner.value_type
    return pa.array(values, inner)


def _flat(cell: Any) -> list[Any]:
    if not isinstance(cell, list):
        return [cell]
    return [value for item in cell for value in _flat(item)]
