"""Which columns of a table are a model's inputs: by the contract's names, or as the caller says."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from bridge.contract.invalid import shown
from bridge.contract.model import TensorSpec
from bridge.contract.named_columns import column_names, full_name


class ColumnsMissing(Exception):
    """The columns of a table are not those of the model; the message says which."""


@dataclass(frozen=True, slots=True)
class InputColumns:
    """The columns of one input.

    One column for each element of a row, in C order; or, if `is_whole`, one column that holds the
    whole row: a single value, or a list. `elements` is how many values a row has, None if that
    varies from row to row.
    """

    spec: TensorSpec
    columns: tuple[str, ...]
    is_whole: bool

    @property
    def elements(self) -> int | None:
        """The values of one row."""
        shape = self.spec.row_shape
        return None if -1 in shape else math.prod(shape)


def find_columns(
    inputs: Sequence[TensorSpec], names: Collection[str], renamed: Mapping[str, str], where: str
) -> list[InputColumns]:
    """Return where each input is found among a table's columns `names`.

    An input is a column of its own name (a value, or a list for a row of several), or the columns
    that the contract names along its last axis, or `input.0`, `input.1`, … `renamed` gives, for
    an input's name, a column's name of the contract or `input.column`, the table's own name.

    Raises:
        ColumnsMissing: a column is missing, or `renamed` names none of the model's; `where` is the
            table.
    """
    known = {name for spec in inputs for name in _names(spec)}
    for name in renamed:
        if name not in known:
            raise ColumnsMissing(f"columns: the model has no input or column {shown(name)}")
    return [_found(spec, names, renamed, where) for spec in inputs]


def _names(spec: TensorSpec) -> list[str]:
    columns = _element_names(spec)
    return [spec.name, *columns, *(full_name(spec, column) for column in columns)]


def _element_names(spec: TensorSpec) -> list[str]:
    """The names of a row's elements, if they can stand in columns of their own."""
    if columns := column_names(spec):
        return list(columns)
    if -1 in spec.row_shape:
        return []
    return [str(index) for index in range(math.prod(spec.row_shape))] if spec.row_shape else []


def _found(
    spec: TensorSpec, names: Collection[str], renamed: Mapping[str, str], where: str
) -> InputColumns:
    if spec.row_shape.count(-1) > 1:
        raise ColumnsMissing(f"input {shown(spec.name)}: rows of more than one varying dimension")
    own = renamed.get(spec.name, spec.name)
    if own in names:
        return InputColumns(spec, (own,), is_whole=True)
    elements = _element_names(spec)
    found = [_element(spec, element, names, renamed) for element in elements]
    missing = [element for element, column in zip(elements, found, strict=True) if column is None]
    if elements and not missing:
        columns = tuple(column for column in found if column is not None)
        return InputColumns(spec, columns, is_whole=False)
    if len(missing) == len(elements):
        wanted = shown(own)
        if spec.columns:
            wanted += f", nor columns {', '.join(map(shown, spec.columns[:3]))}"
        raise ColumnsMissing(f"{where}: no column {wanted} for the input {shown(spec.name)}")
    listed = ", ".join(shown(renamed.get(name, name)) for name in missing[:5])
    raise ColumnsMissing(f"{where}: no column {listed} for the input {shown(spec.name)}")


def _element(
    spec: TensorSpec, element: str, names: Collection[str], renamed: Mapping[str, str]
) -> str | None:
    """The table's column for one element, by the most exact name that is there."""
    full = full_name(spec, element)
    given = renamed.get(full) or (renamed.get(element) if spec.columns else None)
    candidates = [given] if given else [full, *([element] if spec.columns else [])]
    return next((name for name in candidates if name in names), None)
