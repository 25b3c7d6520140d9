"""`nulls = "default"` in tensors: a null is the default in every dialect."""

from __future__ import annotations

import math
from typing import Any

import msgpack
import numpy as np
import orjson
import pytest

from bridge.contract.invalid import InvalidCode
from bridge.contract.model import ValueRules
from bridge.gateway.dialects.door import Door
from tests.unit.dialects.doors import door, refusal, request, spec, tensor

AT = door(
    spec(
        "x",
        "FP32",
        -1,
        2,
        columns=("a", "b"),
        column_rules={
            "a": ValueRules(nulls="default", default=2.5, range=(0, 9)),
            "b": ValueRules(nulls="refuse", default=1),
        },
    )
)
BLOCK = np.array([[math.nan, 7]], "<f4").tobytes()
HEAD = orjson.dumps(
    {
        "inputs": [
            {
                "name": "x",
                "shape": [1, 2],
                "datatype": "FP32",
                "parameters": {"binary_data_size": len(BLOCK)},
            }
        ],
        "parameters": {"binary_data_output": True},
    }
)
PACKED = msgpack.packb({"inputs": [tensor(BLOCK)]})
BODIES: dict[str, tuple[str | None, int | None, bytes]] = {
    "JSON": (None, None, request(tensor([None, 7]))),
    "nested JSON": (None, None, request(tensor([[None, 7]]))),
    "binary": ("application/octet-stream", len(HEAD), HEAD + BLOCK),
    "raw": ("application/octet-stream", 0, BLOCK),
    "MessagePack": ("application/msgpack", None, PACKED),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_null_is_the_default(body: tuple[str | None, int | None, bytes]) -> None:
    assert AT.parse(*body).tensors["x"].tolist() == [[2.5, 7.0]]


@pytest.mark.parametrize("dialect", ["binary", "MessagePack"])
def test_among_other_requests_it_is_too(dialect: str) -> None:
    content_type, header_bytes, body = BODIES[dialect]
    plain = AT.plain(content_type, header_bytes)
    assert plain is not None
    calls = plain.read([body, body], header_bytes or 0)
    assert (calls.array.tolist(), calls.others) == ([[2.5, 7.0]] * 2, [])


@pytest.mark.parametrize("at", [AT, door(spec("x", "FP32", -1, 2, rules=ValueRules(default=1)))])
def test_a_default_alone_accepts_no_null(at: Door) -> None:
    data: Any = [1, None]
    assert refusal(at, request(tensor(data))).code == InvalidCode.WRONG_TYPE
