"""Cells of a table to values of a datatype; what is no such value is a fault of its row.

The rules are those of the online inputs as far as a table allows: a number must fit its datatype
and a whole number must be whole, a truth value is no number, a text is no number outside CSV, and
a missing value is NaN or the default where the contract says so and a fault elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from bridge.contract.datatype import Datatype
from bridge.contract.invalid import InvalidCode, shown
from bridge.contract.json_kinds import JSON_TYPES
from bridge.jobs.page import Cells, Fault
from bridge.jobs.text_cells import DOUBLE_EXACT_MAX, Faults, parsed, widest

Array = np.ndarray[Any, np.dtype[Any]]


def accepts(column: pa.DataType, datatype: Datatype) -> bool:
    """Return whether values of an Arrow type can be of a datatype at all."""
    if pa.types.is_dictionary(column):
        return accepts(column.value_type, datatype)
    if pa.types.is_null(column):
        return True
    if datatype.kind == "bytes":
        return _is_text(column)
    if datatype.kind == "bool":
        return bool(pa.types.is_boolean(column))
    return bool(
        pa.types.is_integer(column) or pa.types.is_floating(column) or pa.types.is_decimal(column)
    )


def values_of(
    cells: pa.Array | Cells, datatype: Datatype, nulls: Sequence[Any], *, is_text: bool
) -> tuple[Array, Faults]:
    """Return the cells as an array of the datatype, and the faults among them.

    `nulls`: for each of a row's values, of which `cells` holds one after the other, what stands
    for a missing one, None if it may not be missing. `is_text`: the cells are the bytes of a CSV
    file. Where there is a fault the value is 0, false or empty.
    """
    faults: Faults = {}
    if isinstance(cells, Cells):
        cells = _json_cells(cells, datatype, faults)
    elif pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    if is_text:
        cells = parsed(_decoded(cells, faults), datatype, faults)
    elif datatype.kind == "bytes":
        cells = _decoded(cells, faults)
    if cells.null_count:
        _note_nulls(cells, np.array([null is not None for null in nulls]), faults)
    values = _KINDS[datatype.kind](cells, datatype, faults)
    if any(map(_is_default, nulls)):
        values = _with_defaults(values, cells, nulls)
    return values, faults


def _is_default(null: Any) -> bool:
    """Whether what stands for a missing value is neither nothing nor NaN."""
    return null is not None and not (isinstance(null, float) and math.isnan(null))


def _with_defaults(values: Array, cells: pa.Array, nulls: Sequence[Any]) -> Array:
    """Put defaults in the place of missing values; NaN, which pandas writes for them, is one."""
    missing = np.isnan(values) if values.dtype.kind == "f" else _missing(cells)
    if not missing.any():
        return values
    values = values.copy()
    for element, null in enumerate(nulls):
        if _is_default(null):
            values[element :: len(nulls)][missing[element :: len(nulls)]] = null
    return values


def _is_text(column: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(column)
        or pa.types.is_large_string(column)
        or pa.types.is_string_view(column)
        or pa.types.is_binary(column)
        or pa.types.is_large_binary(column)
    )


def _missing(cells: pa.Array) -> Array:
    return np.asarray(cells.is_null().to_numpy(zero_copy_only=False))


def _note_nulls(cells: pa.Array, nullable: Array, faults: Faults) -> None:
    missing = np.flatnonzero(_missing(cells))
    for place in missing[~nullable[missing % len(nullable)]].tolist():
        faults.setdefault(place, Fault(InvalidCode.NULL_VALUE, "a missing value is not accepted"))


def _floats(cells: pa.Array, datatype: Datatype, faults: Faults) -> Array:
    if not pa.types.is_floating(cells.type):
        cells = cells.cast(pa.float64(), safe=False)
    given = cells.to_numpy(zero_copy_only=False)  # nulls are NaN
    if given.dtype == datatype.dtype:
        return np.asarray(given)
    with np.errstate(over="ignore"):
        values: Array = given.astype(datatype.dtype)
    for place in np.flatnonzero(np.isinf(values) & np.isfinite(given)).tolist():
        faults[place] = _out_of_range(given[place], datatype)
    return values


def _integers(cells: pa.Array, datatype: Datatype, faults: Faults) -> Array:
    if pa.types.is_decimal(cells.type):
        cells = _whole_decimals(cells, datatype)
    if pa.types.is_null(cells.type):
        cells = cells.cast(pa.int64())
    given = cells.fill_null(0).to_numpy(zero_copy_only=False)
    if given.dtype == datatype.dtype:
        return np.asarray(given)
    info: Any = np.iinfo(datatype.dtype)
    wrong = np.zeros(len(given), dtype=bool)
    if given.dtype.kind == "f":
        # pandas makes whole numbers floating as soon as one is missing.
        wrong = ~np.isfinite(given) | (np.trunc(given) != given)
        for place in np.flatnonzero(wrong).tolist():
            faults[place] = Fault(
                InvalidCode.WRONG_TYPE, f"{shown(given[place])} is no whole number"
            )
        # The bound above is a power of two, which floats hold; the largest value is not.
        beyond = (given < float(info.min)) | (given >= float(info.max) + 1)
    else:
        beyond = _beyond(given, info)
    for place in np.flatnonzero(beyond & ~wrong).tolist():
        faults[place] = _out_of_range(given[place], datatype)
    if given.dtype.kind == "f":
        inexact = (np.abs(given) >= DOUBLE_EXACT_MAX) & ~wrong & ~beyond
        for place in np.flatnonzero(inexact).tolist():
            faults[place] = _inexact(given[place])
        beyond |= inexact
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(wrong | beyond, 0, given).astype(datatype.dtype))


def _whole_decimals(cells: pa.Array, datatype: Datatype) -> pa.Array:
    """Decimals as whole numbers, exactly; as floating ones where one of them is none, or too large.

    Those are told from the others by their values, and from 2^53 on refused.
    """
    try:
        return cells.cast(widest(datatype))
    except pa.ArrowInvalid:
        return cells.cast(pa.float64(), safe=False)


def _inexact(value: Any) -> Fault:
    reason = f"{shown(value)} is floating and beyond 2^53, where it may stand for another number"
    return Fault(InvalidCode.NUMBER_RANGE, reason)


def _beyond(given: Array, info: Any) -> Array:
    """Which integers another integer type does not hold."""
    own: Any = np.iinfo(given.dtype)
    below = given < info.min if own.min < info.min else np.zeros(len(given), dtype=bool)
    above = given > info.max if own.max > info.max else np.zeros(len(given), dtype=bool)
    return np.asarray(below | above)


def _truths(cells: pa.Array, datatype: Datatype, faults: Faults) -> Array:
    if pa.types.is_null(cells.type):
        cells = cells.cast(pa.bool_())
    return np.asarray(cells.fill_null(False).to_numpy(zero_copy_only=False)).astype(datatype.dtype)


def _texts(cells: pa.Array, datatype: Datatype, faults: Faults) -> Array:
    return np.asarray(cells.fill_null("").to_numpy(zero_copy_only=False)).astype(datatype.dtype)


_KINDS: dict[str, Callable[[pa.Array, Datatype, Faults], Array]] = {
    "floating": _floats,
    "integer": _integers,
    "bool": _truths,
    "bytes": _texts,
}


def _out_of_range(value: Any, datatype: Datatype) -> Fault:
    return Fault(InvalidCode.NUMBER_RANGE, f"{shown(value)} does not fit into {datatype.name}")


def _decoded(cells: pa.Array, faults: Faults) -> pa.Array:
    """Bytes as text."""
    if pa.types.is_string(cells.type):
        return cells
    try:
        return cells.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array(
            [_one_decoded(cell, place, faults) for place, cell in enumerate(cells.to_pylist())],
            pa.string(),
        )


def _one_decoded(cell: bytes | None, place: int, faults: Faults) -> str | None:
    try:
        return None if cell is None else cell.decode()
    except UnicodeDecodeError:
        faults[place] = Fault(InvalidCode.WRONG_TYPE, f"{shown(cell)} is not UTF-8")
        return ""


def _json_cells(cells: Cells, datatype: Datatype, faults: Faults) -> pa.Array:
    """JSON values as an Arrow array; a value of another JSON type is a fault."""
    allowed = JSON_TYPES[datatype.kind]
    wanted = {
        "bool": pa.bool_(),
        "integer": widest(datatype),
        "floating": pa.float64(),
        "bytes": pa.string(),
    }[datatype.kind]
    values: list[Any] = cells
    if not set(map(type, cells)) <= {*allowed, type(None)}:
        values = list(cells)
        for place, value in enumerate(cells):
            if type(value) not in allowed and value is not None:
                values[place] = None
                faults[place] = Fault(
                    InvalidCode.WRONG_TYPE, f"{shown(value)} is no {datatype.name}"
                )
    try:
        return pa.array(values, wanted)
    except (pa.ArrowException, OverflowError):
        return _each_number(values, wanted, datatype, faults)


def _each_number(
    values: list[Any], wanted: pa.DataType, datatype: Datatype, faults: Faults
) -> pa.Array:
    kept = list(values)
    for place, value in enumerate(values):
        try:
            pa.array([value], wanted)
        except (pa.ArrowException, OverflowError):
            faults[place] = _out_of_range(value, datatype)
            kept[place] = None
    return pa.array(kept, wanted)
