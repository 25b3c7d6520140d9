"""Rows as blocks of bytes: what the two binary forms of plain requests share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bridge.contract.invalid import InvalidInput
from bridge.contract.model import ModelContract
from bridge.gateway.dialects.call import Array
from bridge.gateway.dialects.inputs import InputTensor
from bridge.gateway.dialects.plain import NO_ROWS, RowShapes

_NUMBERS = ("integer", "floating")


@dataclass(frozen=True, slots=True)
class BlockRows:
    """The outputs of several calls: for each output its bytes, and how many a row has."""

    blocks: list[tuple[bytes, int]]
    row_shapes: RowShapes

    def parts(self, before: Sequence[bytes], start: int, rows: int) -> list[bytes]:
        """Return for each output what is `before` it and its `rows` rows from `start` on."""
        parts: list[bytes] = []
        for text, (block, row_bytes) in zip(before, self.blocks, strict=True):
            parts.append(text)
            parts.append(block[start * row_bytes : (start + rows) * row_bytes])
        return parts


def block_rows(
    dtypes: Mapping[str, np.dtype[Any]], arrays: Mapping[str, Array]
) -> BlockRows | None:
    """Return the rows of all outputs; None if one is not of its dtype, or has no values."""
    blocks = []
    for name, dtype in dtypes.items():
        array = arrays.get(name)
        if array is None or array.dtype != dtype or not array.size:
            return None
        blocks.append((array.tobytes(), array.nbytes // len(array)))
    return BlockRows(blocks, tuple([arrays[name].shape[1:] for name in dtypes]))


def checked_rows(tensor: InputTensor, data: bytes, rows: int) -> Array | None:
    """Return `data` as an array of shape (rows, ...); None if a value is not accepted.

    `data` are as many bytes as that takes.
    """
    if not rows:
        return NO_ROWS
    shape = (rows, *tensor.spec.row_shape)
    array: Array = np.frombuffer(data, tensor.type.dtype).reshape(shape)
    try:
        if tensor.check is not None:
            array = tensor.check.accepted(array)
    except InvalidInput:
        return None
    return array


def can_be_blocks(contract: ModelContract, tensors: Sequence[InputTensor]) -> bool:
    """Return whether plain requests for this model version can be blocks of bytes.

    The model has one input of numbers, a row of which has a fixed shape, and numeric outputs.
    """
    tensor = tensors[0]
    return (
        len(tensors) == 1
        and tensor.type.kind in _NUMBERS
        and -1 not in tensor.spec.row_shape
        and all(spec.type.kind != "bytes" for spec in contract.outputs)
    )
