"""The datatypes of the Open Inference Protocol V2 in numpy; BYTES are object arrays of str."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Rows = Mapping[str, Array]
"""Tensors by name; the first dimension of each is the rows."""

DTYPES: Mapping[str, np.dtype[Any]] = {
    "BOOL": np.dtype("?"),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "BYTES": np.dtype(object),
}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}


def datatype_of(array: Array) -> str:
    """Return the V2 name of an array's dtype, which must be one of `DTYPES`."""
    return _NAMES[array.dtype]


def text_array(texts: list[Any]) -> Array:
    """Return a flat object array; np.array would guess a shape from nested elements."""
    array = np.empty(len(texts), dtype=object)
    array[:] = texts
    return array
