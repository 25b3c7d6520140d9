"""Tensor blocks: what arrays become on the wire, and which blocks are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bridge.contract.datatype import DATATYPES
from bridge.wire.block import BLOCK_DTYPES, from_block, to_block
from bridge.wire.frame import MalformedFrame, Tensor


def block(datatype: str, row_shape: tuple[int, ...], data: bytes | list[Any]) -> Tensor:
    return Tensor("x", datatype, row_shape, memoryview(data) if isinstance(data, bytes) else data)


def test_the_wire_knows_the_datatypes_of_the_contract() -> None:
    assert {name: datatype.dtype for name, datatype in DATATYPES.items()} == BLOCK_DTYPES


@pytest.mark.parametrize("datatype", [name for name in BLOCK_DTYPES if name != "BYTES"])
def test_a_block_is_little_endian_whatever_the_machine(datatype: str) -> None:
    array = np.array([[0], [1]], dtype=BLOCK_DTYPES[datatype])
    expected = array.astype(array.dtype.newbyteorder("<")).tobytes()
    assert bytes(to_block("x", [array]).data) == expected


def test_the_parts_of_a_block_follow_each_other() -> None:
    parts = [np.array([[1, 2]], "<i2"), np.array([[3, 4], [5, 6]], "<i2")]
    whole = to_block("x", parts)
    assert (whole.datatype, whole.row_shape) == ("INT16", (2,))
    assert bytes(whole.data) == bytes((1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0))


def test_an_array_that_is_not_contiguous_is_sent_in_row_order() -> None:
    columns_first = np.asfortranarray(np.array([[1, 2], [3, 4]], "u1"))
    assert bytes(to_block("x", [columns_first]).data) == bytes((1, 2, 3, 4))


def test_a_view_of_every_other_row_is_sent_without_the_others() -> None:
    rows = np.arange(6, dtype="u1").reshape(6, 1)
    assert bytes(to_block("x", [rows[::2]]).data) == bytes((0, 2, 4))


def test_an_array_of_numbers_is_sent_without_a_copy() -> None:
    array = np.arange(4, dtype="<i8").reshape(2, 2)
    sent = np.frombuffer(to_block("x", [array]).data, "<i8")
    assert np.shares_memory(sent, array)


def test_a_block_is_received_without_a_copy_and_read_only() -> None:
    data = np.arange(4, dtype="<f4").tobytes()
    array = from_block(block("FP32", (2,), data), 2)
    assert np.shares_memory(array, np.frombuffer(data, "<f4"))
    assert not array.flags.writeable


def test_text_keeps_its_kind_str_or_bytes() -> None:
    array = from_block(block("BYTES", (), ["text", b"\xff raw"]), 2)
    assert array.tolist() == ["text", b"\xff raw"]


@pytest.mark.parametrize(
    ("tensor", "rows"),
    [
        (block("FP32", (2,), bytes(15)), 2),
        (block("FP32", (2,), bytes(17)), 2),
        (block("FP32", (2,), bytes(16)), 1),
        (block("FP32", (2,), bytes(16)), 3),
        (block("FP32", (2,), bytes(7)), 1),
        (block("FP32", (2**40, 2**40), bytes(16)), 2**31),
        (block("UINT8", (), b""), 1),
        (block("UINT8", (0, 2**40), b""), 2**31),
        (block("BYTES", (2,), ["a", "b", "c"]), 2),
        (block("BYTES", (), []), 1),
    ],
)
def test_a_block_that_does_not_hold_its_rows_is_malformed(tensor: Tensor, rows: int) -> None:
    with pytest.raises(MalformedFrame, match="not of shape"):
        from_block(tensor, rows)


@pytest.mark.parametrize(
    "tensor",
    [
        block("FP128", (1,), bytes(16)),
        block("", (1,), bytes(16)),
        block("FP32", (1,), ["1.5"]),
        block("BYTES", (1,), b"text"),
        block("BYTES", (1,), [1]),
        block("BYTES", (1,), [None]),
        block("BYTES", (1,), [["nested"]]),
    ],
)
def test_a_block_that_is_not_of_its_datatype_is_malformed(tensor: Tensor) -> None:
    with pytest.raises(MalformedFrame):
        from_block(tensor, 1)


def test_rows_without_elements_need_no_bytes() -> None:
    assert from_block(block("INT32", (0,), b""), 3).shape == (3, 0)


@pytest.mark.parametrize("rows", [0, 3])
def test_arrays_without_elements_can_be_sent(rows: int) -> None:
    empty = np.empty((rows, 0), "<f8")
    assert from_block(to_block("x", [empty]), rows).shape == (rows, 0)
