"""The door of one model version: HTTP bodies in, validated calls out, and answers back."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from bridge.contract.invalid import InvalidCode, InvalidInput
from bridge.contract.model import ModelContract
from bridge.contract.padding import PaddedRows, UnpaddedOutput, padder_of
from bridge.contract.units import Units
from bridge.gateway.dialects import binary, messagepack
from bridge.gateway.dialects.call import Array, Body, InferCall, InputLimits, OutputMismatch
from bridge.gateway.dialects.inputs import Inputs, InputTensor
from bridge.gateway.dialects.media_type import dialect_of
from bridge.gateway.dialects.messagepack import MessagePackRequests
from bridge.gateway.dialects.named import NamedRequests
from bridge.gateway.dialects.named_answer import NamedAnswers
from bridge.gateway.dialects.named_call import NamedCall
from bridge.gateway.dialects.options import OutputChoice
from bridge.gateway.dialects.plain import Plain
from bridge.gateway.dialects.plain_binary import PlainBinary
from bridge.gateway.dialects.plain_blocks import can_be_blocks
from bridge.gateway.dialects.plain_json import PlainJson, can_be_plain_json
from bridge.gateway.dialects.plain_messagepack import PlainMessagePack
from bridge.gateway.dialects.v2_answer import BINARY_TYPE, V2Answers
from bridge.gateway.dialects.v2_json import V2Requests


class Door:
    """Reads and writes bodies by one contract, compiled once."""

    def __init__(
        self, contract: ModelContract, limits: InputLimits, units: Units | None = None
    ) -> None:
        """`units` can be shared by doors: what they mean is loaded once."""
        self._contract = contract
        self._inputs = Inputs(contract, limits)
        self._outputs = OutputChoice(contract, limits)
        self._v2 = V2Requests(contract, self._inputs, self._outputs, limits)
        self._messagepack = MessagePackRequests(self._inputs, self._outputs, limits)
        self._answers = V2Answers(contract)
        self._named = NamedRequests(contract, self._inputs, limits, units or Units())
        self._named_answers = NamedAnswers(contract)
        tensors = list(self._inputs.tensors.values())
        # For many requests at once; None where no request can be plain.
        self._plain_json: Plain | None = None
        self._plain_binary: Plain | None = None
        self._plain_messagepack: Plain | None = None
        if can_be_plain_json(contract, tensors):
            self._plain_json = PlainJson(contract, tensors[0], limits)
        if can_be_blocks(contract, tensors):
            self._plain_binary = PlainBinary(contract, tensors[0], self._answers, self._read_binary)
            self._plain_messagepack = PlainMessagePack(contract, tensors[0], limits)
        self._json_bytes_max = limits.json_bytes_max
        self._padder = padder_of(contract)
        self._output_dtypes = {spec.name: spec.type.dtype for spec in contract.outputs}

    def parse(
        self,
        content_type: str | None,
        inference_header_length: int | None,
        body: bytes | memoryview,
    ) -> InferCall:
        """Return the call that a request body holds.

        `content_type` is the header's value as sent; `inference_header_length` the value of
        Inference-Header-Content-Length in bytes, both None where the header is absent. The
        tensors may share the body's memory, which must therefore not change afterwards.

        Raises:
            InvalidInput: anything that the dialect or the contract does not accept; no other
                exception, whatever the bytes are.
        """
        return self.padded(self._parse(content_type, inference_header_length, body))

    def parse_named(self, content_type: str | None, body: bytes) -> InferCall:
        """Return the call that a body of named rows holds, which is JSON; see `parse`.

        Raises:
            InvalidInput: as `parse`.
        """
        if dialect_of(content_type) != "v2":
            raise InvalidInput(InvalidCode.MEDIA_TYPE, "named rows are sent as application/json")
        return self.padded(self._named.parse(self._text(body)))

    def padded(self, call: InferCall) -> InferCall:
        """Return a call with its rows as they travel: padded, if the contract says so.

        Raises:
            InvalidInput: `too_long`, or `too_large` when padded.
        """
        if self._padder is None:
            return call
        rows = self._padder.padded(call.tensors)
        return msgspec.structs.replace(call, tensors=rows.tensors, padded=rows)

    def _parse(
        self,
        content_type: str | None,
        inference_header_length: int | None,
        body: bytes | memoryview,
    ) -> InferCall:
        dialect = dialect_of(content_type)
        if dialect == "messagepack":
            if inference_header_length is not None:
                raise InvalidInput(
                    InvalidCode.BAD_BINARY,
                    "Inference-Header-Content-Length does not go with MessagePack",
                )
            return self._messagepack.parse(bytes(body))
        if inference_header_length is None:
            return self._v2.parse(self._text(body), None)
        if inference_header_length == 0:
            return self._raw(memoryview(body))
        if not 0 < inference_header_length <= len(body):
            raise InvalidInput(
                InvalidCode.BAD_BINARY,
                f"Inference-Header-Content-Length: {inference_header_length} is not within the "
                f"body of {len(body)} bytes",
            )
        text = self._text(body[:inference_header_length])
        return self._v2.parse(text, memoryview(body)[inference_header_length:])

    def plain(self, content_type: str | None, inference_header_length: int | None) -> Plain | None:
        """Return what reads many requests with these headers at once; None if nothing does."""
        is_messagepack = dialect_of(content_type) == "messagepack"
        if inference_header_length is None:
            return self._plain_messagepack if is_messagepack else self._plain_json
        if is_messagepack:
            return None
        return self._plain_binary if inference_header_length else None

    def _read_binary(self, body: bytes, header_bytes: int) -> InferCall:
        return self.parse(BINARY_TYPE, header_bytes, body)

    def _text(self, text: bytes | memoryview) -> bytes:
        if len(text) > self._json_bytes_max:
            raise InvalidInput(
                InvalidCode.TOO_LARGE,
                f"{len(text)} bytes of JSON, more than the {self._json_bytes_max} accepted; send "
                "binary tensors or MessagePack",
            )
        return bytes(text)

    def answer(self, call: InferCall, outputs: Mapping[str, Array]) -> Body:
        """Return the answer to `call` in its own form.

        `outputs` hold every wanted output, shape (rows, ...), in the contract's dtype; BYTES as
        object, str or bytes arrays.

        Raises:
            OutputMismatch: an output is missing, or has another dtype or number of rows, or
                a varying dimension of another size than the rows were padded to.
        """
        if call.padded is not None:
            outputs = self._cut(outputs, call.padded)
        for wanted in call.outputs:
            array = outputs.get(wanted.name)
            if array is None or not self._is_as_agreed(wanted.name, array, call.rows):
                raise OutputMismatch(f"output {wanted.name} is not what the contract says")
        if isinstance(call, NamedCall):
            return self._named_answers.write(call, outputs)
        if call.form == "messagepack":
            return messagepack.write(self._contract, call, outputs)
        return self._answers.write(call, outputs)

    def _cut(self, outputs: Mapping[str, Array], rows: PaddedRows) -> Mapping[str, Array]:
        assert self._padder is not None
        try:
            return self._padder.cut(outputs, rows)
        except UnpaddedOutput as error:
            raise OutputMismatch(str(error)) from error

    def _is_as_agreed(self, name: str, array: Array, rows: int) -> bool:
        wanted = self._output_dtypes[name]
        if array.dtype != wanted and not (wanted.kind == "O" and array.dtype.kind in "SU"):
            return False
        return array.ndim > 0 and array.shape[0] == rows

    def _raw(self, body: memoryview) -> InferCall:
        """One row of the only input, without any JSON; all outputs come back as binary."""
        if len(self._inputs.tensors) != 1:
            raise InvalidInput(
                InvalidCode.BAD_BINARY, "a raw binary body needs a model with exactly one input"
            )
        (tensor,) = self._inputs.tensors.values()
        array = binary.from_bytes(tensor, body, _raw_shape(tensor, body))
        if tensor.check is not None:
            array = tensor.check.accepted(array)
        return InferCall(
            None, 1, {tensor.name: array}, self._outputs.as_binary, None, False, 0, "binary"
        )


def _raw_shape(tensor: InputTensor, body: memoryview) -> tuple[int, ...]:
    """Return the shape of one row, its variable dimension taken from the size of the body.

    Raises:
        InvalidInput: `wrong_shape` for more than one variable dimension, `shape_data_mismatch`
            for a body that is no whole number of values, `empty` for one without any.
    """
    row_shape = tensor.spec.row_shape
    if row_shape.count(-1) > 1:
        raise InvalidInput(
            InvalidCode.WRONG_SHAPE,
            f"input {tensor.shown_name}: a raw binary body cannot tell the sizes of more than one "
            "variable dimension",
        )
    if not len(body):
        raise InvalidInput(InvalidCode.EMPTY, f"input {tensor.shown_name}: the body is empty")
    if -1 not in row_shape:
        return (1, *row_shape)
    if tensor.type.kind == "bytes":
        count = binary.count_texts(tensor, body)
    else:
        count = len(body) // tensor.type.item_bytes
    fixed = math.prod(size for size in row_shape if size != -1)
    # At least 1, so that a body too short for it is refused by its size.
    variable = max(1, count // fixed)
    return (1, *(variable if size == -1 else size for size in row_shape))
