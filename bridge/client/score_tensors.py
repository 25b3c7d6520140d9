"""Columns to the inputs of a model: arrays in its datatypes and shapes, and the faults by row."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from bridge.client.errors import InvalidRequest
from bridge.client.score_values import Fault, Faults, values_of
from bridge.client.tensors import Array
from bridge.contract.invalid import InvalidCode, shown
from bridge.contract.model import TensorSpec
from bridge.contract.table_columns import InputColumns

# What a text takes is not known before it is read: taken for so many bytes.
TEXT_BYTES = 64


def tensors_of(
    found: Sequence[InputColumns], columns: Mapping[str, Any], rows: int
) -> tuple[dict[str, Array], Faults]:
    """Return the inputs of these columns, shape (rows, ...), and the faults by row.

    Raises:
        InvalidRequest: a column whose type or shape can never be the input's.
    """
    faults: Faults = {}
    tensors: dict[str, Array] = {}
    for item in found:
        parts = []
        for name in item.columns:
            values, wrong = _values(item.spec, name, columns[name])
            parts.append(values)
            for row, fault in wrong.items():
                faults.setdefault(row, fault)
        array = parts[0] if item.is_whole else np.stack(parts, axis=1)
        tensors[item.spec.name] = np.ascontiguousarray(_shaped(item.spec, array, rows))
    return tensors, faults


def column_of(given: Any) -> Any:
    """Return what can be cut into pieces: an array of numpy's, or one of Arrow's as it is.

    Raises:
        InvalidRequest: it is a single value.
    """
    if hasattr(given, "null_count"):
        return given
    if isinstance(given, list | tuple):
        return _of_list(given)
    array = np.asarray(given)
    if not array.ndim:
        raise InvalidRequest("a single value where there should be a column of them")
    return array


def _of_list(given: Sequence[Any]) -> Array:
    """A list as an array: of numbers or text where all are, else of what they are."""
    try:
        array = np.asarray(given)
    except ValueError:  # lists of different lengths
        return _objects(given)
    is_mixed = array.dtype.kind in "US" and not all(isinstance(v, str) for v in _flat(given))
    return _objects(given) if is_mixed else array


def _flat(given: Any) -> Iterator[Any]:
    for value in given:
        if isinstance(value, list | tuple | np.ndarray):
            yield from _flat(value)
        else:
            yield value


def _objects(given: Sequence[Any]) -> Array:
    array = np.empty(len(given), dtype=object)
    array[:] = list(given)
    return array


def _values(spec: TensorSpec, name: str, column: Any) -> tuple[Array, Faults]:
    faults: Faults = {}
    array = _numpy(column)
    if array.dtype == object and any(map(_is_vector, array.tolist())):
        array = _stacked(spec, array, faults)
    try:
        values, found = values_of(array, spec.type)
    except InvalidRequest as error:
        raise InvalidRequest(f"column {shown(name)}: {error}") from None
    return values, {**found, **faults}


def _numpy(column: Any) -> Array:
    if not hasattr(column, "null_count"):
        return np.asarray(column)
    sizes, inner = [], column
    while hasattr(inner.type, "list_size") and not inner.null_count:
        sizes.append(inner.type.list_size)
        inner = inner.flatten()
    array: Array = np.asarray(inner.to_numpy(zero_copy_only=False))
    return array.reshape(len(column), *sizes) if sizes else array


def equal_rows(column: Any) -> int:
    """Return how many rows of a column, from the first on, have as many values as that."""
    rows = _numpy(column)
    if rows.dtype != object or not len(rows):
        return len(rows)
    lengths = [len(row) if _is_vector(row) else -1 for row in rows.tolist()]
    return next((place for place, n in enumerate(lengths) if n != lengths[0]), len(lengths))


def _is_vector(value: Any) -> bool:
    return isinstance(value, list | tuple) or (hasattr(value, "ndim") and value.ndim > 0)


def _stacked(spec: TensorSpec, rows: Array, faults: Faults) -> Array:
    """One vector a row; a row that is none, or has another length, is a fault, and zeros."""
    vectors = [_vector(row) if _is_vector(row) else None for row in rows.tolist()]
    first = next(vector for vector in vectors if vector is not None)
    wanted = len(first) if -1 in spec.row_shape else math.prod(spec.row_shape)
    nothing = np.full(wanted, "" if spec.type.kind == "bytes" else 0, dtype=first.dtype)
    for row, vector in enumerate(vectors):
        if vector is None or len(vector) != wanted:
            code = InvalidCode.NULL_VALUE if rows[row] is None else InvalidCode.WRONG_SHAPE
            faults[row] = Fault(code.value, f"not {wanted} values")
            vectors[row] = nothing
    return np.stack([vector for vector in vectors if vector is not None])


def _vector(row: Any) -> Array:
    """The values of a row, in any nesting, one after the other."""
    if isinstance(row, np.ndarray) and row.dtype != object:
        return row.ravel()
    return _of_list(list(_flat(row)))


def _shaped(spec: TensorSpec, array: Array, rows: int) -> Array:
    shape = spec.row_shape
    if len(array.shape[1:]) == len(shape) and all(
        size in (-1, has) for size, has in zip(shape, array.shape[1:], strict=True)
    ):
        return array
    try:
        return array.reshape(rows, *shape)
    except ValueError:
        text = f"input {shown(spec.name)}: rows of shape {array.shape[1:]}, the model takes {shape}"
        raise InvalidRequest(text) from None


def bytes_of(array: Array) -> int:
    """Return about how many bytes an array takes in a request."""
    if array.dtype != object:
        return array.nbytes
    return max(TEXT_BYTES * array.size, sum(map(len, array.ravel().tolist())))
