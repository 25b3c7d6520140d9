"""Plain V2 JSON: the model's only input as flat or nested numbers, at most an `id` beside it."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from types import GenericAlias
from typing import Annotated, Any

import msgspec
import numpy as np
import orjson

from bridge.contract.invalid import InvalidInput
from bridge.contract.model import ModelContract
from bridge.gateway.dialects.answer_head import answer_head
from bridge.gateway.dialects.call import Array, InferCall, InputLimits
from bridge.gateway.dialects.inputs import InputTensor
from bridge.gateway.dialects.json_tensor import CODES, packed
from bridge.gateway.dialects.options import OutputChoice, read_id
from bridge.gateway.dialects.plain import (
    NO_ROWS,
    PlainAnswer,
    PlainCalls,
    RowShapes,
    none_plain,
    plain_places,
)
from bridge.gateway.dialects.v2_answer import JSON_TYPE

UNSET = msgspec.UNSET
# inputs, name, shape, datatype, data: each pair has a colon, and no string has one.
_COLONS = 5
_ELEMENTS: dict[str, type] = {"bool": bool, "integer": int, "floating": float}
# As clients and their libraries write it; with other white space a request is not plain.
_NESTED = (b'"data":[[', b'"data": [[')
_SHAPES_KEPT = 256
_HEADERS = f"Content-Type: {JSON_TYPE}"


@dataclass(frozen=True, slots=True)
class JsonRows:
    """The outputs of several calls as JSON: for each output, the text of each row."""

    texts: list[list[bytes]]
    row_shapes: RowShapes


class PlainJson:
    """Reads and writes the plain requests of one model version."""

    def __init__(self, contract: ModelContract, tensor: InputTensor, limits: InputLimits) -> None:
        """`tensor` is the model's only input; see `can_be_plain_json`."""
        self.input_name = tensor.name
        self._tensor = tensor
        self._limits = limits
        self._row_shape = list(tensor.spec.row_shape)
        self._row_values = int(np.prod(self._row_shape, dtype=np.int64))
        element = _ELEMENTS[tensor.type.kind]
        self._flat = _decoder(element, 1)
        self._nested = _decoder(element, 2) if len(self._row_shape) == 1 else None
        self._outputs = OutputChoice(contract, limits).as_json
        self._dtypes = {spec.name: spec.type.dtype for spec in contract.outputs}
        self._head = orjson.dumps(answer_head(contract))[:-1]
        self._datatypes = {spec.name: spec.datatype for spec in contract.outputs}
        # By the number of rows and their shapes: an answer's text before each output's data.
        self._before: dict[tuple[int, RowShapes], list[bytes]] = {}

    def read(self, bodies: Sequence[bytes], header_bytes: int = 0) -> PlainCalls:
        """As in `Plain`."""
        values: list[Any] = []
        ids: list[str | None] = []
        places, sizes, others = plain_places(bodies, lambda body: self._read_one(body, values, ids))
        array = self._array(values, sum(sizes))
        if array is None:
            # Which of them is wrong, and what to say of it, is found one by one.
            return none_plain(bodies)
        return PlainCalls(array, places, sizes, ids, others)

    def call(self, said: str | None, rows: int) -> InferCall:
        """As in `Plain`; said is the `id`."""
        return InferCall(said, rows, {}, self._outputs, None, False, 0, "json")

    def write(self, arrays: Mapping[str, Array]) -> JsonRows | None:
        """As in `Plain`; numbers that are not finite have to be counted."""
        texts = []
        for name, dtype in self._dtypes.items():
            array = arrays.get(name)
            if array is None or array.dtype != dtype or not array.size:
                return None
            table = array.reshape(len(array), -1)
            text = orjson.dumps(table, option=orjson.OPT_SERIALIZE_NUMPY)
            if b"null" in text:
                return None
            texts.append(text[2:-2].split(b"],["))
        return JsonRows(texts, tuple([arrays[name].shape[1:] for name in self._dtypes]))

    def answer(self, said: str | None, start: int, rows: int, written: JsonRows) -> PlainAnswer:
        """As in `Plain`."""
        pieces = [self._head]
        if said is not None:
            pieces += (b',"id":', orjson.dumps(said))
        key = (rows, written.row_shapes)
        before = self._before.get(key) or self._pieces(key)
        for text, of_rows in zip(before, written.texts, strict=True):
            pieces.append(text)
            pieces.append(of_rows[start] if rows == 1 else b",".join(of_rows[start : start + rows]))
        pieces.append(b"]}]}")
        return PlainAnswer(_HEADERS, b"".join(pieces))

    def _read_one(self, body: bytes, values: list[Any], ids: list[str | None]) -> int:
        """Append a plain body's values and id, and return its rows; 0 for another one."""
        is_nested = _NESTED[0] in body or _NESTED[1] in body
        decoder = self._nested if is_nested else self._flat
        if decoder is None or len(body) > self._limits.json_bytes_max:
            return 0
        try:
            request = decoder.decode(body)
            has_id = request.id is not UNSET
            id = read_id(request.id, self._limits) if has_id else None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, InvalidInput):
            return 0
        item, width = request.inputs[0], self._row_values
        rows = self._rows(item.name, item.datatype, item.shape)
        if not rows or body.count(b":") != _COLONS + has_id:
            return 0
        data = item.data
        if is_nested:
            if len(data) != rows or any(len(row) != width for row in data):
                return 0
            data = chain.from_iterable(data)
        elif len(data) != rows * width:
            return 0
        values.extend(data)
        ids.append(id)
        return rows

    def _rows(self, name: str, datatype: str, shape: list[int]) -> int:
        """Return the rows of a tensor that is announced like this, 0 if it is not the model's."""
        tensor = self._tensor
        if (
            name == tensor.name
            and datatype == tensor.type.name
            and shape
            and shape[1:] == self._row_shape
            and 0 < shape[0] <= self._limits.rows_max
        ):
            return shape[0]
        return 0

    def _array(self, values: list[Any], rows: int) -> Array | None:
        """Return the rows as an array, None if a value is not accepted."""
        tensor = self._tensor
        if not rows:
            return NO_ROWS
        try:
            data = packed(values, CODES[tensor.type.name])
            array = np.ndarray((rows, *self._row_shape), tensor.type.dtype, data)
            if tensor.check is not None:
                array = tensor.check.accepted(array)
        except (struct.error, OverflowError, InvalidInput):
            return None
        return array

    def _pieces(self, key: tuple[int, RowShapes]) -> list[bytes]:
        rows, row_shapes = key
        pieces: list[bytes] = []
        for row_shape, (name, datatype) in zip(row_shapes, self._datatypes.items(), strict=True):
            output = {"name": name, "shape": (rows, *row_shape), "datatype": datatype}
            begin = b"]}," if pieces else b',"outputs":['
            pieces.append(begin + orjson.dumps(output).removesuffix(b"}") + b',"data":[')
        if len(self._before) >= _SHAPES_KEPT:
            self._before.clear()
        self._before[key] = pieces
        return pieces


def can_be_plain_json(contract: ModelContract, tensors: Sequence[InputTensor]) -> bool:
    """Return whether requests for this model version can be plain.

    The model has one input of numbers, a row of which has a fixed shape, and its outputs are
    numbers that JSON carries.
    """
    tensor = tensors[0]
    return (
        len(tensors) == 1
        and tensor.type.kind in _ELEMENTS
        and tensor.type.name in CODES
        and -1 not in tensor.spec.row_shape
        and all(
            spec.type.kind in _ELEMENTS and spec.datatype != "FP16" for spec in contract.outputs
        )
    )


def _decoder(element: type, rank: int) -> msgspec.json.Decoder[Any]:
    """Return a decoder of plain requests whose data are lists in lists, `rank` of them."""
    data: Any = element
    for _ in range(rank):
        data = GenericAlias(list, (data,))
    item = msgspec.defstruct(
        "Input",
        [("name", str), ("shape", list[int]), ("datatype", str), ("data", data)],
        forbid_unknown_fields=True,
        gc=False,
    )
    several: Any = GenericAlias(list, (item,))
    only = Annotated[several, msgspec.Meta(min_length=1, max_length=1)]
    request = msgspec.defstruct(
        "Request",
        [("inputs", only), ("id", str | msgspec.UnsetType | None, UNSET)],
        forbid_unknown_fields=True,
        gc=False,
    )
    return msgspec.json.Decoder(request)
