"""The exact bytes that each dialect sends, and the outputs that it reads."""

from __future__ import annotations

import pickle
import struct

import msgpack
import numpy as np
import pytest

from loadtest.datatypes import Rows, text_array
from loadtest.dialects.choice import dialect_names, load_dialect
from loadtest.dialects.dialect import Dialect, http_request
from loadtest.dialects.messagepack import MessagePack
from loadtest.dialects.v2_binary import V2Binary, json_end
from loadtest.dialects.v2_json import V2Json
from loadtest.errors import BadAnswer, BadDialect
from tests.unit.loadtest.models import model, tensor

HOST = "127.0.0.1:8080"
TARGET = "/v2/models/half/infer"
ROWS: Rows = {
    "x": np.array([[0.1, np.nan]], dtype=np.float32),
    "crop": text_array(["maïs"]),
    "day": np.array([9], dtype=np.int64),
    "wet": np.array([True]),
}
X, DAY = struct.pack("<2f", 0.1, float("nan")), struct.pack("<q", 9)
CROP = struct.pack("<I", 5) + "maïs".encode()


def head(content_type: str, length: int, *more: str) -> bytes:
    lines = [f"POST {TARGET} HTTP/1.1", f"Host: {HOST}", f"Content-Type: {content_type}", *more]
    return "\r\n".join([*lines, f"Content-Length: {length}", "", ""]).encode()


def test_v2_json_requests_are_these_bytes() -> None:
    body = (
        '{"inputs":['
        '{"name":"x","shape":[1,2],"datatype":"FP32","data":[0.1,null]},'
        '{"name":"crop","shape":[1],"datatype":"BYTES","data":["maïs"]},'
        '{"name":"day","shape":[1],"datatype":"INT64","data":[9]},'
        '{"name":"wet","shape":[1],"datatype":"BOOL","data":[true]}]}'
    ).encode()
    expected = head("application/json", len(body)) + body
    assert V2Json().request(HOST, TARGET, ROWS) == expected


def test_v2_binary_requests_are_these_bytes() -> None:
    text = (
        b'{"inputs":['
        b'{"name":"x","shape":[1,2],"datatype":"FP32","parameters":{"binary_data_size":8}},'
        b'{"name":"crop","shape":[1],"datatype":"BYTES","parameters":{"binary_data_size":9}},'
        b'{"name":"day","shape":[1],"datatype":"INT64","parameters":{"binary_data_size":8}},'
        b'{"name":"wet","shape":[1],"datatype":"BOOL","parameters":{"binary_data_size":1}}],'
        b'"parameters":{"binary_data_output":true}}'
    )
    body = text + X + CROP + DAY + b"\x01"
    length_header = f"Inference-Header-Content-Length: {len(text)}"
    expected = head("application/octet-stream", len(body), length_header) + body
    assert V2Binary().request(HOST, TARGET, ROWS) == expected


def test_messagepack_requests_are_these_bytes() -> None:
    inputs = [
        {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": X},
        {"name": "crop", "shape": [1], "datatype": "BYTES", "data": ["maïs"]},
        {"name": "day", "shape": [1], "datatype": "INT64", "data": DAY},
        {"name": "wet", "shape": [1], "datatype": "BOOL", "data": b"\x01"},
    ]
    # Written by another library than the load tester's.
    body: bytes = msgpack.packb({"inputs": inputs})
    expected = head("application/msgpack", len(body)) + body
    assert MessagePack().request(HOST, TARGET, ROWS) == expected


def test_further_headers_are_sent() -> None:
    dialect = V2Json((("X-Request-Timeout-Ms", "250"),))
    assert b"\r\nX-Request-Timeout-Ms: 250\r\n" in dialect.request(HOST, TARGET, ROWS)


def test_a_further_header_wins_over_the_dialects_own() -> None:
    request = V2Json((("content-type", "text/json"),)).request(HOST, TARGET, ROWS)
    assert request.lower().count(b"content-type") == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Bad", "a\r\nX-More: b"),
        ("X Bad", "a"),
        ("Content-Length", "3"),
        ("Transfer-Encoding", "chunked"),
        ("Host", "elsewhere"),
    ],
)
def test_a_header_that_would_break_the_request_is_refused(name: str, value: str) -> None:
    with pytest.raises(BadDialect, match="header"):
        V2Json(((name, value),)).request(HOST, TARGET, ROWS)


@pytest.mark.parametrize("target", ["/a b", "/a\r\nX: y", "", "/ä"])
def test_a_target_that_would_break_the_request_is_refused(target: str) -> None:
    with pytest.raises(BadDialect, match="path"):
        http_request("POST", target, HOST, (), b"")


def test_the_target_keeps_the_path_of_the_servers_url_and_the_version() -> None:
    known = model(tensor("x", "FP32", [-1]), url="http://127.0.0.1:8080/serving")
    assert V2Json().target(known) == "/serving/v2/models/half/infer"


def test_fp16_is_refused_in_json_and_sent_in_binary() -> None:
    rows = {"x": np.array([1.5], dtype=np.float16)}
    assert V2Binary().request(HOST, TARGET, rows).endswith(struct.pack("<e", 1.5))
    with pytest.raises(BadDialect, match="FP16"):
        V2Json().request(HOST, TARGET, rows)


@pytest.mark.parametrize("dialect", [V2Json(), V2Binary(), MessagePack()])
def test_dialects_go_to_other_processes(dialect: Dialect) -> None:
    copied = pickle.loads(pickle.dumps(dialect))
    assert copied.request(HOST, TARGET, ROWS) == dialect.request(HOST, TARGET, ROWS)


def test_v2_json_outputs_are_read_flat_or_nested_with_null_as_nan() -> None:
    body = (
        b'{"model_name":"half","outputs":['
        b'{"name":"y","shape":[2,2],"datatype":"FP32","data":[[0.5,null],[1,2.5]]},'
        b'{"name":"label","shape":[2],"datatype":"BYTES","data":["a","b"]}]}'
    )
    outputs = V2Json().outputs(body)
    np.testing.assert_array_equal(
        outputs["y"], np.array([[0.5, np.nan], [1, 2.5]], dtype=np.float32), strict=True
    )
    assert outputs["label"].tolist() == ["a", "b"]


def test_the_word_nan_that_some_servers_write_is_read() -> None:
    body = b'{"outputs":[{"name":"y","shape":[1],"datatype":"FP64","data":[NaN]}]}'
    assert np.isnan(V2Json().outputs(body)["y"]).all()


@pytest.mark.parametrize(
    ("data", "datatype", "why"),
    [
        ("[1.5]", "INT64", "is not INT64"),
        ('["1"]', "INT64", "is not INT64"),
        ("[true]", "INT32", "is not INT32"),
        ("[1]", "BOOL", "is not BOOL"),
        ("[null]", "INT64", "is not INT64"),
        ("[1]", "BYTES", "is not BYTES"),
        ("[300]", "UINT8", "out of bounds"),
        ("[1,2]", "FP32", "reshape"),
        ("[[1],[2,3]]", "FP32", "reshape"),
        ("null", "FP32", "has no data"),
        ("[1]", "FP8", "unknown datatype"),
    ],
)
def test_an_answer_of_another_type_does_not_pass_as_numbers(
    data: str, datatype: str, why: str
) -> None:
    body = f'{{"outputs":[{{"name":"y","shape":[1],"datatype":"{datatype}","data":{data}}}]}}'
    with pytest.raises(BadAnswer, match=why):
        V2Json().outputs(body.encode())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"error":"no"}',
        b"<html>",
        b'{"outputs":[1]}',
        b'{"outputs":[{"name":"y","shape":[-1],"datatype":"FP32","data":[]}]}',
    ],
)
@pytest.mark.parametrize("dialect", [V2Json(), V2Binary(), MessagePack()])
def test_what_is_no_answer_is_a_bad_answer(dialect: Dialect, body: bytes) -> None:
    with pytest.raises(BadAnswer):
        dialect.outputs(body)


BINARY_ANSWER = (
    b'{"model_name":"a}\\"{","outputs":['
    b'{"name":"y","shape":[1,2],"datatype":"FP32","parameters":{"binary_data_size":8}},'
    b'{"name":"label","shape":[2],"datatype":"BYTES","parameters":{"binary_data_size":10}},'
    b'{"name":"n","shape":[1],"datatype":"INT64","data":[7]}]}'
)
BLOCKS = struct.pack("<2f", 0.5, float("inf")) + b"\x01\x00\x00\x00}" + b"\x01\x00\x00\x00\xff"


def test_v2_binary_outputs_are_read_without_the_header() -> None:
    outputs = V2Binary().outputs(BINARY_ANSWER + BLOCKS)
    assert {name: array.tolist() for name, array in outputs.items()} == {
        "y": [[0.5, float("inf")]],
        "label": ["}", b"\xff"],
        "n": [7],
    }


@pytest.mark.parametrize(
    "body",
    [
        BINARY_ANSWER,
        BINARY_ANSWER + BLOCKS[:-1],
        BINARY_ANSWER + BLOCKS + b"x",
        BINARY_ANSWER + BLOCKS.replace(b"\x01\x00\x00\x00}", b"\x09\x00\x00\x00}"),
    ],
)
def test_blocks_of_another_size_are_a_bad_answer(body: bytes) -> None:
    with pytest.raises(BadAnswer):
        V2Binary().outputs(body)


@pytest.mark.parametrize(
    ("body", "end"),
    [(b"{}{", 2), (b'{"a":"}"}\x00', 9), (b'{"a":"\\"}"}', 11), (b"[{}]", None), (b"{{}", None)],
)
def test_the_end_of_the_json_is_found_in_the_body(body: bytes, end: int | None) -> None:
    assert json_end(body) == end


def test_messagepack_outputs_are_read() -> None:
    body: bytes = msgpack.packb(
        {
            "outputs": [
                {"name": "y", "shape": [1, 2], "datatype": "FP32", "data": X},
                {"name": "label", "shape": [1], "datatype": "BYTES", "data": ["é"]},
            ]
        }
    )
    outputs = MessagePack().outputs(body)
    assert (outputs["y"].tobytes(), outputs["label"].tolist()) == (X, ["é"])


@pytest.mark.parametrize("name", dialect_names())
def test_every_named_dialect_makes_a_request(name: str) -> None:
    known = model(tensor("x", "FP32", [-1, 2], columns=["a", "b"]))
    dialect = load_dialect(name, known)
    rows = {"x": np.array([[1, 2]], dtype=np.float32)}
    request = dialect.request(HOST, dialect.target(known), rows)
    assert request.startswith(b"POST /")


def test_an_unknown_dialect_is_named_with_the_known_ones() -> None:
    with pytest.raises(BadDialect, match="soap: no such dialect; there are v2-json, "):
        load_dialect("soap", model(tensor("x", "FP32", [-1])))
