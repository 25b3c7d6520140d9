"""Columns of any kind to values of a datatype; a value that is none is a fault of its row.

The rules are those of files and of online requests: a whole number must be whole and fit, a missing
number is NaN, which the contract judges, a missing value of any other kind is a fault.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bridge.client.errors import InvalidRequest
from bridge.client.tensors import Array
from bridge.contract.datatype import Datatype
from bridge.contract.invalid import InvalidCode, shown


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a row is not sent."""

    code: str
    reason: str


Faults = dict[int, Fault]

_NULL = Fault(InvalidCode.NULL_VALUE.value, "a missing value is not accepted")


def values_of(given: Array, datatype: Datatype) -> tuple[Array, Faults]:
    """Return an array of the datatype and the same shape, and the faults by row.

    `given` is of shape (rows, ...). Where there is a fault the value is 0, false or empty.

    Raises:
        InvalidRequest: no value of this dtype can be of the datatype.
    """
    faults: Faults = {}
    if given.dtype == datatype.dtype and datatype.kind != "bytes":
        return given, faults
    return _KINDS[datatype.kind](given, datatype, faults), faults


def _floats(given: Array, datatype: Datatype, faults: Faults) -> Array:
    if given.dtype == object:
        given = _each(given, _float, np.dtype(np.float64), np.nan, faults)
    _refuse_kind(given, "iuf", datatype)
    with np.errstate(over="ignore"):
        values: Array = given.astype(datatype.dtype)
    is_beyond = np.isinf(values) & np.isfinite(given)
    if is_beyond.any():
        said = f"does not fit into {datatype.name}"
        values = _without(given, is_beyond, InvalidCode.NUMBER_RANGE, said, faults)
    return values.astype(datatype.dtype, copy=False)


def _integers(given: Array, datatype: Datatype, faults: Faults) -> Array:
    if given.dtype == object:
        # Not 64 bits: a number may be larger than they hold, and must not wrap.
        given = _each(given, _number, np.dtype(object), 0, faults)
        is_whole = np.array([value == value // 1 for value in given.ravel().tolist()], bool)
        is_whole = is_whole.reshape(given.shape)
    else:
        _refuse_kind(given, "iuf", datatype)
        given = _without_missing(given, faults)
        is_whole = np.isfinite(given) & (np.trunc(given) == given)
    given = _without(given, ~is_whole, InvalidCode.WRONG_TYPE, "is no whole number", faults)
    info: Any = np.iinfo(datatype.dtype)
    # The bound above is a power of two, which floats hold; the largest value is not.
    is_beyond = np.asarray((given < int(info.min)) | (given >= int(info.max) + 1), bool)
    said = f"does not fit into {datatype.name}"
    return _without(given, is_beyond, InvalidCode.NUMBER_RANGE, said, faults).astype(datatype.dtype)


def _without_missing(given: Array, faults: Faults) -> Array:
    """Note the rows with NaN, which stands for a missing value, and put 0 in its place."""
    if given.dtype.kind != "f" or not (missing := np.isnan(given)).any():
        return given
    for row in np.unique(np.argwhere(missing)[:, 0]).tolist():
        faults.setdefault(row, _NULL)
    return np.where(missing, 0, given)


def _truths(given: Array, datatype: Datatype, faults: Faults) -> Array:
    if given.dtype == object:
        return _each(given, _truth, datatype.dtype, False, faults)
    _refuse_kind(given, "b", datatype)
    return given


def _texts(given: Array, datatype: Datatype, faults: Faults) -> Array:
    if given.dtype.kind == "U":
        return given.astype(object)
    if given.dtype.kind == "S":
        given = given.astype(object)
    _refuse_kind(given, "O", datatype)
    return _each(given, _text, datatype.dtype, "", faults)


_KINDS: dict[str, Callable[[Array, Datatype, Faults], Array]] = {
    "floating": _floats,
    "integer": _integers,
    "bool": _truths,
    "bytes": _texts,
}


def _refuse_kind(given: Array, kinds: str, datatype: Datatype) -> None:
    if given.dtype.kind not in kinds:
        raise InvalidRequest(f"values of {given.dtype} are no {datatype.name}")


def _each(
    given: Array,
    read: Callable[[Any], Any],
    dtype: np.dtype[Any],
    nothing: Any,
    faults: Faults,
) -> Array:
    """Read value by value: only where there are Python's objects."""
    values = np.empty(given.size, dtype=dtype)
    a_row = max(1, given.size // max(1, len(given)))
    for place, value in enumerate(given.ravel().tolist()):
        found = read(value)
        if isinstance(found, Fault):
            faults.setdefault(place // a_row, found)
            found = nothing
        values[place] = found
    return values.reshape(given.shape)


def _float(value: Any) -> Any:
    return float("nan") if value is None else _number(value)


def _number(value: Any) -> Any:
    if value is None or value != value:  # noqa: PLR0124, NaN of any type
        return _NULL
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _wrong(value, "no number")
    return value


def _truth(value: Any) -> Any:
    if value is None:
        return _NULL
    return value if isinstance(value, bool) else _wrong(value, "no truth value")


def _text(value: Any) -> Any:
    if value is None:
        return _NULL
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return _wrong(value, "not UTF-8")
    return value if isinstance(value, str) else _wrong(value, "no text")


def _wrong(value: Any, what: str) -> Fault:
    return Fault(InvalidCode.WRONG_TYPE.value, f"{shown(value)} is {what}")


def _without(values: Array, is_wrong: Array, code: InvalidCode, said: str, faults: Faults) -> Array:
    """Note the rows of wrong values, and put 0 in their place."""
    if not is_wrong.any():
        return values
    for place in map(tuple, np.argwhere(is_wrong).tolist()):
        faults.setdefault(place[0], Fault(code.value, f"{shown(values[place])} {said}"))
    return np.where(is_wrong, 0, values)
