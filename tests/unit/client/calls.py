"""Calls of the client, read and answered by the gateway's own door."""

from __future__ import annotations

from typing import Any

from bridge.client.call import Call, decode_answers, encode_call
from bridge.client.tensors import decode_outputs, encode_inputs
from bridge.gateway.dialects.call import InferCall
from bridge.gateway.dialects.messagepack import CONTENT_TYPE
from tests.unit.dialects.doors import door, spec


def call_of(inputs: Any, **more: Any) -> Call:
    options: dict[str, Any] = {"deadline_s": 10.0, "is_timed": False, "priority": None, **more}
    return Call("model", None, encode_inputs(inputs), **options)


def parsed(at: Any, call: Call, now_s: float = 0.0) -> InferCall:
    read: InferCall = at.parse(CONTENT_TYPE, None, encode_call(call, now_s, "a"))
    return read


def there_and_back(datatype: str, array: Any) -> tuple[Any, Any]:
    """What the gateway reads of an array, and what the client reads of it when it comes back."""
    at = door(spec("x", datatype, -1, -1), outputs=(spec("y", datatype, -1, -1),))
    call = parsed(at, call_of({"x": array}))
    (answer,) = decode_answers(at.answer(call, {"y": call.tensors["x"]}).data)
    assert answer.outputs is not None
    return call.tensors["x"], decode_outputs(answer.outputs)["y"]
