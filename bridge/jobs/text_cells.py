"""The cells of a CSV file, texts all of them, to values of a datatype."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bridge.contract.datatype import Datatype
from bridge.contract.invalid import InvalidCode, shown
from bridge.jobs.page import Fault

# By the place of a value.
Faults = dict[int, Fault]

# From here on a double may stand for another whole number than the one that was meant.
DOUBLE_EXACT_MAX = 2**53
# More than any datatype holds.
_WRITTEN_MAX = 2**65
_TRUTHS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def parsed(cells: pa.Array, datatype: Datatype, faults: Faults) -> pa.Array:
    """Return the text of CSV cells as values; where there is a fault, nothing or as good as that.

    `faults`, by the place of a cell, is added to.
    """
    if datatype.kind == "bytes":
        return cells
    if datatype.kind == "bool":
        return _each(cells, lambda text: _TRUTHS[text.strip().lower()], pa.bool_(), faults)
    is_floating = datatype.kind == "floating"
    wanted = pa.float64() if is_floating else widest(datatype)
    try:
        values = pc.cast(cells, wanted)
    except pa.ArrowInvalid:
        values = _each(cells, float if is_floating else _whole, wanted, faults)
    if is_floating:
        _note_overflows(values, cells, faults)
    return values


def widest(datatype: Datatype) -> pa.DataType:
    """Return the widest whole numbers of a datatype's kind: with a sign, or without."""
    return pa.uint64() if datatype.dtype.kind == "u" else pa.int64()


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        value = float(text)  # 3.0, as pandas writes it
        if not value.is_integer():
            raise
        if abs(value) < DOUBLE_EXACT_MAX or abs(value) > _WRITTEN_MAX:
            return int(value)
        exact = Decimal(text)  # 9007199254740993.0 is no double
        if exact != exact.to_integral_value():
            raise
        return int(exact)


def _each(
    cells: pa.Array, parse: Callable[[str], Any], wanted: pa.DataType, faults: Faults
) -> pa.Array:
    """Parse cell by cell: only where one of them is no value of the type."""
    values: list[Any] = []
    for place, text in enumerate(cells.to_pylist()):
        try:
            value = None if text is None else parse(text)
            pa.scalar(value, wanted)
        except (ValueError, KeyError, OverflowError, pa.ArrowException):
            faults.setdefault(
                place, Fault(InvalidCode.WRONG_TYPE, f"{shown(text)} is no {_named(wanted)}")
            )
            value = _nothing(wanted)
        values.append(value)
    return pa.array(values, wanted)


def _named(wanted: pa.DataType) -> str:
    if pa.types.is_boolean(wanted):
        return "truth value"
    return "number" if pa.types.is_floating(wanted) else "whole number that fits"


def _nothing(wanted: pa.DataType) -> Any:
    return False if pa.types.is_boolean(wanted) else 0


def _note_overflows(parsed: pa.Array, cells: pa.Array, faults: Faults) -> None:
    """A finite number that no float holds is not infinite."""
    given = parsed.to_numpy(zero_copy_only=False)
    for place in np.flatnonzero(np.isinf(given)).tolist():
        text = cells[place].as_py()
        if "n" not in text.lower():  # "inf", "infinity"
            faults[place] = Fault(InvalidCode.NUMBER_RANGE, f"{shown(text)} is too large a number")
