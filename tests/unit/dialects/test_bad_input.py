"""Rows B5 to B28 of the bad-input table, as JSON: each case and the code it gets."""

from __future__ import annotations

import re
import time
from typing import Any

import orjson
import pytest

from bridge.contract.invalid import InvalidCode
from bridge.gateway.dialects.door import Door
from tests.unit.dialects.doors import (
    BYTES,
    PAIR,
    RANGED,
    TWO_INPUTS,
    VARIABLE,
    code,
    door,
    of_type,
    parse,
    refusal,
    request,
    spec,
    tensor,
    with_data,
)

GOOD = tensor([[1.0, 2.0]])


def one(text: bytes, datatype: str) -> bytes:
    """A request whose only value is the literal `text`."""
    return with_data(b"[" + text + b"]", datatype=datatype, shape="[1,1]")


NUMBER_RANGE = [
    ("FP64", b"1e400"),
    ("FP64", b"-1e400"),
    ("FP32", b"1e400"),
    ("FP32", b"1e39"),
    ("FP32", b"-1e39"),
    ("FP32", b"3.4028236e38"),
    ("INT64", b"9223372036854775808"),
    ("INT64", b"-9223372036854775809"),
    ("UINT64", b"18446744073709551616"),
    ("UINT64", b"-1"),
    ("INT32", b"2147483648"),
    ("UINT32", b"-1"),
    ("INT16", b"32768"),
    ("UINT16", b"65536"),
    ("INT8", b"128"),
    ("INT8", b"-129"),
    ("UINT8", b"256"),
    ("UINT8", b"-1"),
    ("INT64", b"1" + b"0" * 30),
    ("INT64", b"1" * 4_000),
    ("INT64", b"1" * 5_000),
    ("FP32", b"1" * 5_000),
    ("FP64", b"1" * 5_000),
]

WRONG_TYPE = [
    ("INT64", b"1.5"),
    ("INT64", b"1.0"),
    ("INT64", b"1e2"),
    ("INT64", b"true"),
    ("INT64", b'"1"'),
    ("INT64", b"null"),
    ("FP32", b"true"),
    ("FP32", b"false"),
    ("FP32", b'"1"'),
    ("FP32", b'"NaN"'),
    ("FP32", b"null"),
    ("FP32", b"{}"),
    ("FP32", b'{"a":1}'),
    ("BOOL", b"0"),
    ("BOOL", b"1"),
    ("BOOL", b'"true"'),
    ("BOOL", b"null"),
    ("BYTES", b"1"),
    ("BYTES", b"null"),
    ("BYTES", b"{}"),
    ("BYTES", b"true"),
]


@pytest.mark.parametrize(("datatype", "text"), NUMBER_RANGE)
def test_a_number_outside_the_datatype_is_refused(datatype: str, text: bytes) -> None:
    assert code(one(text, datatype), of_type(datatype)) is InvalidCode.NUMBER_RANGE


@pytest.mark.parametrize(("datatype", "text"), WRONG_TYPE)
def test_a_value_of_another_type_is_refused(datatype: str, text: bytes) -> None:
    assert code(one(text, datatype), of_type(datatype)) is InvalidCode.WRONG_TYPE


@pytest.mark.parametrize("text", [b"null", b"{}", b"1", b'"1"', b"true", b'{"data":[1,2]}'])
def test_data_that_is_no_array_is_refused(text: bytes) -> None:
    assert code(with_data(text)) is InvalidCode.WRONG_TYPE


@pytest.mark.parametrize("depth", [33, 120, 900, 100_000])
@pytest.mark.parametrize("key", ["data", "unknown"])
def test_what_is_nested_too_deeply_is_refused(depth: int, key: str) -> None:
    nested = b"[" * depth + b"]" * depth
    body = request(GOOD).replace(b'"data":[[1.0,2.0]]', b'"%s":%s' % (key.encode(), nested))
    assert code(body) is InvalidCode.TOO_DEEP


@pytest.mark.parametrize("text", [b"[" * 100_000, b'{"a":' * 100_000, b'[{"":' * 50_000])
def test_what_only_opens_is_too_deep(text: bytes) -> None:
    assert code(text) is InvalidCode.TOO_DEEP


def test_brackets_inside_of_text_are_no_depth() -> None:
    body = request(tensor([["[" * 99 + '\\"' + "{" * 99, 1]]))
    assert code(body) is InvalidCode.WRONG_TYPE


DUPLICATE_KEYS = {
    "top level": b'{"id":"a","id":"b","inputs":[%s]}',
    "inputs": b'{"inputs":[],"inputs":[%s]}',
    "escaped key": b'{"id":"a","\\u0069d":"b","inputs":[%s]}',
    "colons in the texts": b'{"id":"a:b","id":"b","inputs":[%s]}',
    "as many colons hidden as doubled": b'{"id":"a\\u003ab","id":"a\\u003ab","inputs":[%s]}',
    "escaped quotes": b'{"id":"\\":\\"","id":"\\\\","inputs":[%s]}',
    "parameters": b'{"parameters":{"a":1,"a":1},"inputs":[%s]}',
    "parameters with colons": b'{"parameters":{"a:":":","a:":":"},"inputs":[%s]}',
    "null and a value": b'{"parameters":null,"parameters":{},"inputs":[%s]}',
}


@pytest.mark.parametrize("template", DUPLICATE_KEYS.values(), ids=DUPLICATE_KEYS.keys())
def test_a_repeated_key_is_refused(template: bytes) -> None:
    assert code(template % orjson.dumps(GOOD)) is InvalidCode.DUPLICATE_KEY


@pytest.mark.parametrize(
    "inner",
    [
        b'"name":"x","name":"x","shape":[1,2],"datatype":"FP32","data":[1,2]',
        b'"name":"x","shape":[9,9],"shape":[1,2],"datatype":"FP32","data":[1,2]',
        b'"name":"x","shape":[1,2],"datatype":"FP32","data":[3,4],"data":[1,2]',
        b'"name":"x","shape":[1,2],"datatype":"FP32","parameters":{"a":1,"a":2},"data":[1,2]',
    ],
)
def test_a_repeated_key_in_an_input_is_refused(inner: bytes) -> None:
    assert code(b'{"inputs":[{' + inner + b"}]}") is InvalidCode.DUPLICATE_KEY


def test_a_repeated_key_in_a_text_input_is_refused() -> None:
    inner = b'"name":"text","shape":[1],"datatype":"BYTES","data":[":"],"data":["::"]'
    assert code(b'{"inputs":[{' + inner + b"}]}", BYTES) is InvalidCode.DUPLICATE_KEY


def test_a_repeated_key_in_an_output_is_refused() -> None:
    body = b'{"outputs":[{"name":"y","name":"y"}],"inputs":[' + orjson.dumps(GOOD) + b"]}"
    assert code(body) is InvalidCode.DUPLICATE_KEY


@pytest.mark.parametrize("text", ["a:b", ":::", '":', '\\":\\', '\\\\"', "{:}[:]", "é:", "\\u003a"])
def test_colons_and_escapes_in_texts_are_no_repeated_keys(text: str) -> None:
    parameters = {text: text, "more": text, "number": 1}
    assert parse(request(GOOD, id=text, parameters=parameters)).id == text


@pytest.mark.parametrize("text", ["12:30", '"', "\\", '\\":', '","data":[":'])
def test_colons_and_escapes_in_data_are_no_repeated_keys(text: str) -> None:
    item = tensor([text], name="text", datatype="BYTES", shape=[1])
    assert parse(request(item, id="a:b"), BYTES).tensors["text"].tolist() == [text]


NAMES: list[tuple[Door, bytes, InvalidCode]] = [
    (PAIR, request(GOOD, GOOD), InvalidCode.DUPLICATE_NAME),
    (PAIR, request(GOOD, outputs=[{"name": "y"}, {"name": "y"}]), InvalidCode.DUPLICATE_NAME),
    (PAIR, request(tensor([1, 2], name="z")), InvalidCode.UNKNOWN_NAME),
    (PAIR, request(tensor([1, 2], name="")), InvalidCode.UNKNOWN_NAME),
    (PAIR, request(tensor([1, 2], name="X")), InvalidCode.UNKNOWN_NAME),
    (PAIR, request(GOOD, tensor([1, 2], name="z")), InvalidCode.UNKNOWN_NAME),
    (PAIR, request(GOOD, outputs=[{"name": "z"}]), InvalidCode.UNKNOWN_NAME),
    (PAIR, request(), InvalidCode.MISSING),
    (TWO_INPUTS, request(tensor([1], name="a", shape=[1, 1])), InvalidCode.MISSING),
]


@pytest.mark.parametrize(("at", "body", "expected"), NAMES)
def test_names_must_be_those_of_the_contract_once_each(
    at: Door, body: bytes, expected: InvalidCode
) -> None:
    assert code(body, at) is expected


STRUCTURE: list[tuple[Any, InvalidCode]] = [
    ({"inputs": [GOOD], "extra": 1}, InvalidCode.UNKNOWN_KEY),
    ({"inputs": [GOOD], "Inputs": []}, InvalidCode.UNKNOWN_KEY),
    ({"inputs": [GOOD], "model_version": "1"}, InvalidCode.UNKNOWN_KEY),
    ({"inputs": [{**GOOD, "dtype": "FP32"}]}, InvalidCode.UNKNOWN_KEY),
    ({"inputs": [GOOD], "outputs": [{"name": "y", "shape": [1]}]}, InvalidCode.UNKNOWN_KEY),
    ({}, InvalidCode.SCHEMA),
    ({"instances": [[1, 2]]}, InvalidCode.UNKNOWN_KEY),
    ({"inputs": None}, InvalidCode.SCHEMA),
    ({"inputs": {}}, InvalidCode.SCHEMA),
    ({"inputs": [None]}, InvalidCode.SCHEMA),
    ({"inputs": [[]]}, InvalidCode.SCHEMA),
    ({"inputs": ["x"]}, InvalidCode.SCHEMA),
    ({"inputs": [GOOD], "outputs": {}}, InvalidCode.SCHEMA),
    ({"inputs": [GOOD], "outputs": ["y"]}, InvalidCode.SCHEMA),
    ({"inputs": [GOOD], "outputs": [{}]}, InvalidCode.SCHEMA),
    ({"inputs": [{**GOOD, "name": 1}]}, InvalidCode.SCHEMA),
    ({"inputs": [{**GOOD, "name": None}]}, InvalidCode.SCHEMA),
    ({"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32"}]}, InvalidCode.SCHEMA),
    ({"inputs": [{"shape": [1, 2], "datatype": "FP32", "data": []}]}, InvalidCode.SCHEMA),
    ({"inputs": [GOOD], "parameters": []}, InvalidCode.BAD_PARAMETER),
    ({"inputs": [GOOD], "parameters": "a"}, InvalidCode.BAD_PARAMETER),
    ({"inputs": [GOOD], "parameters": {"a": None}}, InvalidCode.BAD_PARAMETER),
    ({"inputs": [GOOD], "parameters": {"a": []}}, InvalidCode.BAD_PARAMETER),
    ({"inputs": [GOOD], "parameters": {"a": {}}}, InvalidCode.BAD_PARAMETER),
    ({"inputs": [{**GOOD, "parameters": {"a": []}}]}, InvalidCode.BAD_PARAMETER),
    (
        {"inputs": [GOOD], "parameters": {str(n): n for n in range(65)}},
        InvalidCode.BAD_PARAMETER,
    ),
    (
        {"inputs": [{**GOOD, "parameters": {"shared_memory_region": "r"}}]},
        InvalidCode.BAD_PARAMETER,
    ),
    (
        {"inputs": [GOOD], "outputs": [{"name": "y", "parameters": {"classification": 2}}]},
        InvalidCode.BAD_PARAMETER,
    ),
    (
        {"inputs": [GOOD], "outputs": [{"name": "y", "parameters": {"binary_data": 1}}]},
        InvalidCode.BAD_PARAMETER,
    ),
    ({"inputs": [GOOD], "parameters": {"binary_data_output": "yes"}}, InvalidCode.BAD_PARAMETER),
    ({"inputs": [GOOD], "parameters": {"priority": -1}}, InvalidCode.BAD_PARAMETER),
    ({"inputs": [GOOD], "parameters": {"priority": 65_536}}, InvalidCode.BAD_PARAMETER),
    ({"inputs": [GOOD], "parameters": {"priority": 1.5}}, InvalidCode.BAD_PARAMETER),
    ({"inputs": [GOOD], "parameters": {"priority": True}}, InvalidCode.BAD_PARAMETER),
    ({"inputs": [GOOD], "parameters": {"priority": "1"}}, InvalidCode.BAD_PARAMETER),
]


@pytest.mark.parametrize(("document", "expected"), STRUCTURE)
def test_the_structure_must_be_that_of_the_protocol(document: Any, expected: InvalidCode) -> None:
    assert code(orjson.dumps(document)) is expected


@pytest.mark.parametrize(
    "datatype", ["FP64", "fp32", "float32", "INT32", "BF16", "", "TYPE_FP32", "FP32 ", "FP16"]
)
def test_another_datatype_is_refused(datatype: str) -> None:
    assert code(request(tensor([1, 2], datatype=datatype))) is InvalidCode.WRONG_DTYPE


@pytest.mark.parametrize("datatype", [1, None, ["FP32"]])
def test_a_datatype_that_is_no_text_is_refused(datatype: Any) -> None:
    assert code(request(tensor([1, 2], datatype=datatype))) is InvalidCode.WRONG_DTYPE


def test_fp16_is_refused_in_json_input() -> None:
    refused = refusal(of_type("FP16"), one(b"1", "FP16"))
    assert (refused.code, "binary" in refused.message) == (InvalidCode.WRONG_DTYPE, True)


def test_fp16_is_refused_in_json_output() -> None:
    at = door(spec("x", "FP32", -1, 2), outputs=(spec("y", "FP16", -1),))
    assert code(request(GOOD), at) is InvalidCode.WRONG_DTYPE


SHAPES: list[tuple[Door, Any, InvalidCode]] = [
    (PAIR, [2], InvalidCode.WRONG_SHAPE),
    (PAIR, [], InvalidCode.WRONG_SHAPE),
    (PAIR, [1, 2, 1], InvalidCode.WRONG_SHAPE),
    (PAIR, [1, 3], InvalidCode.WRONG_SHAPE),
    (PAIR, [1, 1], InvalidCode.WRONG_SHAPE),
    (PAIR, [-1, 2], InvalidCode.WRONG_SHAPE),
    (PAIR, [1, -2], InvalidCode.WRONG_SHAPE),
    (PAIR, [-1, -2], InvalidCode.WRONG_SHAPE),
    (PAIR, [2**62, 2], InvalidCode.WRONG_SHAPE),
    (PAIR, [2**62, 2**62], InvalidCode.WRONG_SHAPE),
    (PAIR, [2**31, 2], InvalidCode.WRONG_SHAPE),
    (PAIR, [1.0, 2], InvalidCode.WRONG_SHAPE),
    (PAIR, ["1", 2], InvalidCode.WRONG_SHAPE),
    (PAIR, [True, 2], InvalidCode.WRONG_SHAPE),
    (PAIR, [None, 2], InvalidCode.WRONG_SHAPE),
    (PAIR, [[1], 2], InvalidCode.WRONG_SHAPE),
    (PAIR, None, InvalidCode.WRONG_SHAPE),
    (PAIR, {}, InvalidCode.WRONG_SHAPE),
    (PAIR, "1x2", InvalidCode.WRONG_SHAPE),
    (PAIR, [0, 2], InvalidCode.EMPTY),
    (PAIR, [1, 0], InvalidCode.EMPTY),
    (PAIR, [0, 0], InvalidCode.EMPTY),
    (PAIR, [101, 2], InvalidCode.TOO_MANY_ROWS),
    (PAIR, [2**31 - 1, 2], InvalidCode.TOO_MANY_ROWS),
    (PAIR, [2, 2], InvalidCode.SHAPE_DATA_MISMATCH),
    (VARIABLE, [1, 0], InvalidCode.EMPTY),
    (VARIABLE, [1, -1], InvalidCode.WRONG_SHAPE),
    (VARIABLE, [1], InvalidCode.WRONG_SHAPE),
    (VARIABLE, [1, 2**31], InvalidCode.WRONG_SHAPE),
    (VARIABLE, [1, 2**31 - 1], InvalidCode.SHAPE_DATA_MISMATCH),
    (VARIABLE, [100, 2**31 - 1], InvalidCode.SHAPE_DATA_MISMATCH),
    (VARIABLE, [101, 2], InvalidCode.TOO_MANY_ROWS),
    (BYTES, [], InvalidCode.WRONG_SHAPE),
]


@pytest.mark.parametrize(("at", "shape", "expected"), SHAPES)
def test_the_shape_must_be_that_of_the_contract(
    at: Door, shape: Any, expected: InvalidCode
) -> None:
    datatype = {id(VARIABLE): "FP64", id(BYTES): "BYTES"}.get(id(at), "FP32")
    name = "text" if at is BYTES else "x"
    item = tensor([1, 2], name=name, datatype=datatype, shape=shape)
    assert code(orjson.dumps({"inputs": [item]}), at) is expected


DATA: list[tuple[Any, InvalidCode]] = [
    ([], InvalidCode.SHAPE_DATA_MISMATCH),
    ([1, 2, 3], InvalidCode.SHAPE_DATA_MISMATCH),
    ([1, 2, 3, 4, 5], InvalidCode.SHAPE_DATA_MISMATCH),
    ([[1, 2]], InvalidCode.SHAPE_DATA_MISMATCH),
    ([[1, 2], [3, 4], [5, 6]], InvalidCode.SHAPE_DATA_MISMATCH),
    ([[1, 2, 3], [4, 5, 6]], InvalidCode.SHAPE_DATA_MISMATCH),
    ([[1], [2]], InvalidCode.SHAPE_DATA_MISMATCH),
    ([[], []], InvalidCode.SHAPE_DATA_MISMATCH),
    ([[]], InvalidCode.SHAPE_DATA_MISMATCH),
    ([[1, 2], [3]], InvalidCode.RAGGED),
    ([[1, 2], []], InvalidCode.RAGGED),
    ([[1], [2, 3, 4]], InvalidCode.RAGGED),
    ([[1, 2], 3], InvalidCode.RAGGED),
    ([1, [2, 3]], InvalidCode.RAGGED),
    ([[[1, 2], [3, 4]]], InvalidCode.RAGGED),
    ([[1, 2], [3, [4]]], InvalidCode.RAGGED),
    ([[1, 2], [3, None]], InvalidCode.WRONG_TYPE),
    ([[1, 2], None], InvalidCode.WRONG_TYPE),
    ([[1, 2], {"a": 1}], InvalidCode.WRONG_TYPE),
    ([[1, 2], "34"], InvalidCode.WRONG_TYPE),
    ([None, None, None, None], InvalidCode.WRONG_TYPE),
]


@pytest.mark.parametrize(("data", "expected"), DATA)
def test_the_data_must_be_flat_or_nested_like_the_shape(data: Any, expected: InvalidCode) -> None:
    assert code(request(tensor(data, shape=[2, 2]))) is expected


@pytest.mark.parametrize("data", [[[[1, 2], [3, 4]]], [[1, 2, 3], [4, 5, 6]], [[[1, 2]], [[3]]]])
def test_deeper_data_must_be_nested_like_the_shape(data: Any) -> None:
    at = door(spec("x", "FP32", -1, 2, 3))
    assert code(request(tensor(data, shape=[1, 2, 3])), at) in {
        InvalidCode.RAGGED,
        InvalidCode.SHAPE_DATA_MISMATCH,
    }


def test_the_inputs_must_have_equally_many_rows() -> None:
    body = request(
        tensor([1], name="a", shape=[1, 1]),
        tensor([1, 2], name="b", shape=[2], datatype="INT64"),
    )
    assert code(body, TWO_INPUTS) is InvalidCode.WRONG_SHAPE


@pytest.mark.parametrize("age", [-1, 121, 1e30, -5e-324 - 1e-30])
def test_a_value_outside_of_its_columns_range_is_refused(age: float) -> None:
    assert code(request(tensor([age, 1])), RANGED) is InvalidCode.VALUE_RANGE


def test_a_null_is_refused_in_a_column_that_does_not_allow_it() -> None:
    refused = refusal(RANGED, request(tensor([[50, 1], [None, None]], shape=[2, 2])))
    assert (refused.code, refused.message) == (
        InvalidCode.WRONG_TYPE,
        "input x, data[1][0] (column age): null is not accepted",
    )


IDS = [
    1,
    1.5,
    True,
    [],
    {},
    "a" * 257,
    "a" * 10_000,
    "a\nb",
    "a\rb",
    "a\tb",
    "\x00",
    "\x1b[31m",
    "\x7f",
    "\x85",
    "\u2028",
    "a\u202eb",
    "\u200b",
    "\ufeff",
    "\ue000",
]


@pytest.mark.parametrize("request_id", IDS)
def test_an_id_must_be_short_printable_text(request_id: Any) -> None:
    assert code(request(GOOD, id=request_id)) is InvalidCode.BAD_ID


@pytest.mark.parametrize(
    "timeout", [0, -1, -1e300, 1e18, 10**30, True, "100", "NaN", 0.0, -(10**400)]
)
def test_a_timeout_must_be_a_plausible_number(timeout: Any) -> None:
    body = request(GOOD).replace(b'{"inputs"', b'{"parameters":{"timeout":%s},"inputs"')
    text = f'"{timeout}"' if isinstance(timeout, str) else str(timeout).lower()
    assert code(body % text.encode()) is InvalidCode.BAD_DEADLINE


def test_a_missing_name_is_named() -> None:
    assert refusal(TWO_INPUTS, request(tensor([1], name="a", shape=[1, 1]))).message == (
        "inputs: 'b' is missing"
    )


@pytest.mark.parametrize("name", ["\x1b[31m\r\n\u202e" * 20, "a" * 10_000, "é" * 500, "\x00" * 99])
@pytest.mark.parametrize("place", ["input", "output", "key", "datatype", "inner key", "parameter"])
def test_a_message_is_short_plain_ascii(name: str, place: str) -> None:
    documents: dict[str, Any] = {
        "input": {"inputs": [tensor([1, 2], name=name)]},
        "output": {"inputs": [GOOD], "outputs": [{"name": name}]},
        "key": {"inputs": [GOOD], name: 1},
        "datatype": {"inputs": [tensor([1, 2], datatype=name)]},
        "inner key": {"inputs": [{**GOOD, name: 1}]},
        "parameter": {"inputs": [GOOD], "parameters": {f"shared_memory{name}": 1}},
    }
    message = refusal(PAIR, orjson.dumps(documents[place])).message
    assert re.fullmatch(r"[ -~]{1,250}", message)


def test_a_message_is_short_although_the_contracts_names_are_long() -> None:
    at = door(spec("é" * 2_000, "FP32", -1, 2), outputs=(spec("ü" * 2_000, "FP32", -1),))
    assert len(refusal(at, request(GOOD)).message.encode()) <= 400


@pytest.mark.parametrize("text", [b"1" * 5_000, b"[" * 100_000, b"1e400", b'"' + b"\\n" * 50_000])
def test_hostile_data_is_refused_within_10_ms(text: bytes) -> None:
    body = with_data(b"[" + text + b"]", datatype="INT64", shape="[1,1]")
    at = of_type("INT64")
    fastest_s = min(_refused_in_s(at, body) for _ in range(5))
    assert fastest_s < 0.010


def _refused_in_s(at: Door, body: bytes) -> float:
    before_s = time.thread_time()
    refusal(at, body)
    return time.thread_time() - before_s
