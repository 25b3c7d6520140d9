"""Plain MessagePack: the block of the model's only input, at most an `id` beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec
import numpy as np

from bridge.contract.invalid import InvalidInput
from bridge.contract.model import ModelContract
from bridge.gateway.dialects.answer_head import answer_head
from bridge.gateway.dialects.call import Array, InferCall, InputLimits
from bridge.gateway.dialects.inputs import InputTensor
from bridge.gateway.dialects.messagepack import CONTENT_TYPE
from bridge.gateway.dialects.options import OutputChoice, read_id
from bridge.gateway.dialects.plain import (
    PlainAnswer,
    PlainCalls,
    RowShapes,
    none_plain,
    plain_places,
)
from bridge.gateway.dialects.plain_blocks import BlockRows, block_rows, checked_rows

UNSET = msgspec.UNSET
_SHAPES_KEPT = 256
_FIXMAP = 0x80
_HEADERS = f"Content-Type: {CONTENT_TYPE}"
_encode = msgspec.msgpack.Encoder().encode
_ID = _encode("id")


class _Input(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    name: str
    shape: list[int]
    datatype: str
    data: memoryview


class _Request(msgspec.Struct, forbid_unknown_fields=True, gc=False, omit_defaults=True):
    inputs: Annotated[list[_Input], msgspec.Meta(min_length=1, max_length=1)]
    id: str | msgspec.UnsetType | None = UNSET


_decode = msgspec.msgpack.Decoder(_Request).decode


class PlainMessagePack:
    """Reads and writes the plain MessagePack requests of one model version."""

    def __init__(self, contract: ModelContract, tensor: InputTensor, limits: InputLimits) -> None:
        """`tensor` is the model's only input; see `can_be_blocks`."""
        self.input_name = tensor.name
        self._tensor = tensor
        self._limits = limits
        self._row_shape = list(tensor.spec.row_shape)
        self._row_bytes = tensor.type.item_bytes * int(np.prod(self._row_shape, dtype=np.int64))
        self._outputs = OutputChoice(contract, limits).as_binary
        self._dtypes = {spec.name: spec.type.dtype for spec in contract.outputs}
        self._datatypes = {spec.name: spec.datatype for spec in contract.outputs}
        head = answer_head(contract)
        self._head = b"".join(_encode(word) for pair in head.items() for word in pair)
        self._head += _encode("outputs")
        # What is in the head, the outputs; with an id there is one pair more.
        self._begin = bytes((_FIXMAP | len(head) + 1,))
        self._begin_with_id = bytes((_FIXMAP | len(head) + 2,))
        # By the number of rows and their shapes: an answer before each output's data.
        self._before: dict[tuple[int, RowShapes], list[bytes]] = {}

    def read(self, bodies: Sequence[bytes], header_bytes: int = 0) -> PlainCalls:
        """As in `Plain`."""
        blocks: list[memoryview] = []
        said: list[str | None] = []
        places, sizes, others = plain_places(
            bodies, lambda body: self._read_one(body, blocks, said)
        )
        array = checked_rows(self._tensor, b"".join(blocks), sum(sizes))
        if array is None:
            # Which of them is wrong, and what to say of it, is found one by one.
            return none_plain(bodies)
        return PlainCalls(array, places, sizes, said, others)

    def call(self, said: str | None, rows: int) -> InferCall:
        """As in `Plain`; said is the `id`."""
        return InferCall(said, rows, {}, self._outputs, None, False, 0, "messagepack")

    def write(self, arrays: Mapping[str, Array]) -> BlockRows | None:
        """As in `Plain`."""
        return block_rows(self._dtypes, arrays)

    def answer(self, said: str | None, start: int, rows: int, written: BlockRows) -> PlainAnswer:
        """As in `Plain`."""
        key = (rows, written.row_shapes)
        before = self._before.get(key) or self._pieces(written, key)
        parts = [self._begin if said is None else self._begin_with_id, self._head]
        parts += written.parts(before, start, rows)
        if said is not None:
            parts += (_ID, _encode(said))
        return PlainAnswer(_HEADERS, b"".join(parts))

    def _read_one(self, body: bytes, blocks: list[memoryview], said: list[str | None]) -> int:
        """Append a plain body's block and id, and return its rows; 0 for another one."""
        try:
            request = _decode(body)
            id = None if request.id is UNSET else read_id(request.id, self._limits)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, InvalidInput):
            return 0
        item, tensor = request.inputs[0], self._tensor
        shape = item.shape
        if (
            item.name != tensor.name
            or item.datatype != tensor.type.name
            or not shape
            or shape[1:] != self._row_shape
            or not 0 < shape[0] <= self._limits.rows_max
            or len(item.data) != shape[0] * self._row_bytes
            # A repeated key, of which msgspec keeps the last, makes a body longer than it need be.
            or len(body) != len(_encode(request))
        ):
            return 0
        blocks.append(item.data)
        said.append(id)
        return shape[0]

    def _pieces(self, written: BlockRows, key: tuple[int, RowShapes]) -> list[bytes]:
        rows, row_shapes = key
        pieces: list[bytes] = []
        named = zip(self._datatypes.items(), row_shapes, written.blocks, strict=True)
        for (name, datatype), row_shape, (_, row_bytes) in named:
            block = b"\0" * (rows * row_bytes)
            words = ("name", name, "shape", (rows, *row_shape), "datatype", datatype, "data", block)
            text = bytes((_FIXMAP | len(words) // 2,)) + b"".join(map(_encode, words))
            pieces.append(text.removesuffix(block))
        # The head of the array of outputs, which has no element of its own here.
        several = _encode([None] * len(pieces)).removesuffix(b"\xc0" * len(pieces))
        pieces[0] = several + pieces[0]
        if len(self._before) >= _SHAPES_KEPT:
            self._before.clear()
        self._before[key] = pieces
        return pieces
