"""Which columns of a table are a model's inputs: by the contract's names, or as the caller says."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bridge.contract.invalid import shown
from bridge.contract.model import TensorSpec
from bridge.contract.named_columns import (
    column_names,
    full_name,
    is_single,
    rules_of_columns,
)


class ColumnsMissing(Exception):
    """The columns of a table are not those of the model; the message says which."""


@dataclass(frozen=True, slots=True)
class InputColumns:
    """The columns of one input.

    One column for each element of a row, in C order; or, if `is_whole`, one column that holds the
    whole row: a single value, or a list. `elements` is how many values a row has, None if that
    varies from row to row. `defaults`: by the place of an element that the table has no column
    for, the contract's default, which stands in every row; `columns` are those of the others.
    """

    spec: TensorSpec
    columns: tuple[str, ...]
    is_whole: bool
    defaults: Mapping[int, Any] = field(default_factory=dict)

    @property
    def elements(self) -> int | None:
        """The values of one row."""
        shape = self.spec.row_shape
        return None if -1 in shape else math.prod(shape)


def find_columns(
    inputs: Sequence[TensorSpec],
    names: Collection[str],
    renamed: Mapping[str, str],
    where: str,
    *,
    takes_defaults: bool = False,
) -> list[InputColumns]:
    """Return where each input is found among a table's columns `names`.

    An input is a column of its own name (a value, or a list for a row of several), or the columns
    that the contract names along its last axis, or `input.0`, `input.1`, … `renamed` gives, for
    an input's name, a column's name of the contract or `input.column`, the table's own name.
    With `takes_defaults` a column that is not there and has a default in the contract is left to
    it, as a value that is not sent by name; but for one that `renamed` speaks of.

    Raises:
        ColumnsMissing: a column is missing, or `renamed` names none of the model's; `where` is the
            table. Or a column fits several of the model's by its name: which of them it is has to
            be said by `renamed`, or by `input.column` as its name.
    """
    known = {name for spec in inputs for name in _names(spec)}
    for name in renamed:
        if name not in known:
            raise ColumnsMissing(f"columns: the model has no input or column {shown(name)}")
    found = [
        (_defaulted(spec, names, renamed) if takes_defaults else None)
        or _found(spec, names, renamed, where)
        for spec in inputs
    ]
    if takes_defaults and not any(item.columns for item in found):
        # A table of something else: its rows would all be the same.
        found = [_found(spec, names, renamed, where) for spec in inputs]
    _refuse_shared(found, renamed, where)
    return found


def _refuse_shared(found: Sequence[InputColumns], renamed: Mapping[str, str], where: str) -> None:
    """One column may stand for several of the model's only where the caller says so of each."""
    users: dict[str, list[str]] = defaultdict(list)
    for item in found:
        for exact, column in _exact_names(item):
            users[column].append(exact)
    for column, exacts in users.items():
        if len(exacts) > 1 and not all(renamed.get(exact) == column for exact in exacts):
            listed = " and ".join(shown(exact) for exact in exacts[:5])
            raise ColumnsMissing(
                f"{where}: the column {shown(column)} fits {listed}: give each a column of that "
                "name, or say for each which column it is"
            )


def _exact_names(item: InputColumns) -> Iterator[tuple[str, str]]:
    """The only names that no other input's columns can have, each with the table's column."""
    if item.is_whole:
        yield item.spec.name, item.columns[0]
        return
    elements = _element_names(item.spec)
    there = [name for place, name in enumerate(elements) if place not in item.defaults]
    for element, column in zip(there, item.columns, strict=True):
        yield full_name(item.spec, element), column


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


def _defaulted(
    spec: TensorSpec, names: Collection[str], renamed: Mapping[str, str]
) -> InputColumns | None:
    """The columns that are there, and defaults for all that are not; None unless it is so."""
    columns = column_names(spec)
    if renamed.get(spec.name, spec.name) in names or not (columns or is_single(spec)):
        return None
    elements = columns or _element_names(spec)
    found = [_element(spec, element, names, renamed) for element in elements] or [None]
    rules = rules_of_columns(spec)
    defaults = {
        place: rules[place % len(rules)].default
        for place, column in enumerate(found)
        if column is None
    }
    asked = {spec.name, *(name for place in defaults for name in _said_names(spec, place))}
    if not defaults or None in defaults.values() or asked & renamed.keys():
        return None
    there = tuple(column for column in found if column is not None)
    return InputColumns(spec, there, is_whole=False, defaults=defaults)


def _said_names(spec: TensorSpec, place: int) -> list[str]:
    """By which names a caller can say what the table calls an element."""
    elements = _element_names(spec)
    if place >= len(elements):
        return []
    return [full_name(spec, elements[place]), *([elements[place]] if spec.columns else [])]


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
