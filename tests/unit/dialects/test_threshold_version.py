"""An answer that carries a decision says by which threshold: in every form, plain or not."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from bridge.contract.decision import with_decision
from bridge.contract.model import Decision, ModelContract, TensorSpec
from bridge.gateway.dialects.call import Body, InputLimits
from bridge.gateway.dialects.door import Door
from bridge.gateway.dialects.metadata import model_metadata

DECISION = Decision(
    output="y",
    place=0,
    column="",
    positive="ill",
    cost_false_negative=50.0,
    cost_false_positive=1.0,
    threshold=0.25,
    threshold_version="7",
)
X = TensorSpec(name="x", datatype="FP32", shape=(-1, 2))
Y = TensorSpec(name="y", datatype="FP32", shape=(-1,))
CONTRACT = ModelContract(
    name="m",
    version="3",
    platform="python",
    inputs=(X,),
    outputs=with_decision((Y,), DECISION),
    decision=DECISION,
)
BARE = msgspec.structs.replace(CONTRACT, outputs=(Y,), decision=None)
ANSWER = {"y": np.array([0.5], np.float32), "decision": np.array([True])}
BLOCK = np.zeros(2, np.float32).tobytes()
TENSOR = {"name": "x", "shape": [1, 2], "datatype": "FP32"}
JSON_BODY = msgspec.json.encode({"inputs": [{**TENSOR, "data": [0.0, 0.0]}]})
BINARY_HEAD = msgspec.json.encode(
    {
        "inputs": [{**TENSOR, "parameters": {"binary_data_size": len(BLOCK)}}],
        "parameters": {"binary_data_output": True},
    }
)
MESSAGEPACK_BODY = msgspec.msgpack.encode({"inputs": [{**TENSOR, "data": BLOCK}]})

FORMS: dict[str, tuple[str | None, int | None, bytes]] = {
    "json": (None, None, JSON_BODY),
    "binary": ("application/octet-stream", len(BINARY_HEAD), BINARY_HEAD + BLOCK),
    "messagepack": ("application/msgpack", None, MESSAGEPACK_BODY),
}


def answered(contract: ModelContract, form: str) -> Body:
    door = Door(contract, InputLimits())
    return door.answer(door.parse(*FORMS[form]), ANSWER)


def document(contract: ModelContract, form: str) -> dict[str, Any]:
    """The answer without its binary blocks."""
    body = answered(contract, form)
    if form == "messagepack":
        return msgspec.msgpack.decode(body.data, type=dict[str, Any])
    size = int(dict(body.headers).get("Inference-Header-Content-Length", len(body.data)))
    return msgspec.json.decode(body.data[:size], type=dict[str, Any])


def plainly_answered(form: str, body: bytes) -> bytes:
    plain = Door(CONTRACT, InputLimits()).plain(*FORMS[form][:2])
    assert plain is not None
    calls = plain.read([body], FORMS[form][1] or 0)
    written = plain.write(ANSWER)
    return plain.answer(calls.said[0], 0, 1, written).body


@pytest.mark.parametrize("form", FORMS)
def test_the_version_of_the_threshold_is_a_parameter_of_the_answer(form: str) -> None:
    assert document(CONTRACT, form)["parameters"] == {"threshold_version": "7"}


@pytest.mark.parametrize("form", FORMS)
def test_a_plain_request_gets_the_same_answer(form: str) -> None:
    assert plainly_answered(form, FORMS[form][2]) == answered(CONTRACT, form).data


def test_an_id_goes_with_it() -> None:
    body = msgspec.msgpack.encode({"inputs": [{**TENSOR, "data": BLOCK}], "id": "a"})
    answer = msgspec.msgpack.decode(plainly_answered("messagepack", body))
    assert (answer["id"], answer["parameters"]) == ("a", {"threshold_version": "7"})


def test_the_decision_stands_beside_the_probability() -> None:
    outputs = document(CONTRACT, "json")["outputs"]
    assert [(one["name"], one["data"]) for one in outputs] == [("y", [0.5]), ("decision", [True])]


@pytest.mark.parametrize("form", FORMS)
def test_a_model_that_decides_nothing_answers_without_parameters(form: str) -> None:
    assert "parameters" not in document(BARE, form)


def test_the_metadata_say_what_the_decision_rests_on() -> None:
    assert model_metadata(CONTRACT, ["3"])["parameters"]["decision"] == {
        "output": "y",
        "positive": "ill",
        "threshold": 0.25,
        "threshold_version": "7",
        "cost_false_negative": 50.0,
        "cost_false_positive": 1.0,
    }
