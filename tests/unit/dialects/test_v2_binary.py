"""The binary tensor data extension: blocks after the JSON, and bodies that are one raw tensor."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import orjson
import pytest

from bridge.contract.invalid import InvalidCode
from bridge.contract.model import ValueRules
from bridge.gateway.dialects.call import InferCall
from bridge.gateway.dialects.door import Door
from tests.unit.dialects.doors import (
    BYTES,
    PAIR,
    RANGED,
    TWO_INPUTS,
    VARIABLE,
    door,
    of_type,
    refusal,
    spec,
)


def block(name: str, datatype: str, shape: list[int], size: Any, **more: Any) -> dict[str, Any]:
    parameters = {"binary_data_size": size}
    return {
        "name": name,
        "shape": shape,
        "datatype": datatype,
        "parameters": parameters,
        **more,
    }


def texts(*items: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(item)) + item for item in items)


def head(*inputs: dict[str, Any], **more: Any) -> bytes:
    return orjson.dumps({"inputs": inputs, **more})


def parse(at: Door, text: bytes, data: bytes) -> InferCall:
    return at.parse("application/octet-stream", len(text), text + data)


def code(at: Door, text: bytes, data: bytes) -> InvalidCode:
    return refusal(
        at, text + data, content_type="application/octet-stream", header_length=len(text)
    ).code


X = np.array([[1.5, -0.0], [np.nan, np.inf]], np.float32)
HEAD = head(block("x", "FP32", [2, 2], 16))


def test_a_block_becomes_the_tensor_bit_by_bit() -> None:
    array = parse(PAIR, HEAD, X.tobytes()).tensors["x"]
    assert (array.tobytes(), array.dtype, array.shape) == (X.tobytes(), X.dtype, (2, 2))


@pytest.mark.parametrize("padding", range(8))
def test_a_tensor_is_aligned_wherever_its_block_begins(padding: int) -> None:
    text = HEAD + b" " * padding
    array = parse(PAIR, text, X.tobytes()).tensors["x"]
    assert (array.flags.aligned, array.tobytes()) == (True, X.tobytes())


def test_an_aligned_block_is_not_copied() -> None:
    text = HEAD + b" " * (-len(HEAD) % 16)
    body = text + X.tobytes()
    array = PAIR.parse("application/octet-stream", len(text), body).tensors["x"]
    assert np.shares_memory(array, np.frombuffer(body, np.uint8))


def test_blocks_follow_in_the_order_of_the_inputs() -> None:
    text = head(block("b", "INT64", [2], 16), block("a", "FP32", [2, 1], 8))
    call = parse(TWO_INPUTS, text, np.array([7, 8]).tobytes() + np.array([1, 2], "<f4").tobytes())
    assert {name: array.ravel().tolist() for name, array in call.tensors.items()} == {
        "a": [1, 2],
        "b": [7, 8],
    }


def test_json_and_binary_inputs_may_be_mixed() -> None:
    inline = {"name": "a", "shape": [1, 1], "datatype": "FP32", "data": [3]}
    text = head(inline, block("b", "INT64", [1], 8))
    call = parse(TWO_INPUTS, text, np.array([7]).tobytes())
    assert [array.ravel().tolist() for array in call.tensors.values()] == [[3], [7]]


def test_all_inputs_may_be_json_although_the_header_is_there() -> None:
    inline = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [3, 4]}
    assert parse(PAIR, head(inline), b"").rows == 1


def test_without_wishes_the_outputs_are_json() -> None:
    assert parse(PAIR, HEAD, X.tobytes()).form == "json"


def test_binary_data_output_asks_for_all_outputs_as_blocks() -> None:
    text = head(block("x", "FP32", [2, 2], 16), parameters={"binary_data_output": True})
    call = parse(PAIR, text, X.tobytes())
    assert (call.form, [output.binary for output in call.outputs]) == ("binary", [True, True])


@pytest.mark.parametrize(
    ("datatype", "values"),
    [
        ("BOOL", [True, False]),
        ("UINT8", [0, 255]),
        ("UINT16", [0, 65535]),
        ("UINT32", [0, 2**32 - 1]),
        ("UINT64", [0, 2**64 - 1]),
        ("INT8", [-128, 127]),
        ("INT16", [-(2**15), 2**15 - 1]),
        ("INT32", [-(2**31), 2**31 - 1]),
        ("INT64", [-(2**63), 2**63 - 1]),
        ("FP16", [-1.5, 65504.0]),
        ("FP32", [0.5, -2.0]),
        ("FP64", [5e-324, 1.7976931348623157e308]),
    ],
)
def test_every_datatype_of_fixed_size_is_read(datatype: str, values: list[Any]) -> None:
    at = of_type(datatype)
    dtype = spec("x", datatype, -1).type.dtype
    data = np.array(values, dtype).tobytes()
    call = parse(at, head(block("x", datatype, [2, 1], len(data))), data)
    assert call.tensors["x"].ravel().tolist() == values


@pytest.mark.parametrize("items", [[b""], [b"a", b"", "é😀".encode()], [b"\x00"], [b"x" * 70_000]])
def test_text_is_read(items: list[bytes]) -> None:
    data = texts(*items)
    text = head(block("text", "BYTES", [len(items)], len(data)))
    assert parse(BYTES, text, data).tensors["text"].tolist() == [item.decode() for item in items]


FOUR = X.tobytes()
REFUSED: dict[str, tuple[Door, bytes, bytes, InvalidCode]] = {
    "no data": (PAIR, HEAD, b"", InvalidCode.BAD_BINARY),
    "a byte too few": (PAIR, HEAD, FOUR[:-1], InvalidCode.BAD_BINARY),
    "a byte too many": (PAIR, HEAD, FOUR + b"\x00", InvalidCode.BAD_BINARY),
    "size of fewer values": (
        PAIR,
        head(block("x", "FP32", [2, 2], 12)),
        FOUR[:12],
        InvalidCode.SHAPE_DATA_MISMATCH,
    ),
    "size of more values": (
        PAIR,
        head(block("x", "FP32", [1, 2], 16)),
        FOUR,
        InvalidCode.SHAPE_DATA_MISMATCH,
    ),
    "size is 0": (PAIR, head(block("x", "FP32", [2, 2], 0)), b"", InvalidCode.SHAPE_DATA_MISMATCH),
    "size is negative": (
        PAIR,
        head(block("x", "FP32", [2, 2], -16)),
        FOUR,
        InvalidCode.BAD_PARAMETER,
    ),
    "size is huge": (
        PAIR,
        head(block("x", "FP32", [2, 2], 2**62)),
        FOUR,
        InvalidCode.BAD_BINARY,
    ),
    "size is a fraction": (
        PAIR,
        head(block("x", "FP32", [2, 2], 16.0)),
        FOUR,
        InvalidCode.BAD_PARAMETER,
    ),
    "size is text": (
        PAIR,
        head(block("x", "FP32", [2, 2], "16")),
        FOUR,
        InvalidCode.BAD_PARAMETER,
    ),
    "size is true": (
        of_type("BOOL"),
        head(block("x", "BOOL", [1, 1], True)),
        b"\x01",
        InvalidCode.BAD_PARAMETER,
    ),
    "data beside size": (
        PAIR,
        head(block("x", "FP32", [2, 2], 16, data=[1, 2, 3, 4])),
        FOUR,
        InvalidCode.BAD_BINARY,
    ),
    "neither data nor size": (
        PAIR,
        head({"name": "x", "shape": [2, 2], "datatype": "FP32"}),
        FOUR,
        InvalidCode.SCHEMA,
    ),
    "a huge shape": (
        VARIABLE,
        head(block("x", "FP64", [100, 2**31 - 1], 16)),
        FOUR,
        InvalidCode.SHAPE_DATA_MISMATCH,
    ),
    "a BOOL of 2": (
        of_type("BOOL"),
        head(block("x", "BOOL", [2, 1], 2)),
        b"\x01\x02",
        InvalidCode.WRONG_TYPE,
    ),
    "text that claims 4 GB": (
        BYTES,
        head(block("text", "BYTES", [1], 4)),
        b"\xff\xff\xff\xff",
        InvalidCode.BAD_BINARY,
    ),
    "text one byte short": (
        BYTES,
        head(block("text", "BYTES", [1], 6)),
        b"\x03\x00\x00\x00ab",
        InvalidCode.BAD_BINARY,
    ),
    "text with a cut length": (
        BYTES,
        head(block("text", "BYTES", [2], 8)),
        b"\x01\x00\x00\x00a\x01\x00\x00",
        InvalidCode.BAD_BINARY,
    ),
    "fewer texts than the shape": (
        BYTES,
        head(block("text", "BYTES", [3], 10)),
        texts(b"a", b"b"),
        InvalidCode.SHAPE_DATA_MISMATCH,
    ),
    "more texts than the shape": (
        BYTES,
        head(block("text", "BYTES", [1], 10)),
        texts(b"a", b"b"),
        InvalidCode.SHAPE_DATA_MISMATCH,
    ),
    "far more texts claimed than there are bytes": (
        door(spec("text", "BYTES", -1, -1)),
        head(block("text", "BYTES", [100, 2**31 - 1], 5)),
        texts(b"a"),
        InvalidCode.SHAPE_DATA_MISMATCH,
    ),
    "text that is not UTF-8": (
        BYTES,
        head(block("text", "BYTES", [1], 5)),
        texts(b"\xff"),
        InvalidCode.WRONG_TYPE,
    ),
    "a value out of range": (
        RANGED,
        head(block("x", "FP32", [1, 2], 8)),
        np.array([121, 1], "<f4").tobytes(),
        InvalidCode.VALUE_RANGE,
    ),
    "JSON that is none": (PAIR, b'{"inputs":', FOUR, InvalidCode.BAD_JSON),
    "a repeated key": (
        PAIR,
        b'{"id":"a","id":"a",' + HEAD[1:],
        FOUR,
        InvalidCode.DUPLICATE_KEY,
    ),
}


@pytest.mark.parametrize(("at", "text", "data", "expected"), REFUSED.values(), ids=REFUSED.keys())
def test_a_wrong_block_is_refused(
    at: Door, text: bytes, data: bytes, expected: InvalidCode
) -> None:
    assert code(at, text, data) is expected


@pytest.mark.parametrize("length", [-1, 10**9, len(HEAD) + 17])
def test_a_header_length_outside_of_the_body_is_refused(length: int) -> None:
    refused = refusal(PAIR, HEAD + FOUR, content_type=None, header_length=length)
    assert refused.code is InvalidCode.BAD_BINARY


@pytest.mark.parametrize("length", [1, len(HEAD) - 1, len(HEAD) + 1])
def test_a_header_length_that_cuts_elsewhere_is_refused(length: int) -> None:
    refused = refusal(PAIR, HEAD + FOUR, content_type=None, header_length=length)
    assert refused.code is InvalidCode.BAD_JSON


def test_binary_data_without_the_header_is_refused() -> None:
    assert refusal(PAIR, HEAD, header_length=None).code is InvalidCode.BAD_BINARY


def test_a_nan_passes_where_nothing_is_said_about_nulls() -> None:
    at = door(spec("x", "FP32", -1))
    data = np.array([np.nan], np.float32).tobytes()
    assert parse(at, head(block("x", "FP32", [1], 4)), data).rows == 1


def test_a_nan_is_refused_where_nulls_are() -> None:
    at = door(spec("x", "FP32", -1, rules=ValueRules(nulls="refuse")))
    data = np.array([np.nan], np.float32).tobytes()
    assert code(at, head(block("x", "FP32", [1], 4)), data) is InvalidCode.NULL_VALUE


RAW: list[tuple[Door, bytes, tuple[int, ...]]] = [
    (PAIR, FOUR[:8], (1, 2)),
    (VARIABLE, b"\x00" * 24, (1, 3)),
    (door(spec("x", "FP32", -1)), FOUR[:4], (1,)),
    (door(spec("x", "FP32", -1, 2, -1)), FOUR, (1, 2, 2)),
    (BYTES, texts(b"abc"), (1,)),
    (door(spec("x", "BYTES", -1, -1)), texts(b"abc", b"", b"d"), (1, 3)),
]


@pytest.mark.parametrize(("at", "body", "shape"), RAW)
def test_a_raw_body_is_one_row(at: Door, body: bytes, shape: tuple[int, ...]) -> None:
    call = at.parse("application/octet-stream", 0, body)
    assert (call.rows, [array.shape for array in call.tensors.values()], call.form) == (
        1,
        [shape],
        "binary",
    )


def test_after_a_raw_body_all_outputs_are_binary() -> None:
    call = PAIR.parse(None, 0, FOUR[:8])
    assert [(output.name, output.binary) for output in call.outputs] == [
        ("y", True),
        ("label", True),
    ]


RAW_REFUSED: list[tuple[Door, bytes, InvalidCode]] = [
    (PAIR, b"", InvalidCode.EMPTY),
    (PAIR, FOUR, InvalidCode.SHAPE_DATA_MISMATCH),
    (PAIR, FOUR[:7], InvalidCode.SHAPE_DATA_MISMATCH),
    (VARIABLE, b"\x00" * 7, InvalidCode.SHAPE_DATA_MISMATCH),
    (VARIABLE, b"\x00" * 12, InvalidCode.SHAPE_DATA_MISMATCH),
    (door(spec("x", "FP32", -1, 2, -1)), FOUR[:12], InvalidCode.SHAPE_DATA_MISMATCH),
    (door(spec("x", "FP32", -1, -1, -1)), FOUR, InvalidCode.WRONG_SHAPE),
    (TWO_INPUTS, FOUR, InvalidCode.BAD_BINARY),
    (BYTES, texts(b"a", b"b"), InvalidCode.SHAPE_DATA_MISMATCH),
    (BYTES, b"abc", InvalidCode.SHAPE_DATA_MISMATCH),
    (door(spec("x", "BYTES", -1, -1)), b"\xff\xff\xff\xff", InvalidCode.BAD_BINARY),
    (RANGED, np.array([-5, 1], "<f4").tobytes(), InvalidCode.VALUE_RANGE),
]


@pytest.mark.parametrize(("at", "body", "expected"), RAW_REFUSED)
def test_a_wrong_raw_body_is_refused(at: Door, body: bytes, expected: InvalidCode) -> None:
    assert refusal(at, body, content_type=None, header_length=0).code is expected
