"""Calls whose rows are padded at the door, and answers that are cut there, in every dialect."""

from __future__ import annotations

from typing import Any

import msgpack
import numpy as np
import orjson
import pytest

from bridge.contract.invalid import InvalidCode
from bridge.contract.model import ModelContract, Padding, ValueRules
from bridge.gateway.dialects.call import InferCall, OutputMismatch
from bridge.gateway.dialects.door import Door
from tests.unit.dialects.doors import LIMITS, code, parse, request, spec, tensor

X = spec("x", "FP32", -1, -1, rules=ValueRules(range=(1, 9)))
PADDED = Door(
    ModelContract(
        name="model",
        version="3",
        platform="onnx_onnxv1",
        inputs=(X,),
        outputs=(spec("y", "FP32", -1, -1), spec("label", "INT64", -1)),
        padding=Padding(buckets=(4, 8), values={"x": 0.0}, mask=spec("mask", "BOOL", -1, -1)),
    ),
    LIMITS,
)
ROWS = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
OUTPUTS = {
    "y": np.arange(8, dtype=np.float32).reshape(2, 4),
    "label": np.array([7, 8]),
}
CUT = [[0, 1, 2], [4, 5, 6]]


def of_json() -> InferCall:
    return parse(request(tensor(ROWS.ravel(), shape=[2, 3])), PADDED)


def of_binary() -> InferCall:
    head = orjson.dumps(
        {
            "inputs": [
                {
                    "name": "x",
                    "shape": [2, 3],
                    "datatype": "FP32",
                    "parameters": {"binary_data_size": ROWS.nbytes},
                }
            ],
            "parameters": {"binary_data_output": True},
        }
    )
    return PADDED.parse("application/octet-stream", len(head), head + ROWS.tobytes())


def of_messagepack() -> InferCall:
    given = {"name": "x", "shape": [2, 3], "datatype": "FP32", "data": ROWS.tobytes()}
    return PADDED.parse("application/msgpack", None, msgpack.packb({"inputs": [given]}))


@pytest.mark.parametrize("read", [of_json, of_binary, of_messagepack])
def test_rows_are_padded_and_the_mask_is_filled_in(read: Any) -> None:
    call = read()
    assert {name: array.tolist() for name, array in call.tensors.items()} == {
        "x": [[1, 2, 3, 0], [4, 5, 6, 0]],
        "mask": [[True, True, True, False]] * 2,
    }


def test_a_raw_body_is_one_row_of_its_length() -> None:
    call = PADDED.parse("application/octet-stream", 0, ROWS[0].tobytes())
    assert call.tensors["x"].tolist() == [[1, 2, 3, 0]]


def test_a_json_answer_has_the_callers_own_length() -> None:
    answer = orjson.loads(PADDED.answer(of_json(), OUTPUTS).data)
    assert [(item["shape"], item["data"]) for item in answer["outputs"]] == [
        ([2, 3], [0, 1, 2, 4, 5, 6]),
        ([2], [7, 8]),
    ]


def test_a_binary_answer_has_it_too() -> None:
    body = PADDED.answer(of_binary(), OUTPUTS).data
    assert body.endswith(np.array(CUT, np.float32).tobytes() + OUTPUTS["label"].tobytes())


def test_so_has_a_messagepack_answer() -> None:
    answer = msgpack.unpackb(PADDED.answer(of_messagepack(), OUTPUTS).data)
    assert answer["outputs"][0]["shape"] == [2, 3]
    assert answer["outputs"][0]["data"] == np.array(CUT, np.float32).tobytes()


def test_the_pad_need_not_be_a_value_that_callers_may_send() -> None:
    assert code(request(tensor([0.0], shape=[1, 1])), PADDED) is InvalidCode.VALUE_RANGE


def test_rows_that_are_too_long_are_refused_by_name() -> None:
    assert code(request(tensor([1.0] * 9, shape=[1, 9])), PADDED) is InvalidCode.TOO_LONG


def test_the_mask_is_no_input_that_callers_send() -> None:
    body = request(
        tensor([1.0], shape=[1, 1]),
        tensor([True], name="mask", datatype="BOOL", shape=[1, 1]),
    )
    assert code(body, PADDED) is InvalidCode.UNKNOWN_NAME


def test_an_output_of_another_length_is_the_workers_fault() -> None:
    with pytest.raises(OutputMismatch):
        PADDED.answer(of_json(), {**OUTPUTS, "y": np.zeros((2, 5), np.float32)})
