"""Plain binary tensors: JSON that came before byte for byte, and the block of the only input."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from bridge.contract.invalid import InvalidInput
from bridge.contract.model import ModelContract
from bridge.gateway.dialects.call import Array, InferCall
from bridge.gateway.dialects.inputs import InputTensor
from bridge.gateway.dialects.plain import (
    NO_ROWS,
    PlainAnswer,
    PlainCalls,
    RowShapes,
    none_plain,
)
from bridge.gateway.dialects.v2_answer import BINARY_TYPE, LENGTH_HEADER, V2Answers

_KNOWN_MAX = 512
_KNOWN_BYTES_MAX = 1024
_NUMBERS = ("integer", "floating")
ReadOne = Callable[[bytes, int], InferCall]


class _Known(msgspec.Struct, frozen=True):
    """JSON that was read before: the call without its rows, and the bytes of its block."""

    call: InferCall
    block_bytes: int


@dataclass(frozen=True, slots=True)
class BinaryRows:
    """The outputs of several calls: for each output its bytes, and how many a row has."""

    blocks: list[tuple[bytes, int]]
    row_shapes: RowShapes


class PlainBinary:
    """Reads and writes the plain binary requests of one model version."""

    def __init__(
        self,
        contract: ModelContract,
        tensor: InputTensor,
        answers: V2Answers,
        read_one: ReadOne,
    ) -> None:
        """`tensor` is the model's only input; see `can_be_plain_binary`.

        `read_one` reads a body whose JSON has so many bytes.
        """
        self.input_name = tensor.name
        self._tensor = tensor
        self._answers = answers
        self._read_one = read_one
        self._row_shape = tensor.spec.row_shape
        self._dtypes = {spec.name: spec.type.dtype for spec in contract.outputs}
        self._known: dict[bytes, _Known] = {}
        # An answer's JSON, by its id, its number of rows and their shapes.
        self._texts: dict[tuple[str | None, int, RowShapes], bytes] = {}

    def read(self, bodies: Sequence[bytes], header_bytes: int) -> PlainCalls:
        """As in `Plain`."""
        blocks: list[bytes] = []
        places: list[int] = []
        said: list[InferCall] = []
        others: list[int] = []
        for place, body in enumerate(bodies):
            text = body[:header_bytes]
            known = self._known.get(text) or self._learn(text, body)
            if known is None or len(body) - header_bytes != known.block_bytes:
                others.append(place)
            else:
                blocks.append(body[header_bytes:])
                places.append(place)
                said.append(known.call)
        sizes = [call.rows for call in said]
        array = self._array(b"".join(blocks), sum(sizes))
        if array is None:
            # Which of them is wrong, and what to say of it, is found one by one.
            return none_plain(bodies)
        return PlainCalls(array, places, sizes, said, others)

    def call(self, said: InferCall, rows: int) -> InferCall:
        """As in `Plain`."""
        return said

    def write(self, arrays: Mapping[str, Array]) -> BinaryRows | None:
        """As in `Plain`."""
        blocks = []
        for name, dtype in self._dtypes.items():
            array = arrays.get(name)
            if array is None or array.dtype != dtype or not array.size:
                return None
            blocks.append((array.tobytes(), array.nbytes // len(array)))
        return BinaryRows(blocks, tuple([arrays[name].shape[1:] for name in self._dtypes]))

    def answer(self, said: InferCall, start: int, rows: int, written: BinaryRows) -> PlainAnswer:
        """As in `Plain`."""
        key = (said.id, rows, written.row_shapes)
        text = self._texts.get(key) or self._text(said, key)
        parts = [text]
        for block, row_bytes in written.blocks:
            parts.append(block[start * row_bytes : (start + rows) * row_bytes])
        headers = f"Content-Type: {BINARY_TYPE}\r\n{LENGTH_HEADER}: {len(text)}"
        return PlainAnswer(headers, b"".join(parts))

    def _learn(self, text: bytes, body: bytes) -> _Known | None:
        """Read a body whose JSON was not seen before; None if it is not plain or not right."""
        try:
            call = self._read_one(body, len(text))
        except InvalidInput:
            return None
        names = [output.name for output in call.outputs if output.binary]
        if (
            call.timeout_s is not None
            or call.priority
            or names != list(self._dtypes)
            or len(body) == len(text)
        ):
            return None
        bare = msgspec.structs.replace(call, tensors={})
        known = _Known(bare, len(body) - len(text))
        if len(text) <= _KNOWN_BYTES_MAX:
            if len(self._known) >= _KNOWN_MAX:
                self._known.clear()
            self._known[text] = known
        return known

    def _array(self, data: bytes, rows: int) -> Array | None:
        """Return the rows as an array, None if a value is not accepted."""
        if not rows:
            return NO_ROWS
        tensor = self._tensor
        array: Array = np.frombuffer(data, tensor.type.dtype).reshape((rows, *self._row_shape))
        try:
            if tensor.check is not None:
                tensor.check.check(array)
        except InvalidInput:
            return None
        return array

    def _text(self, said: InferCall, key: tuple[str | None, int, RowShapes]) -> bytes:
        _, rows, row_shapes = key
        empty = {
            name: np.zeros((rows, *shape), dtype)
            for (name, dtype), shape in zip(self._dtypes.items(), row_shapes, strict=True)
        }
        body = self._answers.write(said, empty)
        text = body.data[: int(dict(body.headers)[LENGTH_HEADER])]
        if len(self._texts) >= _KNOWN_MAX:
            self._texts.clear()
        self._texts[key] = text
        return text


def can_be_plain_binary(contract: ModelContract, tensors: Sequence[InputTensor]) -> bool:
    """Return whether binary requests for this model version can be plain.

    The model has one input of numbers, a row of which has a fixed shape, and numeric outputs.
    """
    tensor = tensors[0]
    return (
        len(tensors) == 1
        and tensor.type.kind in _NUMBERS
        and -1 not in tensor.spec.row_shape
        and all(spec.type.kind != "bytes" for spec in contract.outputs)
    )
