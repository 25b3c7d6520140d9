"""Tensors as raw little-endian bytes: the binary extension's blocks, and MessagePack's `data`."""

from __future__ import annotations

import math
import struct

import numpy as np

from bridge.contract.invalid import InvalidCode, InvalidInput, shown
from bridge.gateway.dialects.call import Array
from bridge.gateway.dialects.inputs import InputTensor

_LENGTH = struct.Struct("<I")
_FLAGS = np.dtype("u1")


def from_bytes(tensor: InputTensor, data: memoryview, shape: tuple[int, ...]) -> Array:
    """Return `data` as an array of `shape`; not copied where it is aligned, so read-only.

    BYTES elements are a 4-byte length and UTF-8 text each.

    Raises:
        InvalidInput: `shape_data_mismatch` where the sizes differ, `wrong_type` for a BOOL that
            is neither 0 nor 1 or text that is not UTF-8, `bad_binary` for a wrong text length.
    """
    kind = tensor.type
    count = math.prod(shape)
    if kind.kind == "bytes":
        return text_array(tensor, _texts(tensor, data, count, shape), shape)
    if data.nbytes != count * kind.item_bytes:
        raise tensor.size_mismatch(
            shape, f"is {data.nbytes} bytes, {count * kind.item_bytes} are expected"
        )
    array: Array = np.frombuffer(data, dtype=kind.dtype).reshape(shape)
    if kind.kind == "bool" and array.view(_FLAGS).max() > 1:
        raise InvalidInput(
            InvalidCode.WRONG_TYPE, f"input {tensor.shown_name}: a BOOL byte is neither 0 nor 1"
        )
    return array if array.flags.aligned else array.copy()


def count_texts(tensor: InputTensor, data: memoryview) -> int:
    """Return how many length-prefixed elements `data` holds.

    Raises:
        InvalidInput: `bad_binary` where a length points past the end.
    """
    at, count = 0, 0
    while at < len(data):
        at = _end_of_text(tensor, data, at, count)
        count += 1
    return count


def text_array(tensor: InputTensor, texts: list[str], shape: tuple[int, ...]) -> Array:
    """Return an object array of `shape` holding `texts`.

    Raises:
        InvalidInput: `shape_data_mismatch`.
    """
    if len(texts) != math.prod(shape):
        raise tensor.size_mismatch(shape, f"has {len(texts)}")
    array = np.empty(len(texts), dtype=object)
    array[:] = texts
    return array.reshape(shape)


def to_bytes(array: Array) -> bytes:
    """Return an output array as a block, C order; BYTES elements are str or bytes."""
    if array.dtype.kind not in "OSU":
        return array.tobytes()
    parts: list[bytes] = []
    for item in array.ravel().tolist():
        text = as_bytes(item)
        parts.append(_LENGTH.pack(len(text)))
        parts.append(text)
    return b"".join(parts)


def as_bytes(item: str | bytes) -> bytes:
    """Return a BYTES element as bytes; a lone surrogate, which UTF-8 lacks, is escaped."""
    return item if isinstance(item, bytes) else item.encode("utf-8", "backslashreplace")


def _texts(tensor: InputTensor, data: memoryview, count: int, shape: tuple[int, ...]) -> list[str]:
    # Each element takes at least its length, so that a count alone allocates nothing.
    if count * _LENGTH.size > len(data):
        raise tensor.size_mismatch(shape, f"is {len(data)} bytes, too few for that")
    texts: list[str] = []
    at = 0
    try:
        while len(texts) < count:
            end = _end_of_text(tensor, data, at, len(texts))
            texts.append(str(data[at + _LENGTH.size : end], "utf-8"))
            at = end
    except UnicodeDecodeError:
        raise InvalidInput(
            InvalidCode.WRONG_TYPE, f"input {tensor.shown_name}, element {len(texts)}: not UTF-8"
        ) from None
    if at != len(data):
        raise tensor.size_mismatch(shape, f"has {len(data) - at} bytes more")
    return texts


def _end_of_text(tensor: InputTensor, data: memoryview, at: int, index: int) -> int:
    if at + _LENGTH.size <= len(data):
        end: int = at + _LENGTH.size + _LENGTH.unpack_from(data, at)[0]
        if end <= len(data):
            return end
    raise InvalidInput(
        InvalidCode.BAD_BINARY,
        f"input {tensor.shown_name}, element {index}: its length points past the end of the data",
    )


class Blocks:
    """The binary blocks that follow the JSON of a request, taken in order."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 0

    def take(self, tensor: InputTensor, size: int, shape: tuple[int, ...]) -> Array:
        """Return the next block, of `size` bytes, as an array; see `from_bytes` for the rest.

        Raises:
            InvalidInput: `bad_binary` where the body has fewer bytes left.
        """
        end = self._at + size
        if end > len(self._data):
            raise InvalidInput(
                InvalidCode.BAD_BINARY,
                f"input {tensor.shown_name}: binary_data_size {shown(size)}, but "
                f"{len(self._data) - self._at} bytes are left after the JSON",
            )
        block = self._data[self._at : end]
        self._at = end
        return from_bytes(tensor, block, shape)

    def refuse_rest(self) -> None:
        """Refuse bytes that belong to no input.

        Raises:
            InvalidInput: `bad_binary`.
        """
        if self._at != len(self._data):
            raise InvalidInput(
                InvalidCode.BAD_BINARY,
                f"{len(self._data) - self._at} bytes follow the last input's data",
            )
