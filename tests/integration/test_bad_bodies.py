"""Rows B1 to B29, B42 and B45 of the bad-input table over real HTTP: a few bodies of each row.

The whole corpus is in tests/unit/dialects; here it is the way through the real gateway that counts.
"""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest

from tests.typed_model import (
    STRANGE,
    TYPED,
    TypedSystem,
    body,
    outputs,
    post,
    tensor_text,
    with_data,
)

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("still_right")]

MANY = 65_537

REFUSED: dict[str, tuple[bytes, int, str]] = {
    "B1 trailing comma": (body().replace(b"]}", b"],}"), 400, "bad_json"),
    "B1 single quotes": (b"{'inputs': []}", 400, "bad_json"),
    "B1 unclosed": (body()[:-1], 400, "bad_json"),
    "B1 a comment": (b"/**/" + body(), 400, "bad_json"),
    "B1 leading zero": (with_data("double", "[01]"), 400, "bad_json"),
    "B2 valid JSON, no request": (b'{"a":[1,2,{"b":null}]}', 400, "unknown_key"),
    "B2 a number": (b"123", 400, "schema"),
    "B3 a huge exponent of nothing": (with_data("double", "[0.4e00669999999999]"), 400, ""),
    "B4 NaN": (with_data("double", "[NaN]"), 400, "bad_json"),
    "B4 Infinity": (with_data("double", "[Infinity]"), 400, "bad_json"),
    "B4 -Infinity": (with_data("double", "[-Infinity]"), 400, "bad_json"),
    "B5 1e400": (with_data("double", "[1e400]"), 400, "number_range"),
    "B5 -1e400": (with_data("double", "[-1e400]"), 400, "number_range"),
    "B6 above FP32": (with_data("single", "[1e39,1]"), 400, "number_range"),
    "B8 2^63": (with_data("count", "[9223372036854775808]"), 400, "number_range"),
    "B8 256 for UINT8": (with_data("level", "[256]"), 400, "number_range"),
    "B8 -1 for UINT8": (with_data("level", "[-1]"), 400, "number_range"),
    "B9 10^30": (with_data("count", f"[1{'0' * 30}]"), 400, "number_range"),
    "B9 5,000 digits": (with_data("count", f"[{'9' * 5_000}]"), 400, "number_range"),
    "B10 1.5 for INT64": (with_data("count", "[1.5]"), 400, "wrong_type"),
    "B10 true for FP32": (with_data("single", "[true,1]"), 400, "wrong_type"),
    "B10 text for INT64": (with_data("count", '["1"]'), 400, "wrong_type"),
    "B11 33 deep": (with_data("double", "[" * 31 + "]" * 31), 400, "too_deep"),
    "B11 100,000 deep": (with_data("double", "[" * 100_000 + "]" * 100_000), 400, "too_deep"),
    "B11 2 MB that only opens": (b"[" * 2_097_152, 400, "too_deep"),
    "B12 a key twice": (body(more='"id":"a","id":"b",'), 400, "duplicate_key"),
    "B12 an escaped key twice": (body(more='"id":"a","\\u0069d":"b",'), 400, "duplicate_key"),
    "B13 an input twice": (
        body().replace(b'"name":"flag"', b'"name":"word"').replace(b"BOOL", b"BYTES"),
        400,
        "duplicate_name",
    ),
    "B13 an output twice": (
        body(more='"outputs":[{"name":"same"},{"name":"same"}],'),
        400,
        "duplicate_name",
    ),
    "B14 unknown input": (body().replace(b'"flag"', b'"flog"'), 400, "unknown_name"),
    "B14 unknown output": (body(more='"outputs":[{"name":"z"}],'), 400, "unknown_name"),
    "B14 missing input": (f'{{"inputs":[{tensor_text("flag")}]}}'.encode(), 400, "missing"),
    "B15 unknown key": (body(more='"extra":1,'), 400, "unknown_key"),
    "B16 wrong datatype": (body(tensor_text("double", datatype="FP32")), 400, "wrong_dtype"),
    "B16 no datatype": (body(tensor_text("double", datatype="float")), 400, "wrong_dtype"),
    "B16 BF16": (body(tensor_text("single", datatype="BF16")), 400, "wrong_dtype"),
    "B17 wrong rank": (body(tensor_text("single", shape="[2]")), 400, "wrong_shape"),
    "B17 wrong dimension": (body(tensor_text("single", shape="[1,3]")), 400, "wrong_shape"),
    "B18 too few": (with_data("single", "[1]"), 400, "shape_data_mismatch"),
    "B18 too many": (with_data("single", "[1,2,3]"), 400, "shape_data_mismatch"),
    "B19 negative": (body(tensor_text("single", shape="[-1,2]")), 400, "wrong_shape"),
    "B19 2^62": (body(tensor_text("single", shape=f"[{2**62},2]")), 400, "wrong_shape"),
    "B19 product overflows": (
        body(tensor_text("single", shape=f"[{2**31},{2**62}]")),
        400,
        "wrong_shape",
    ),
    "B20 no rows": (body(tensor_text("single", "[]", "[0,2]")), 400, "empty"),
    "B21 too many rows": (
        with_data("double", f"[{','.join('0' * MANY)}]", f"[{MANY}]").replace(
            tensor_text("single").encode() + b",", b""
        ),
        413,
        "too_many_rows",
    ),
    "B22 ragged": (with_data("single", "[[1,2],[3]]", "[2,2]"), 400, "ragged"),
    "B23 null": (with_data("double", "[null]"), 400, "wrong_type"),
    "B23 object": (with_data("double", "[{}]"), 400, "wrong_type"),
    "B23 text": (with_data("double", '["x"]'), 400, "wrong_type"),
    "B24 above the range": (with_data("count", "[10]"), 400, "value_range"),
    "B24 below the range": (with_data("count", "[-6]"), 400, "value_range"),
    "B24 a column's range": (with_data("single", "[1,-1]"), 400, "value_range"),
    "B26 lone surrogate": (with_data("word", '["\\ud800"]'), 400, "bad_json"),
    "B26 overlong UTF-8": (body().replace(b"soya", b"\xc0\xaf"), 400, "bad_json"),
    "B26 bad UTF-8": (body().replace(b"soya", b"\xff"), 400, "bad_json"),
    "B26 UTF-16": (body().decode().encode("utf-16"), 400, "bad_json"),
    "B26 BOM": (b"\xef\xbb\xbf" + body(), 400, "bad_json"),
    "B27 id of a number": (body(more='"id":5,'), 400, "bad_id"),
    "B27 id of 10 kB": (body(more=f'"id":"{"a" * 10_000}",'), 400, "bad_id"),
    "B27 id with a line end": (body(more='"id":"a\\nb",'), 400, "bad_id"),
    "B27 id with U+202E": (body(more='"id":"a\\u202eb",'), 400, "bad_id"),
    "B28 timeout 0": (body(more='"parameters":{"timeout":0},'), 400, "bad_deadline"),
    "B28 timeout -1": (body(more='"parameters":{"timeout":-1},'), 400, "bad_deadline"),
    "B28 timeout 1e18": (body(more='"parameters":{"timeout":1e18},'), 400, "bad_deadline"),
    "B28 timeout as text": (body(more='"parameters":{"timeout":"1"},'), 400, "bad_deadline"),
    "B29 nothing": (b"", 400, "bad_json"),
    "B29 null": (b"null", 400, "schema"),
    "B29 an array": (b"[]", 400, "schema"),
    "B29 text": (b'"x"', 400, "schema"),
    "B29 two documents": (body() + body(), 400, "bad_json"),
}


@pytest.mark.parametrize(("data", "status", "code"), REFUSED.values(), ids=REFUSED.keys())
async def test_a_bad_body_gets_the_status_and_code_of_its_row(
    typed_system: TypedSystem, data: bytes, status: int, code: str
) -> None:
    answer = await post(typed_system.url, data)
    assert (answer.status, code in ("", answer.code), answer.is_error_body) == (
        status,
        True,
        True,
    ), answer.body


@pytest.mark.parametrize("text", ["0", "-1", "NaN", "1e18", "9" * 18, "soon", "", "1_0", "+5"])
async def test_a_bad_timeout_header_is_refused(typed_system: TypedSystem, text: str) -> None:
    answer = await post(typed_system.url, body(), f"X-Request-Timeout-Ms: {text}")
    assert (answer.status, answer.code, answer.is_error_body) == (400, "bad_deadline", True)


@pytest.mark.parametrize("text", ["high", "Critical", "-1", "65536", "1.0", "", "default, 1"])
async def test_a_bad_priority_header_is_refused(typed_system: TypedSystem, text: str) -> None:
    answer = await post(typed_system.url, body(), f"X-Priority: {text}")
    assert (answer.status, answer.code, answer.is_error_body) == (400, "bad_parameter", True)


async def test_a_timeout_above_the_maximum_is_capped_and_said(typed_system: TypedSystem) -> None:
    answer = await post(typed_system.url, body(), "X-Request-Timeout-Ms: 7200000")
    assert (answer.status, answer.headers["x-request-timeout-ms"]) == (200, "3600000")


@pytest.mark.parametrize(
    "text", ["5e-324", "-0.0", "1.401298464324817e-45", "1e-50", "3.4028234e38", "0.1"]
)
async def test_tiny_and_signed_values_keep_their_bits(typed_system: TypedSystem, text: str) -> None:
    data = with_data("single", f"[{text},0]")
    same = outputs(await post(typed_system.url, data))["same"][0]
    expected = struct.pack("<f", struct.unpack("<f", struct.pack("<f", float(text)))[0])
    assert struct.pack("<f", same) == expected


@pytest.mark.parametrize(("text", "letters"), [('[""]', 0), ('["a\\u0000b"]', 3)])
async def test_empty_text_and_nul_are_text(
    typed_system: TypedSystem, text: str, letters: int
) -> None:
    assert outputs(await post(typed_system.url, with_data("word", text)))["letters"] == [letters]


async def test_a_text_that_claims_4_gb_is_refused(typed_system: TypedSystem) -> None:
    block = struct.pack("<I", 2**32 - 1) + b"soya"
    word = tensor_text("word").replace(
        '"data":["soya"]', f'"parameters":{{"binary_data_size":{len(block)}}}'
    )
    head = body(word)
    answer = await post(
        typed_system.url,
        head + block,
        "Content-Type: application/octet-stream",
        f"Inference-Header-Content-Length: {len(head)}",
    )
    assert (answer.status, answer.code, answer.is_error_body) == (400, "bad_binary", True)


@pytest.mark.parametrize("length", ["-1", "abc", "99999999999", "1e3", "9999", "", "0"])
async def test_a_bad_length_of_the_json_part_is_refused(
    typed_system: TypedSystem, length: str
) -> None:
    answer = await post(typed_system.url, body(), f"Inference-Header-Content-Length: {length}")
    assert (answer.status, answer.code, answer.is_error_body) == (400, "bad_binary", True)


@pytest.mark.parametrize(
    "name",
    ["%2e%2e%2fx", "..%2Fx", "a" * 8_000, "%00", "%0d%0a", "%1b%5b31m", "typo", "typed@1", "%ff"],
)
async def test_every_unknown_model_gets_the_same_body(typed_system: TypedSystem, name: str) -> None:
    answer = await post(typed_system.url, body(), path=f"/v2/models/{name}/infer")
    other = await post(typed_system.url, body(), path="/v2/models/some-other-name/infer")
    assert (answer.status, answer.code, answer.document["error"], answer.is_error_body) == (
        404,
        "unknown_model",
        other.document["error"],
        True,
    )


@pytest.mark.parametrize("version", ["0", "2", "01", "-1", "1.0", "latest", "%31%00", "1@1"])
async def test_every_unknown_version_gets_the_same_body(
    typed_system: TypedSystem, version: str
) -> None:
    path = f"/v2/models/typed/versions/{version}/infer"
    answer = await post(typed_system.url, body(), path=path)
    assert (answer.status, answer.code) == (404, "unknown_model")


@pytest.mark.parametrize("kind", [1, 2, 3])
async def test_a_value_that_is_not_finite_comes_back_as_null_and_is_counted(
    typed_system: TypedSystem, kind: int
) -> None:
    answer = await post(typed_system.url, strange(0, kind), path=STRANGE)
    (output,) = answer.document["outputs"]
    assert (answer.status, output["data"], output["parameters"]) == (
        200,
        [1.5, None],
        {"non_finite": 1},
    )


async def test_a_finite_neighbour_of_values_that_are_not_is_untouched(
    typed_system: TypedSystem,
) -> None:
    answer = await post(typed_system.url, strange(0), path=STRANGE)
    assert answer.document["outputs"] == [
        {"name": "y", "shape": [1], "datatype": "FP64", "data": [1.5]}
    ]


def strange(*kinds: int) -> bytes:
    """A request for `strange`."""
    tensor: dict[str, Any] = {"name": "kind", "shape": [len(kinds)], "datatype": "INT64"}
    return json.dumps({"inputs": [{**tensor, "data": list(kinds)}]}).encode()


RESERVED = [
    "tenant", "deadline", "attempt", "attempts", "deliveries", "gateway", "gateway_id", "frame",
    "request_id", "lane", "worker", "enqueued", "part", "parts", "rows", "permit", "model",
    "version", "wire_version", "sequence_id", "results_key", "timeout_s", "deadline_us",
]  # fmt: skip


@pytest.mark.parametrize("value", ["1", '"x"', "true"])
async def test_reserved_parameter_names_have_no_effect(
    typed_system: TypedSystem, value: str
) -> None:
    names = ",".join(f'"{name}":{value}' for name in RESERVED)
    answer = await post(typed_system.url, body(more=f'"parameters":{{{names}}},'))
    assert answer.document == (await post(typed_system.url, body())).document


async def test_a_reserved_name_beside_the_inputs_is_refused(typed_system: TypedSystem) -> None:
    answers = [await post(typed_system.url, body(more=f'"{name}":1,')) for name in RESERVED]
    assert {(answer.status, answer.code) for answer in answers} == {(400, "unknown_key")}


async def test_the_good_body_of_these_tests_is_good(typed_system: TypedSystem) -> None:
    answer = await post(typed_system.url, body(), path=TYPED)
    assert outputs(answer) == {"same": [0.5, 1.5], "twice": [5.0], "letters": [4]}
