"""Rows as a caller sends them and answers as a caller reads them, in each form of HTTP body.

Written for itself, not with what the gateway reads and writes with: a mistake made there on both
ways would not be seen.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import orjson

from bridge.client.call import decode_answers
from bridge.client.errors import BadAnswer
from bridge.client.tensors import decode_outputs, encode_inputs
from bridge.contract.datatype import DATATYPES
from bridge.contract.model import ModelContract

Array = np.ndarray[Any, np.dtype[Any]]
Tensors = Mapping[str, Array]

PATH = "/v2/models/{model}/versions/{version}/infer"
LENGTH_HEADER = "Inference-Header-Content-Length"
_TEXT_LENGTH = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Body:
    """A request's body with the headers that belong to it."""

    headers: Mapping[str, str]
    data: bytes


@dataclass(frozen=True, slots=True)
class WireFormat:
    """One form: rows to a body, and an answer's headers and bytes to outputs by name.

    `path` has places for `model` and `version`. `read` raises BadAnswer for what is no answer.
    """

    name: str
    path: str
    write: Callable[[Tensors], Body]
    read: Callable[[Mapping[str, str], bytes], dict[str, Array]]


def wire_formats(contract: ModelContract) -> list[WireFormat]:
    """Return the forms of V2 in which a model version can be asked."""
    formats = [
        WireFormat("binary", PATH, _binary_body, _binary_answer),
        WireFormat("MessagePack", PATH, _messagepack_body, _messagepack_answer),
    ]
    if is_carried_by_json(contract):
        formats.insert(0, WireFormat("JSON", PATH, _json_body, _json_answer))
    return formats


def is_carried_by_json(contract: ModelContract) -> bool:
    """Return whether all tensors can be sent as JSON: FP16 cannot."""
    return not any(spec.datatype == "FP16" for spec in (*contract.inputs, *contract.outputs))


class _OutputParameters(msgspec.Struct):
    binary_data_size: int | None = None


class _Output(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    data: list[Any] | None = None
    parameters: _OutputParameters = msgspec.field(default_factory=_OutputParameters)


class _Answer(msgspec.Struct):
    outputs: list[_Output]


def _json_body(rows: Tensors) -> Body:
    inputs = [{**_head(name, array), "data": _json_data(array)} for name, array in rows.items()]
    text = orjson.dumps({"inputs": inputs}, option=orjson.OPT_SERIALIZE_NUMPY)
    return Body({"Content-Type": "application/json"}, text)


def _json_data(array: Array) -> Array | list[Any]:
    # NaN is written as null, which is how a missing number is said in JSON.
    flat = np.ascontiguousarray(array.reshape(-1))
    return flat if flat.dtype != object else flat.tolist()


def _json_answer(_: Mapping[str, str], body: bytes) -> dict[str, Array]:
    return {output.name: _from_json(output) for output in _decoded(body).outputs}


def _from_json(output: _Output) -> Array:
    dtype = DATATYPES[output.datatype].dtype
    data = output.data or []
    if len(data) != math.prod(output.shape):
        raise BadAnswer(f"output {output.name}: {len(data)} values for shape {output.shape}")
    array: Array = np.empty(len(data), dtype=dtype)
    array[:] = [math.nan if value is None else value for value in data]
    return array.reshape(output.shape)


def _binary_body(rows: Tensors) -> Body:
    inputs, blocks = [], []
    for name, array in rows.items():
        block = _block(array)
        inputs.append({**_head(name, array), "parameters": {"binary_data_size": len(block)}})
        blocks.append(block)
    request = {"inputs": inputs, "parameters": {"binary_data_output": True}}
    text = orjson.dumps(request)
    headers = {"Content-Type": "application/octet-stream", LENGTH_HEADER: str(len(text))}
    return Body(headers, b"".join((text, *blocks)))


def _binary_answer(headers: Mapping[str, str], body: bytes) -> dict[str, Array]:
    header_bytes = int(headers.get(LENGTH_HEADER) or len(body))
    found: dict[str, Array] = {}
    at = header_bytes
    for output in _decoded(body[:header_bytes]).outputs:
        size = output.parameters.binary_data_size
        if size is None:
            found[output.name] = _from_json(output)
            continue
        found[output.name] = _from_block(output, body[at : at + size])
        at += size
    return found


def _messagepack_body(rows: Tensors) -> Body:
    text = msgspec.msgpack.encode({"inputs": encode_inputs(rows)})
    return Body({"Content-Type": "application/msgpack"}, text)


def _messagepack_answer(_: Mapping[str, str], body: bytes) -> dict[str, Array]:
    (answer,) = decode_answers(body)
    if answer.outputs is None:
        raise BadAnswer(f"no outputs: {answer.error}")
    return decode_outputs(answer.outputs)


def _head(name: str, array: Array) -> dict[str, Any]:
    return {"name": name, "shape": list(array.shape), "datatype": _datatype(array)}


def _datatype(array: Array) -> str:
    return next(name for name, known in DATATYPES.items() if known.dtype == array.dtype)


def _block(array: Array) -> bytes:
    if array.dtype != object:
        return array.tobytes()
    texts: Sequence[bytes] = [str(text).encode() for text in array.reshape(-1).tolist()]
    return b"".join(_TEXT_LENGTH.pack(len(text)) + text for text in texts)


def _from_block(output: _Output, block: bytes) -> Array:
    known = DATATYPES[output.datatype]
    count = math.prod(output.shape)
    if known.kind != "bytes":
        if len(block) != count * known.item_bytes:
            raise BadAnswer(f"output {output.name}: {len(block)} bytes, shape {output.shape}")
        return np.frombuffer(block, known.dtype).reshape(output.shape)
    texts: list[bytes] = []
    at = 0
    while at < len(block):
        (size,) = _TEXT_LENGTH.unpack_from(block, at)
        at += _TEXT_LENGTH.size + size
        texts.append(block[at - size : at])
    if len(texts) != count:
        raise BadAnswer(f"output {output.name}: {len(texts)} texts for shape {output.shape}")
    array: Array = np.empty(count, dtype=object)
    array[:] = texts
    return array.reshape(output.shape)


def _decoded(text: bytes) -> _Answer:
    try:
        return msgspec.json.decode(text, type=_Answer)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadAnswer(f"not an answer: {error}") from error
