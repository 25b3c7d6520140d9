"""Open Inference Protocol V2 requests: JSON, alone or followed by binary blocks."""

from __future__ import annotations

import msgspec

from bridge.contract.invalid import InvalidCode, InvalidInput
from bridge.contract.model import ModelContract
from bridge.gateway.dialects import json_fault
from bridge.gateway.dialects.binary import Blocks
from bridge.gateway.dialects.call import Array, InferCall, InputLimits
from bridge.gateway.dialects.inputs import Inputs, InputTensor
from bridge.gateway.dialects.json_tensor import JsonTensor
from bridge.gateway.dialects.options import (
    MaybeParameters,
    OutputChoice,
    read_binary_size,
    read_id,
    read_options,
)

UNSET = msgspec.UNSET


class _Input(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    name: str
    shape: list[int]
    datatype: str
    data: msgspec.Raw | msgspec.UnsetType = UNSET
    parameters: MaybeParameters = UNSET


class _Output(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    name: str
    parameters: MaybeParameters = UNSET


class _Request(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    inputs: list[_Input]
    id: str | msgspec.UnsetType | None = UNSET
    parameters: MaybeParameters = UNSET
    outputs: list[_Output] | msgspec.UnsetType | None = UNSET
    # KServe's client sends it; the URL decides.
    model_name: str | msgspec.UnsetType | None = UNSET


class V2Requests:
    """Reads the V2 requests of one model version."""

    def __init__(
        self, contract: ModelContract, inputs: Inputs, outputs: OutputChoice, limits: InputLimits
    ) -> None:
        self._inputs = inputs
        self._outputs = outputs
        self._limits = limits
        self._decoder = msgspec.json.Decoder(_Request)
        self._json_tensors = {name: JsonTensor(tensor) for name, tensor in inputs.tensors.items()}

    def parse(self, text: bytes, blocks: memoryview | None) -> InferCall:
        """Return the call that the JSON `text` and the binary blocks after it hold.

        Raises:
            InvalidInput: anything that JSON, the protocol or the contract do not accept.
        """
        try:
            return self._read(text, None if blocks is None else Blocks(blocks))
        except (
            InvalidInput,
            msgspec.DecodeError,
            UnicodeDecodeError,
            RecursionError,
        ) as error:
            raise json_fault.explained(text, error, self._limits.json_depth_max) from None

    def _read(self, text: bytes, blocks: Blocks | None) -> InferCall:
        request = self._decoder.decode(text)
        options = read_options(request.parameters, self._limits)
        outputs = self._outputs.wanted(request.outputs, binary_output=options.binary_output)
        tensors = self._tensors(request.inputs, blocks)
        # Last, because from here on data that could hold colons is known to be text.
        _refuse_duplicate_keys(text, request)
        return InferCall(
            read_id(request.id, self._limits),
            next(iter(tensors.values())).shape[0],
            tensors,
            outputs,
            options.timeout_s,
            options.timeout_is_capped,
            options.priority,
            self._outputs.form(outputs),
        )

    def _tensors(self, items: list[_Input], blocks: Blocks | None) -> dict[str, Array]:
        found: dict[str, Array] = {}
        for item in items:
            tensor = self._inputs.tensors.get(item.name)
            if tensor is None or item.name in found:
                raise self._inputs.unknown_or_twice(item.name, found)
            array = self._array(tensor, item, blocks)
            if tensor.check is not None:
                array = tensor.check.accepted(array)
            found[item.name] = array
        if blocks is not None:
            blocks.refuse_rest()
        return self._inputs.complete(found)

    def _array(self, tensor: InputTensor, item: _Input, blocks: Blocks | None) -> Array:
        shape = tensor.checked_shape(item.datatype, item.shape)
        size = read_binary_size(item.parameters, item.name, self._limits)
        if size is None:
            if item.data is UNSET:
                raise InvalidInput(
                    InvalidCode.SCHEMA, f"input {tensor.shown_name}: the key 'data' is missing"
                )
            return self._json_tensors[item.name].read(item.data, shape)
        if item.data is not UNSET or blocks is None:
            raise InvalidInput(
                InvalidCode.BAD_BINARY,
                f"input {tensor.shown_name}: binary_data_size "
                + ("beside data" if blocks is not None else "without binary data in the body"),
            )
        return blocks.take(tensor, size, shape)


def _refuse_duplicate_keys(text: bytes, request: _Request) -> None:
    """Refuse repeated keys, of which msgspec keeps the last.

    Each pair has a colon of its own, so a text without a repeated key has exactly as many colons
    as the decoded objects have keys, plus those inside of strings. Where escapes hide colons, the
    strings are cut out of the text and the rest is counted.

    Raises:
        InvalidInput: `duplicate_key`.
    """
    keys = _key_count(request)
    colons = text.count(b":")
    for item in request.inputs:
        if item.datatype == "BYTES" and item.data is not UNSET:
            colons -= bytes(item.data).count(b":")
    if colons == keys or (b"\\" not in text and colons == keys + _colons_in_strings(request)):
        return
    if json_fault.pair_count(text) != keys:
        raise InvalidInput(InvalidCode.DUPLICATE_KEY, "an object has the same key twice")


def _key_count(request: _Request) -> int:
    keys = (
        1
        + 3 * len(request.inputs)
        + (request.id is not UNSET)
        + (request.outputs is not UNSET)
        + (request.model_name is not UNSET)
        + _pair_count(request.parameters)
    )
    for item in request.inputs:
        keys += (item.data is not UNSET) + _pair_count(item.parameters)
    for output in request.outputs or ():
        keys += 1 + _pair_count(output.parameters)
    return keys


def _pair_count(parameters: MaybeParameters) -> int:
    """The `parameters` key and the keys in it."""
    if parameters is UNSET:
        return 0
    return 1 + len(parameters) if parameters else 1


def _colons_in_strings(request: _Request) -> int:
    strings = [request.id, request.model_name]
    named = [*request.inputs, *(request.outputs or ())]
    strings.extend(item.name for item in named)
    for parameters in (request.parameters, *(item.parameters for item in named)):
        if parameters:
            strings.extend(parameters)
            strings.extend(value for value in parameters.values() if isinstance(value, str))
    return sum(text.count(":") for text in strings if text)
