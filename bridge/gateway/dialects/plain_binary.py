"""Plain binary tensors: JSON that came before byte for byte, and the block of the only input."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec
import numpy as np

from bridge.contract.invalid import InvalidInput
from bridge.contract.model import ModelContract
from bridge.gateway.dialects.call import Array, InferCall
from bridge.gateway.dialects.inputs import InputTensor
from bridge.gateway.dialects.plain import (
    PlainAnswer,
    PlainCalls,
    RowShapes,
    none_plain,
)
from bridge.gateway.dialects.plain_blocks import BlockRows, block_rows, checked_rows
from bridge.gateway.dialects.v2_answer import BINARY_TYPE, LENGTH_HEADER, V2Answers

_KNOWN_MAX = 512
_KNOWN_BYTES_MAX = 1024
ReadOne = Callable[[bytes, int], InferCall]


class _Known(msgspec.Struct, frozen=True):
    """JSON that was read before: the call without its rows, and the bytes of its block."""

    call: InferCall
    block_bytes: int


class PlainBinary:
    """Reads and writes the plain binary requests of one model version."""

    def __init__(
        self,
        contract: ModelContract,
        tensor: InputTensor,
        answers: V2Answers,
        read_one: ReadOne,
    ) -> None:
        """`tensor` is the model's only input; see `can_be_blocks`.

        `read_one` reads a body whose JSON has so many bytes.
        """
        self.input_name = tensor.name
        self._tensor = tensor
        self._answers = answers
        self._read_one = read_one
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
        array = checked_rows(self._tensor, b"".join(blocks), sum(sizes))
        if array is None:
            # Which of them is wrong, and what to say of it, is found one by one.
            return none_plain(bodies)
        return PlainCalls(array, places, sizes, said, others)

    def call(self, said: InferCall, rows: int) -> InferCall:
        """As in `Plain`."""
        return said

    def write(self, arrays: Mapping[str, Array]) -> BlockRows | None:
        """As in `Plain`."""
        return block_rows(self._dtypes, arrays)

    def answer(self, said: InferCall, start: int, rows: int, written: BlockRows) -> PlainAnswer:
        """As in `Plain`."""
        key = (said.id, rows, written.row_shapes)
        text = self._texts.get(key) or self._text(said, key)
        parts = written.parts([b""] * len(written.blocks), start, rows)
        headers = f"Content-Type: {BINARY_TYPE}\r\n{LENGTH_HEADER}: {len(text)}"
        return PlainAnswer(headers, text + b"".join(parts))

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
