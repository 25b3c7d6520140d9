"""The datatypes of the Open Inference Protocol V2 and their numpy counterparts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Kind = Literal["bool", "integer", "floating", "bytes"]


@dataclass(frozen=True, slots=True)
class Datatype:
    """One V2 datatype.

    `dtype` is the little-endian numpy dtype of an array of it; BYTES arrays are object arrays of
    `str`. `item_bytes` is the size of an element on the wire, 0 for BYTES (length-prefixed).
    """

    name: str
    dtype: np.dtype[np.generic]
    kind: Kind
    item_bytes: int


def _fixed(name: str, code: str, kind: Kind) -> Datatype:
    dtype: np.dtype[np.generic] = np.dtype(code)
    return Datatype(name, dtype, kind, dtype.itemsize)


_ALL = (
    _fixed("BOOL", "?", "bool"),
    _fixed("UINT8", "u1", "integer"),
    _fixed("UINT16", "<u2", "integer"),
    _fixed("UINT32", "<u4", "integer"),
    _fixed("UINT64", "<u8", "integer"),
    _fixed("INT8", "i1", "integer"),
    _fixed("INT16", "<i2", "integer"),
    _fixed("INT32", "<i4", "integer"),
    _fixed("INT64", "<i8", "integer"),
    _fixed("FP16", "<f2", "floating"),
    _fixed("FP32", "<f4", "floating"),
    _fixed("FP64", "<f8", "floating"),
    Datatype("BYTES", np.dtype(object), "bytes", 0),
)

DATATYPES: dict[str, Datatype] = {datatype.name: datatype for datatype in _ALL}
_BY_DTYPE: dict[np.dtype[np.generic], Datatype] = {datatype.dtype: datatype for datatype in _ALL}


def datatype_of(dtype: np.dtype[np.generic]) -> Datatype:
    """Return the datatype of a numpy array's `dtype`; unicode and byte-string dtypes are BYTES.

    Raises:
        ValueError: V2 has no datatype for it.
    """
    if dtype.kind in "US":
        return DATATYPES["BYTES"]
    found = _BY_DTYPE.get(dtype.newbyteorder("<") if dtype.kind in "iuf" else dtype)
    if found is None:
        raise ValueError(f"the Open Inference Protocol has no datatype for numpy's {dtype}")
    return found
