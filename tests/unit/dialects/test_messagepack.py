"""MessagePack bodies: the V2 structure with tensors as raw bytes."""

from __future__ import annotations

import time
import tracemalloc
from typing import Any

import msgspec
import numpy as np
import pytest

from bridge.contract.invalid import InvalidCode
from bridge.gateway.dialects.call import InferCall
from bridge.gateway.dialects.door import Door
from tests.unit.dialects.doors import (
    BYTES,
    PAIR,
    RANGED,
    TWO_INPUTS,
    door,
    of_type,
    refusal,
    spec,
    tensor,
)

TYPE = "application/msgpack"
X = np.array([[1.5, -0.0], [np.nan, np.inf]], np.float32)
GOOD = tensor(X.tobytes(), shape=[2, 2])
pack = msgspec.msgpack.encode


def request(*inputs: dict[str, Any], **more: Any) -> bytes:
    return pack({"inputs": inputs, **more})


def parse(body: bytes, at: Door = PAIR) -> InferCall:
    return at.parse(TYPE, None, body)


def code(body: bytes, at: Door = PAIR) -> InvalidCode:
    return refusal(at, body, content_type=TYPE).code


@pytest.mark.parametrize("padding", range(8))
def test_raw_bytes_become_the_tensor_bit_by_bit(padding: int) -> None:
    call = parse(request(GOOD, id="x" * padding))
    array = call.tensors["x"]
    assert (array.tobytes(), array.dtype, array.flags.aligned) == (X.tobytes(), X.dtype, True)


@pytest.mark.parametrize("items", [["a", "é", ""], [b"a", "é".encode(), b""]])
def test_text_may_be_str_or_bin(items: list[Any]) -> None:
    body = request(tensor(items, name="text", datatype="BYTES", shape=[3]))
    assert parse(body, BYTES).tensors["text"].tolist() == ["a", "é", ""]


def test_fp16_is_carried() -> None:
    half = np.array([[1.5]], np.float16)
    body = request(tensor(half.tobytes(), datatype="FP16", shape=[1, 1]))
    assert parse(body, of_type("FP16")).tensors["x"].tolist() == [[1.5]]


def test_options_are_understood() -> None:
    options = {"timeout": 250_000, "priority": 2, "binary_data_output": False}
    body = request(GOOD, id="7", parameters=options, outputs=[{"name": "label"}])
    call = parse(body)
    assert (call.id, call.timeout_s, call.priority, call.form, len(call.outputs)) == (
        "7",
        0.25,
        2,
        "messagepack",
        1,
    )


@pytest.mark.parametrize("key", ["id", "parameters", "outputs", "model_name"])
def test_nil_stands_for_an_absent_key(key: str) -> None:
    assert parse(request(GOOD, **{key: None})).id is None


def test_maps_may_be_written_the_long_way() -> None:
    short = request(GOOD)
    assert (short[0], parse(b"\xdf\x00\x00\x00\x01" + short[1:]).rows) == (0x81, 2)
    assert parse(b"\xde\x00\x01" + short[1:]).rows == 2


def test_a_fp16_output_may_be_wanted_without_binary_data() -> None:
    at = door(spec("x", "FP32", -1, 2), outputs=(spec("y", "FP16", -1),))
    wish = [{"name": "y", "parameters": {"binary_data": False}}]
    assert parse(request(GOOD, outputs=wish), at).outputs[0].binary


REFUSED: dict[str, tuple[Door, bytes, InvalidCode]] = {
    "empty": (PAIR, b"", InvalidCode.BAD_MESSAGEPACK),
    "nil": (PAIR, b"\xc0", InvalidCode.SCHEMA),
    "array": (PAIR, pack([]), InvalidCode.SCHEMA),
    "a number": (PAIR, b"\x01", InvalidCode.SCHEMA),
    "JSON": (PAIR, b'{"inputs":[]}', InvalidCode.SCHEMA),
    "unused opcode": (PAIR, b"\xc1", InvalidCode.BAD_MESSAGEPACK),
    "cut": (PAIR, request(GOOD)[:-1], InvalidCode.BAD_MESSAGEPACK),
    "trailing bytes": (PAIR, request(GOOD) + b"\xc0", InvalidCode.BAD_MESSAGEPACK),
    "text that is not UTF-8": (
        PAIR,
        request(GOOD, id="ab").replace(b"\xa2ab", b"\xa2\xffb"),
        InvalidCode.BAD_MESSAGEPACK,
    ),
    "deep": (PAIR, b"\x91" * 100_000, InvalidCode.SCHEMA),
    "deep data": (
        PAIR,
        request(tensor(b"", shape=[2, 2])).replace(b"\xc4\x00", b"\x91" * 100_000),
        InvalidCode.TOO_DEEP,
    ),
    "unknown key": (PAIR, request(GOOD, extra=1), InvalidCode.UNKNOWN_KEY),
    "unknown key of an input": (PAIR, request({**GOOD, "extra": 1}), InvalidCode.UNKNOWN_KEY),
    "no inputs": (PAIR, pack({}), InvalidCode.SCHEMA),
    "key of another type": (PAIR, pack({1: 2}), InvalidCode.SCHEMA),
    "missing input": (PAIR, request(), InvalidCode.MISSING),
    "unknown input": (PAIR, request(tensor(b"", name="z")), InvalidCode.UNKNOWN_NAME),
    "input twice": (PAIR, request(GOOD, GOOD), InvalidCode.DUPLICATE_NAME),
    "unknown output": (PAIR, request(GOOD, outputs=[{"name": "z"}]), InvalidCode.UNKNOWN_NAME),
    "id": (PAIR, request(GOOD, id=1), InvalidCode.BAD_ID),
    "id with a line end": (PAIR, request(GOOD, id="a\nb"), InvalidCode.BAD_ID),
    "parameter": (PAIR, request(GOOD, parameters={"a": []}), InvalidCode.BAD_PARAMETER),
    "priority": (PAIR, request(GOOD, parameters={"priority": -1}), InvalidCode.BAD_PARAMETER),
    "timeout of 0": (PAIR, request(GOOD, parameters={"timeout": 0}), InvalidCode.BAD_DEADLINE),
    "timeout NaN": (
        PAIR,
        request(GOOD, parameters={"timeout": float("nan")}),
        InvalidCode.BAD_DEADLINE,
    ),
    "timeout infinite": (
        PAIR,
        request(GOOD, parameters={"timeout": float("inf")}),
        InvalidCode.BAD_DEADLINE,
    ),
    "datatype": (
        PAIR,
        request(tensor(X.tobytes(), datatype="FP64", shape=[2, 2])),
        InvalidCode.WRONG_DTYPE,
    ),
    "shape": (PAIR, request(tensor(X.tobytes(), shape=[4])), InvalidCode.WRONG_SHAPE),
    "shape of another type": (
        PAIR,
        request(tensor(X.tobytes(), shape="4")),
        InvalidCode.WRONG_SHAPE,
    ),
    "size": (
        PAIR,
        request(tensor(X.tobytes(), shape=[1, 2])),
        InvalidCode.SHAPE_DATA_MISMATCH,
    ),
    "numbers instead of bytes": (PAIR, request(tensor([1.5, 2.5])), InvalidCode.WRONG_TYPE),
    "text instead of bytes": (PAIR, request(tensor("12345678")), InvalidCode.WRONG_TYPE),
    "extension type": (
        PAIR,
        request(tensor(msgspec.msgpack.Ext(1, b"12345678"))),
        InvalidCode.WRONG_TYPE,
    ),
    "timestamp": (PAIR, request(GOOD, id=msgspec.msgpack.Ext(-1, b"1234")), InvalidCode.BAD_ID),
    "bytes instead of text": (
        BYTES,
        request(tensor(b"abc", name="text", datatype="BYTES", shape=[1])),
        InvalidCode.WRONG_TYPE,
    ),
    "text and bytes mixed": (
        BYTES,
        request(tensor(["a", b"b"], name="text", datatype="BYTES", shape=[2])),
        InvalidCode.WRONG_TYPE,
    ),
    "bytes that are not UTF-8": (
        BYTES,
        request(tensor([b"\xff"], name="text", datatype="BYTES", shape=[1])),
        InvalidCode.WRONG_TYPE,
    ),
    "text element that is not UTF-8": (
        BYTES,
        request(tensor(["ab"], name="text", datatype="BYTES", shape=[1])).replace(
            b"\xa2ab", b"\xa2\xffb"
        ),
        InvalidCode.WRONG_TYPE,
    ),
    "fewer texts": (
        BYTES,
        request(tensor(["a"], name="text", datatype="BYTES", shape=[2])),
        InvalidCode.SHAPE_DATA_MISMATCH,
    ),
    "value range": (
        RANGED,
        request(tensor(np.array([121, 1], "<f4").tobytes())),
        InvalidCode.VALUE_RANGE,
    ),
    "rows differ": (
        TWO_INPUTS,
        request(
            tensor(b"\x00" * 4, name="a", shape=[1, 1]),
            tensor(b"\x00" * 16, name="b", datatype="INT64", shape=[2]),
        ),
        InvalidCode.WRONG_SHAPE,
    ),
}


@pytest.mark.parametrize(("at", "body", "expected"), REFUSED.values(), ids=REFUSED.keys())
def test_a_wrong_body_is_refused(at: Door, body: bytes, expected: InvalidCode) -> None:
    assert code(body, at) is expected


def repeated(document: dict[str, Any], key: str) -> bytes:
    """The document as MessagePack, with one key written a second time at its end."""
    encoded = pack(document)
    return bytes([encoded[0] + 1]) + encoded[1:] + pack(key) + pack(document[key])


@pytest.mark.parametrize("key", ["inputs", "id"])
def test_a_repeated_key_is_refused(key: str) -> None:
    assert code(repeated({"inputs": [GOOD], "id": "a"}, key)) is InvalidCode.DUPLICATE_KEY


@pytest.mark.parametrize("key", ["name", "shape", "data"])
def test_a_repeated_key_of_an_input_is_refused(key: str) -> None:
    body = b"\x81" + pack("inputs") + b"\x91" + repeated(GOOD, key)
    assert code(body) is InvalidCode.DUPLICATE_KEY


def test_a_repeated_parameter_is_refused() -> None:
    body = b"\x82" + request(GOOD)[1:] + pack("parameters") + repeated({"a": 1}, "a")
    assert code(body) is InvalidCode.DUPLICATE_KEY


def test_the_inference_header_does_not_go_with_messagepack() -> None:
    refused = refusal(PAIR, request(GOOD), content_type=TYPE, header_length=10)
    assert refused.code is InvalidCode.BAD_BINARY


_REST = b"\x00" * 150
BOMBS = {
    "array": b"\xdd\xff\xff\xff\xff",
    "map": b"\xdf\xff\xff\xff\xff",
    "text": b"\xdb\xff\xff\xff\xff",
    "bin": b"\xc6\xff\xff\xff\xff",
    "ext": b"\xc9\xff\xff\xff\xff\x01",
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
@pytest.mark.parametrize(
    "place",
    [
        b"",
        b"\x81\xa6inputs",
        b"\x81\xa6inputs\x91\x81\xa4data",
        b"\x81\xa6inputs\x91\x81\xa5shape",
        b"\x81\xaaparameters",
        b"\x81\xaaparameters\x81\xa1a",
        b"\x81\xa7outputs",
    ],
)
def test_a_bomb_costs_neither_memory_nor_time(bomb: bytes, place: bytes) -> None:
    body = place + bomb + _REST
    tracemalloc.start()
    before_s = time.thread_time()  # which other processes on the machine do not lengthen
    code(body)
    took_s = time.thread_time() - before_s
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (peak_bytes < 10_000_000, took_s < 0.1) == (True, True)
