"""Contracts, doors and request bodies that the dialect tests share."""

from __future__ import annotations

from typing import Any

import orjson

from bridge.contract.invalid import InvalidCode, InvalidInput
from bridge.contract.model import ModelContract, TensorSpec, ValueRules
from bridge.gateway.dialects.call import InferCall, InputLimits
from bridge.gateway.dialects.door import Door

LIMITS = InputLimits(rows_max=100)


def contract(*inputs: TensorSpec, outputs: tuple[TensorSpec, ...] | None = None) -> ModelContract:
    return ModelContract(
        name="model",
        version="3",
        platform="onnx_onnxv1",
        inputs=inputs,
        outputs=outputs or (spec("y", "FP32", -1, 2), spec("label", "INT64", -1)),
    )


def spec(name: str, datatype: str, *shape: int, **more: Any) -> TensorSpec:
    return TensorSpec(name=name, datatype=datatype, shape=shape, **more)


def door(*inputs: TensorSpec, outputs: tuple[TensorSpec, ...] | None = None) -> Door:
    return Door(contract(*inputs, outputs=outputs), LIMITS)


PAIR = door(spec("x", "FP32", -1, 2))
BYTES = door(spec("text", "BYTES", -1))
TWO_INPUTS = door(spec("a", "FP32", -1, 1), spec("b", "INT64", -1))
VARIABLE = door(spec("x", "FP64", -1, -1))
RANGED = door(
    spec(
        "x",
        "FP32",
        -1,
        2,
        columns=("age", "mass"),
        column_rules={
            "age": ValueRules(range=(0, 120), unit="years"),
            "mass": ValueRules(nulls="allow"),
        },
    )
)


def of_type(datatype: str) -> Door:
    """A door with the input x, shape [-1, 1]."""
    return door(spec("x", datatype, -1, 1))


def tensor(
    data: Any, *, name: str = "x", datatype: str = "FP32", shape: Any = (1, 2), **more: Any
) -> dict[str, Any]:
    return {"name": name, "shape": shape, "datatype": datatype, "data": data, **more}


def request(*inputs: dict[str, Any], **more: Any) -> bytes:
    return orjson.dumps({"inputs": inputs, **more}, option=orjson.OPT_SERIALIZE_NUMPY)


def with_data(data: bytes, *, datatype: str = "FP32", shape: str = "[1,2]") -> bytes:
    """A request with the literal JSON text `data`."""
    head = f'{{"inputs":[{{"name":"x","shape":{shape},"datatype":"{datatype}","data":'
    return head.encode() + data + b"}]}"


def parse(body: bytes, at: Door = PAIR) -> InferCall:
    return at.parse("application/json", None, body)


def refusal(
    at: Door,
    body: bytes,
    *,
    content_type: str | None = "application/json",
    header_length: int | None = None,
) -> InvalidInput:
    """Return how `body` is refused; fail if it is not."""
    try:
        call = at.parse(content_type, header_length, body)
    except InvalidInput as error:
        return error
    raise AssertionError(f"accepted as {call}")


def code(body: bytes, at: Door = PAIR) -> InvalidCode:
    return refusal(at, body).code
