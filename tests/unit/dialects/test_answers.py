"""Answers in each form, what JSON cannot say, and what tritonclient makes of them."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import numpy as np
import pytest
import tritonclient.http

from bridge.gateway.dialects.call import Body, OutputMismatch
from bridge.gateway.dialects.door import Door
from tests.unit.dialects.doors import PAIR, door, request, spec, tensor

GOOD = tensor([[1.0, 2.0]])
Y = np.array([[0.1, -0.0]], np.float32)
LABEL = np.array([7])


def strict_json(text: bytes) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def answered(arrays: dict[str, Any], at: Door = PAIR, **more: Any) -> Body:
    return at.answer(at.parse("application/json", None, request(GOOD, **more)), arrays)


def door_of(datatype: str, *shape: int) -> Door:
    """A door whose only output is y."""
    return door(spec("x", "FP32", -1, 2), outputs=(spec("y", datatype, *shape),))


def triton(body: Body) -> Any:
    length = dict(body.headers).get("Inference-Header-Content-Length")
    return tritonclient.http.InferResult.from_response_body(
        body.data, header_length=None if length is None else int(length)
    )


def test_a_json_answer_is_exactly_this() -> None:
    assert answered({"y": Y, "label": LABEL}, id="a") == Body(
        "application/json",
        (),
        b'{"model_name":"model","model_version":"3","id":"a","outputs":['
        b'{"name":"y","shape":[1,2],"datatype":"FP32","data":[0.1,-0.0]},'
        b'{"name":"label","shape":[1],"datatype":"INT64","data":[7]}]}',
    )


def test_without_an_id_there_is_none() -> None:
    assert "id" not in strict_json(answered({"y": Y, "label": LABEL}).data)


def test_only_the_wanted_outputs_come_in_the_order_wanted() -> None:
    body = answered({"y": Y, "label": LABEL}, outputs=[{"name": "label"}])
    assert [output["name"] for output in strict_json(body.data)["outputs"]] == ["label"]


def test_a_binary_answer_is_the_json_and_the_blocks() -> None:
    body = answered({"y": Y, "label": LABEL}, parameters={"binary_data_output": True})
    text = (
        b'{"model_name":"model","model_version":"3","outputs":['
        b'{"name":"y","shape":[1,2],"datatype":"FP32","parameters":{"binary_data_size":8}},'
        b'{"name":"label","shape":[1],"datatype":"INT64","parameters":{"binary_data_size":8}}]}'
    )
    assert body == Body(
        "application/octet-stream",
        (("Inference-Header-Content-Length", str(len(text))),),
        text + Y.tobytes() + LABEL.tobytes(),
    )


def test_tritonclient_reads_a_json_answer() -> None:
    result = triton(answered({"y": Y, "label": LABEL}))
    np.testing.assert_array_equal(result.as_numpy("y"), Y, strict=True)


def test_tritonclient_reads_a_mixed_answer() -> None:
    wishes = [{"name": "label"}, {"name": "y", "parameters": {"binary_data": True}}]
    result = triton(answered({"y": Y, "label": LABEL}, outputs=wishes))
    np.testing.assert_array_equal(result.as_numpy("y"), Y, strict=True)
    np.testing.assert_array_equal(result.as_numpy("label"), LABEL, strict=True)


def test_tritonclient_reads_text_in_blocks() -> None:
    words = np.array(["é"], object)
    body = answered({"y": words}, door_of("BYTES", -1), parameters={"binary_data_output": True})
    assert triton(body).as_numpy("y").tolist() == ["é".encode()]


@pytest.mark.parametrize(
    "array",
    [
        np.array([["a", "é"]], object),
        np.array([[b"a", "é".encode()]], object),
        np.array([["a", "é"]]),
        np.char.encode(np.array([["a", "é"]]), "utf-8"),
    ],
)
def test_text_comes_as_json_text(array: np.ndarray[Any, Any]) -> None:
    (output,) = strict_json(answered({"y": array}, door_of("BYTES", -1, 2)).data)["outputs"]
    assert output == {"name": "y", "shape": [1, 2], "datatype": "BYTES", "data": ["a", "é"]}


def test_bytes_that_are_not_utf8_are_escaped_in_json_and_counted() -> None:
    words = np.array([b"a\xff"], object)
    (output,) = strict_json(answered({"y": words}, door_of("BYTES", -1)).data)["outputs"]
    assert (output["data"], output["parameters"]) == (["a\\xff"], {"not_utf8": 1})


def test_a_lone_surrogate_is_escaped_in_json() -> None:
    text = answered({"y": np.array(["\ud800"], object)}, door_of("BYTES", -1)).data
    assert strict_json(text)["outputs"][0]["data"] == ["\\ud800"]


def test_a_lone_surrogate_is_escaped_in_messagepack() -> None:
    document = packed({"y": np.array(["\ud800"], object)}, door_of("BYTES", -1))
    assert document["outputs"][0]["data"] == ["\\ud800"]


def test_what_is_not_finite_is_null_in_json_and_counted() -> None:
    array = np.array([[np.nan, 1.5]], np.float32)
    body = answered({"y": array, "label": LABEL})
    y, label = strict_json(body.data)["outputs"]
    assert (y["data"], y["parameters"], "parameters" in label) == (
        [None, 1.5],
        {"non_finite": 1},
        False,
    )


def test_infinities_are_not_finite() -> None:
    array = np.array([[np.inf, -np.inf]])
    (output,) = strict_json(answered({"y": array}, door_of("FP64", -1, 2)).data)["outputs"]
    assert (output["data"], output["parameters"]) == ([None, None], {"non_finite": 2})


def test_a_name_with_null_in_it_is_not_counted() -> None:
    body = answered({"y": Y, "label": LABEL}, id="nullnull")
    assert "parameters" not in strict_json(body.data)["outputs"][0]


def test_blocks_carry_what_is_not_finite() -> None:
    array = np.array([[np.nan, -np.inf]], np.float32)
    body = answered({"y": array, "label": LABEL}, parameters={"binary_data_output": True})
    assert triton(body).as_numpy("y").tobytes() == array.tobytes()


@pytest.mark.parametrize(
    ("datatype", "values"),
    [
        ("BOOL", [True]),
        ("UINT8", [255]),
        ("UINT16", [65535]),
        ("UINT32", [2**32 - 1]),
        ("UINT64", [2**64 - 1]),
        ("INT8", [-128]),
        ("INT16", [-(2**15)]),
        ("INT32", [-(2**31)]),
        ("INT64", [-(2**63)]),
        ("FP32", [0.5]),
        ("FP64", [5e-324]),
    ],
)
def test_every_datatype_but_fp16_comes_as_json(datatype: str, values: list[Any]) -> None:
    array = np.array(values, spec("y", datatype, -1).type.dtype)
    (output,) = strict_json(answered({"y": array}, door_of(datatype, -1)).data)["outputs"]
    assert output["data"] == values


def test_fp16_comes_in_a_block() -> None:
    half = np.array([1.5], np.float16)
    body = answered({"y": half}, door_of("FP16", -1), parameters={"binary_data_output": True})
    assert triton(body).as_numpy("y").tolist() == [1.5]


@pytest.mark.parametrize("wish", [False, True])
def test_an_array_that_is_no_contiguous_slice_is_written_row_major(wish: bool) -> None:
    array = np.array([[1, 9, 2, 9]], np.float32)[:, ::2]
    body = answered({"y": array, "label": LABEL}, parameters={"binary_data_output": wish})
    assert triton(body).as_numpy("y").tolist() == [[1, 2]]


def test_a_transposed_array_is_written_row_major() -> None:
    at = door(spec("x", "FP32", -1, 2), outputs=(spec("y", "FP32", -1, 2),))
    call = at.parse("application/json", None, request(tensor([1, 2, 3, 4], shape=[2, 2])))
    body = at.answer(call, {"y": np.array([[1, 2], [3, 4]], np.float32).T})
    assert strict_json(body.data)["outputs"][0]["data"] == [1, 3, 2, 4]


MISMATCHES = [
    {},
    {"y": Y},
    {"y": Y.astype(np.float64), "label": LABEL},
    {"y": np.concatenate([Y, Y]), "label": LABEL},
    {"y": Y[:0], "label": LABEL},
    {"y": np.float32(1), "label": LABEL},
    {"y": np.array([["a", "b"]], object), "label": LABEL},
]


@pytest.mark.parametrize("outputs", MISMATCHES)
def test_outputs_that_are_not_those_of_the_contract_are_not_sent(outputs: dict[str, Any]) -> None:
    with pytest.raises(OutputMismatch):
        answered(outputs)


def packed(arrays: dict[str, Any], at: Door = PAIR, **more: Any) -> Any:
    item = tensor(np.zeros(2, np.float32).tobytes())
    body = msgspec.msgpack.encode({"inputs": [item], **more})
    answer = at.answer(at.parse("application/msgpack", None, body), arrays)
    assert answer.content_type == "application/msgpack"
    return msgspec.msgpack.decode(answer.data)


def test_a_messagepack_answer_carries_the_bits() -> None:
    array = np.array([[np.nan, -0.0]], np.float32)
    assert packed({"y": array, "label": LABEL}, id="a") == {
        "model_name": "model",
        "model_version": "3",
        "id": "a",
        "outputs": [
            {"name": "y", "shape": [1, 2], "datatype": "FP32", "data": array.tobytes()},
            {"name": "label", "shape": [1], "datatype": "INT64", "data": LABEL.tobytes()},
        ],
    }


def test_a_messagepack_answer_carries_text_and_other_bytes() -> None:
    words = np.array([["é", b"\xff"]], object)
    (output,) = packed({"y": words}, door_of("BYTES", -1, 2))["outputs"]
    assert output["data"] == ["é", b"\xff"]
