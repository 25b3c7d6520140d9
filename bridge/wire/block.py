"""Arrays to tensor blocks of a frame and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bridge.wire.frame import MalformedFrame, Tensor

Array = np.ndarray[Any, np.dtype[Any]]

# The V2 datatype names; bridge.contract has the same table, but wire and contract are both
# leaves and neither imports the other. A test holds the two to each other.
BLOCK_DTYPES: dict[str, np.dtype[Any]] = {
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
TEXT_TYPES = {str, bytes}
# The most that MessagePack writes before a text: its type and its length.
TEXT_HEADER_BYTES = 5
_NAME_OF = {dtype: name for name, dtype in BLOCK_DTYPES.items()}


def to_block(name: str, parts: Sequence[Array]) -> Tensor:
    """Return one block holding the rows of `parts`, in order.

    `parts` are arrays of shape (rows, ...) with equal dtype and row shape; object arrays hold
    str or bytes.
    """
    first = parts[0]
    whole = first if len(parts) == 1 else np.concatenate(parts)
    datatype = _NAME_OF[whole.dtype]
    if datatype == "BYTES":
        return Tensor(name, datatype, first.shape[1:], whole.ravel().tolist())
    if not whole.flags.c_contiguous:
        whole = np.ascontiguousarray(whole)
    return Tensor(name, datatype, first.shape[1:], whole.view(np.uint8).data)


def block_bytes(array: Array) -> int:
    """Return the bytes that an array of numbers, or of str and bytes, takes in a frame."""
    if array.dtype != object:
        return int(array.nbytes)
    return sum(map(_text_bytes, array.ravel().tolist()))


def _text_bytes(value: str | bytes) -> int:
    data = value if isinstance(value, bytes) or value.isascii() else value.encode()
    return TEXT_HEADER_BYTES + len(data)


def from_block(tensor: Tensor, rows: int) -> Array:
    """Return the block as an array of shape (rows, *row_shape), read-only and not copied.

    Raises:
        MalformedFrame: an unknown datatype, or a block whose size is not that of `rows` rows.
    """
    dtype = BLOCK_DTYPES.get(tensor.datatype)
    if dtype is None:
        raise MalformedFrame("a tensor of unknown datatype")
    shape = (rows, *tensor.row_shape)
    data = tensor.data
    try:
        if isinstance(data, list):
            if dtype != object:
                raise MalformedFrame(f"a {tensor.datatype} tensor that holds text")
            if not TEXT_TYPES.issuperset(map(type, data)):
                raise MalformedFrame("a BYTES tensor that holds something else than text")
            whole = np.empty(len(data), dtype=object)
            whole[:] = data
            return whole.reshape(shape)
        if dtype == object:
            raise MalformedFrame("a BYTES tensor that holds numbers")
        return np.frombuffer(data, dtype=dtype).reshape(shape)
    except ValueError as error:
        raise MalformedFrame(f"a block that is not of shape {shape}") from error
