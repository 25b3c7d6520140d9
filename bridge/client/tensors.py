"""Arrays as they travel: the V2 structure in MessagePack, raw little-endian bytes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from bridge.client.errors import BadAnswer, InvalidRequest
from bridge.contract.datatype import DATATYPES, datatype_of

Array = np.ndarray[Any, np.dtype[Any]]


class InputTensor(msgspec.Struct, gc=False):
    """One input of a request."""

    name: str
    shape: tuple[int, ...]
    datatype: str
    data: bytes | list[str | bytes]


class OutputTensor(msgspec.Struct, gc=False):
    """One output of an answer."""

    name: str
    shape: tuple[int, ...]
    datatype: str
    # A union with both str and bytes is none that msgspec decodes.
    data: bytes | list[Any]


_encode = msgspec.msgpack.Encoder().encode


def encode_inputs(inputs: Mapping[str, Array]) -> msgspec.Raw:
    """Return a request's `inputs`, encoded; text is sent as BYTES.

    Raises:
        InvalidRequest: an array of a dtype that the protocol does not have.
    """
    return msgspec.Raw(_encode([_input(name, array) for name, array in inputs.items()]))


def decode_outputs(tensors: list[OutputTensor]) -> dict[str, Array]:
    """Return the outputs, each of shape (rows, ...), writable; BYTES as object arrays of `str`.

    An element of BYTES that is not UTF-8 is `bytes`.

    Raises:
        BadAnswer: data that does not fit its shape or datatype.
    """
    return {tensor.name: _array(tensor) for tensor in tensors}


def _input(name: str, array: Array) -> InputTensor:
    try:
        datatype = datatype_of(array.dtype)
    except ValueError as error:
        raise InvalidRequest(f"input {name}: {error}") from None
    data: bytes | list[str | bytes]
    if datatype.kind == "bytes":
        data = array.ravel().tolist()
        if not all(isinstance(item, str | bytes) for item in data):
            raise InvalidRequest(f"input {name}: an object array must hold text")
    else:
        data = array.astype(datatype.dtype, copy=False).tobytes()
    return InputTensor(name, array.shape, datatype.name, data)


def _array(tensor: OutputTensor) -> Array:
    datatype, shape, data = DATATYPES.get(tensor.datatype), tensor.shape, tensor.data
    if datatype is None or min(shape, default=0) < 0:
        raise BadAnswer(f"output {tensor.name}: datatype {tensor.datatype}, shape {shape}")
    if isinstance(data, list):
        array: Array = np.empty(len(data), dtype=object)
        array[:] = data
        is_whole = datatype.kind == "bytes" and len(data) == math.prod(shape)
    else:
        is_whole = datatype.kind != "bytes" and len(data) == math.prod(shape) * datatype.item_bytes
        # A copy can be written to, and keeps no message of many answers in memory.
        array = np.frombuffer(data, dtype=datatype.dtype).copy() if is_whole else np.empty(0)
    if not is_whole:
        raise BadAnswer(f"output {tensor.name}: {len(data)} do not make shape {shape}")
    return array.reshape(shape)
