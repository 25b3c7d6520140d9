"""MessagePack bodies: the V2 structure, tensors as raw little-endian bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from bridge.contract.invalid import InvalidCode, InvalidInput
from bridge.contract.model import ModelContract
from bridge.gateway.dialects import binary
from bridge.gateway.dialects.answer_head import answer_head
from bridge.gateway.dialects.call import Array, Body, InferCall, InputLimits
from bridge.gateway.dialects.inputs import Inputs, InputTensor
from bridge.gateway.dialects.json_fault import structure_fault
from bridge.gateway.dialects.options import (
    MaybeParameters,
    OutputChoice,
    Parameters,
    read_id,
    read_options,
)

CONTENT_TYPE = "application/msgpack"
UNSET = msgspec.UNSET
_NIL = b"\xc0"
_MAP16, _MAP32 = 0xDE, 0xDF
_Decoded = TypeVar("_Decoded")


# Maps are taken as raw text one level at a time, so that the number of pairs in each can be
# compared with the number of keys that were decoded: msgspec keeps the last of repeated keys.
class _Request(msgspec.Struct, forbid_unknown_fields=True):
    inputs: list[msgspec.Raw]
    id: str | msgspec.UnsetType | None = UNSET
    parameters: msgspec.Raw | msgspec.UnsetType = UNSET
    outputs: list[msgspec.Raw] | msgspec.UnsetType | None = UNSET
    model_name: str | msgspec.UnsetType | None = UNSET

    def keys(self) -> int:
        """How many keys were given; written out, because each request is asked."""
        return (
            1
            + (self.id is not UNSET)
            + (self.parameters is not UNSET)
            + (self.outputs is not UNSET)
            + (self.model_name is not UNSET)
        )


class _Input(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    shape: list[int]
    datatype: str
    data: msgspec.Raw
    parameters: msgspec.Raw | msgspec.UnsetType = UNSET

    def keys(self) -> int:
        """How many keys were given."""
        return 4 + (self.parameters is not UNSET)


class _Output(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    parameters: msgspec.Raw | msgspec.UnsetType = UNSET

    def keys(self) -> int:
        """How many keys were given."""
        return 1 + (self.parameters is not UNSET)


class _WantedOutput(msgspec.Struct):
    name: str
    parameters: MaybeParameters


_request = msgspec.msgpack.Decoder(_Request)
_input = msgspec.msgpack.Decoder(_Input)
_output = msgspec.msgpack.Decoder(_Output)
_parameters = msgspec.msgpack.Decoder(Parameters)
_block = msgspec.msgpack.Decoder(memoryview)
_text = msgspec.msgpack.Decoder(list[str])
_text_bytes = msgspec.msgpack.Decoder(list[bytes])


class MessagePackRequests:
    """Reads the MessagePack requests of one model version."""

    def __init__(self, inputs: Inputs, outputs: OutputChoice, limits: InputLimits) -> None:
        self._inputs = inputs
        self._outputs = outputs
        self._limits = limits

    def parse(self, data: bytes) -> InferCall:
        """Return the call that the MessagePack `data` holds.

        Raises:
            InvalidInput: anything that MessagePack, the protocol or the contract do not accept.
        """
        request = _decoded(_request, data, "")
        _refuse_duplicate_keys(data, request.keys(), "")
        options = read_options(_read_parameters(request.parameters, ""), self._limits)
        outputs = self._outputs.wanted(
            [_read_output(raw, index) for index, raw in enumerate(request.outputs or ())],
            binary_output=True,
        )
        tensors = self._tensors(request.inputs)
        return InferCall(
            read_id(request.id, self._limits),
            next(iter(tensors.values())).shape[0],
            tensors,
            outputs,
            options.timeout_s,
            options.timeout_is_capped,
            options.priority,
            "messagepack",
        )

    def _tensors(self, raws: list[msgspec.Raw]) -> dict[str, Array]:
        found: dict[str, Array] = {}
        for index, raw in enumerate(raws):
            where = f".inputs[{index}]"
            item = _decoded(_input, raw, where)
            _refuse_duplicate_keys(raw, item.keys(), where)
            _read_parameters(item.parameters, where)
            tensor = self._inputs.tensors.get(item.name)
            if tensor is None or item.name in found:
                raise self._inputs.unknown_or_twice(item.name, found)
            shape = tensor.checked_shape(item.datatype, item.shape)
            array = _read_data(tensor, item.data, shape, f"{where}.data")
            if tensor.check is not None:
                array = tensor.check.accepted(array)
            found[item.name] = array
        return self._inputs.complete(found)


def write(contract: ModelContract, call: InferCall, outputs: Mapping[str, Array]) -> Body:
    """Return the answer; `outputs` hold every wanted output in the contract's dtype."""
    datatypes = {spec.name: spec.datatype for spec in contract.outputs}
    document: dict[str, Any] = {
        **answer_head(contract),
        "outputs": [
            {
                "name": wanted.name,
                "shape": outputs[wanted.name].shape,
                "datatype": datatypes[wanted.name],
                "data": _data(outputs[wanted.name]),
            }
            for wanted in call.outputs
        ],
    }
    if call.id is not None:
        document["id"] = call.id
    return Body(CONTENT_TYPE, (), msgspec.msgpack.encode(document))


def _data(array: Array) -> bytes | list[str | bytes]:
    if array.dtype.kind not in "OSU":
        return array.tobytes()
    return [_text_or_bytes(item) for item in array.ravel().tolist()]


def _text_or_bytes(item: str | bytes) -> str | bytes:
    raw = binary.as_bytes(item)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def _read_data(tensor: InputTensor, raw: msgspec.Raw, shape: tuple[int, ...], where: str) -> Array:
    if tensor.type.kind != "bytes":
        return binary.from_bytes(tensor, _decoded(_block, raw, where), shape)
    return binary.text_array(tensor, _read_texts(raw, where), shape)


def _read_texts(raw: msgspec.Raw, where: str) -> list[str]:
    """Return elements that are all text or all UTF-8 bytes."""
    try:
        return _text.decode(raw)
    except msgspec.ValidationError:
        pass
    except UnicodeDecodeError:
        raise _not_utf8(where) from None
    try:
        return [item.decode() for item in _decoded(_text_bytes, raw, where)]
    except UnicodeDecodeError:
        raise _not_utf8(where) from None


def _not_utf8(where: str) -> InvalidInput:
    return InvalidInput(InvalidCode.WRONG_TYPE, f"{where.removeprefix('.')}: not UTF-8")


def _read_output(raw: msgspec.Raw, index: int) -> _WantedOutput:
    where = f".outputs[{index}]"
    item = _decoded(_output, raw, where)
    _refuse_duplicate_keys(raw, item.keys(), where)
    parameters = _read_parameters(item.parameters, where)
    if parameters is not None:
        # Every tensor of this dialect is binary.
        parameters.pop("binary_data", None)
    return _WantedOutput(item.name, parameters)


def _read_parameters(raw: msgspec.Raw | msgspec.UnsetType, where: str) -> Parameters | None:
    if raw is UNSET or bytes(raw) == _NIL:
        return None
    where = f"{where}.parameters"
    parameters = _decoded(_parameters, raw, where)
    _refuse_duplicate_keys(raw, len(parameters), where)
    return parameters


def _decoded(
    decoder: msgspec.msgpack.Decoder[_Decoded], data: bytes | msgspec.Raw, where: str
) -> _Decoded:
    try:
        return decoder.decode(data)
    except RecursionError:
        raise InvalidInput(InvalidCode.TOO_DEEP, "nested too deeply") from None
    except msgspec.ValidationError as error:
        raise structure_fault(str(error), where) from None
    except UnicodeDecodeError:
        raise InvalidInput(InvalidCode.BAD_MESSAGEPACK, "text that is not UTF-8") from None
    except msgspec.DecodeError as error:
        raise InvalidInput(InvalidCode.BAD_MESSAGEPACK, f"not MessagePack: {error}") from None


def _refuse_duplicate_keys(data: bytes | msgspec.Raw, keys: int, where: str) -> None:
    """Compare the number of pairs that a map announces with the keys that it really has."""
    if _announced_pairs(memoryview(data)) != keys:
        raise InvalidInput(
            InvalidCode.DUPLICATE_KEY,
            f"{where.removeprefix('.') or 'the request'}: the same key twice",
        )


def _announced_pairs(data: memoryview) -> int:
    first = data[0]
    if first == _MAP16:
        return int.from_bytes(data[1:3], "big")
    if first == _MAP32:
        return int.from_bytes(data[1:5], "big")
    return first & 0x0F
