"""A system whose model has one input of each kind, and requests for it, literal where needed."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.raw_http import Answer, ask, request
from tests.system import System, TestedGateway
from tests.tiny_models import (
    PATIENT,
    RECORDING_PIPELINE,
    Recording,
    infer_body,
    tensors,
    write_version,
)

TYPED = "/v2/models/typed/infer"
STRANGE = "/v2/models/strange/infer"
BROKEN = "/v2/models/broken/infer"
COUNTED = "/v2/models/counted/infer"
READY = "/v2/health/ready"

# Name to datatype, shape and the JSON text of the data.
INPUTS: Mapping[str, tuple[str, str, str]] = {
    "single": ("FP32", "[1,2]", "[0.5,1.5]"),
    "double": ("FP64", "[1]", "[2.5]"),
    "count": ("INT64", "[1]", "[3]"),
    "level": ("UINT8", "[1]", "[7]"),
    "word": ("BYTES", "[1]", '["soya"]'),
    "flag": ("BOOL", "[1]", "[true]"),
}

_TYPED = """
import numpy as np


def predict(inputs):
    return {
        "same": inputs["single"],
        "twice": inputs["double"] * 2,
        "letters": np.array([len(word) for word in inputs["word"]]),
    }
"""

_TYPED_CONTRACT = f"""
{PATIENT}
[inputs.single]
datatype = "FP32"
shape = [-1, 2]
columns = ["any", "mass"]
column.mass.range = [0, 1e6]
[inputs.double]
datatype = "FP64"
[inputs.count]
datatype = "INT64"
range = [-5, 9]
[inputs.level]
datatype = "UINT8"
[inputs.word]
datatype = "BYTES"
[inputs.flag]
datatype = "BOOL"
[outputs.same]
datatype = "FP32"
shape = [-1, 2]
[outputs.twice]
datatype = "FP64"
[outputs.letters]
datatype = "INT64"
"""

_STRANGE = """
import numpy as np

KINDS = np.array([1.5, np.nan, np.inf, -np.inf])


def predict(inputs):
    return {"y": KINDS[inputs["kind"]]}
"""

_STRANGE_CONTRACT = f"""
{PATIENT}
[inputs.kind]
datatype = "INT64"
range = [0, 3]
[outputs.y]
datatype = "FP64"
"""

# Raises on every row, and says the row's text when it does.
_BROKEN = """
def predict(inputs):
    raise ValueError(str(inputs["word"][0]))
"""

_BROKEN_CONTRACT = f"""
{PATIENT}
[inputs.word]
datatype = "BYTES"
[outputs.y]
datatype = "FP64"
"""

_numbers = itertools.count(1)


@dataclass(frozen=True)
class TypedSystem:
    """A running system of these models; `counted` is what the model of that name has run."""

    system: System
    counted: Recording

    @property
    def url(self) -> str:
        """The gateway's."""
        return self.system.url

    @property
    def gateway(self) -> TestedGateway:
        """The only gateway."""
        return self.system.gateways[0]


def write_models(root: Path) -> Recording:
    """Write the models; return the record of what `counted` runs.

    `typed` has an input of each kind, `strange` answers kind 1, 2, 3 with NaN, Infinity,
    -Infinity, `broken` always raises.
    """
    write_version(root, "typed", pipeline=_TYPED, contract=_TYPED_CONTRACT)
    write_version(root, "strange", pipeline=_STRANGE, contract=_STRANGE_CONTRACT)
    write_version(root, "broken", pipeline=_BROKEN, contract=_BROKEN_CONTRACT)
    contract = PATIENT + tensors()
    return Recording(write_version(root, "counted", pipeline=RECORDING_PIPELINE, contract=contract))


def counted_request(number: float) -> bytes:
    """A whole request of one row for `counted`, which writes down what it runs."""
    return request("POST", COUNTED, body=json.dumps(infer_body([number])).encode())


def broken_request(word: str, *headers: str) -> bytes:
    """A whole request for `broken`."""
    tensor = {"name": "word", "shape": [1], "datatype": "BYTES", "data": [word]}
    return request("POST", BROKEN, headers, json.dumps({"inputs": [tensor]}).encode())


def tensor_text(
    name: str, data: str | None = None, shape: str | None = None, datatype: str | None = None
) -> str:
    """One input as JSON text, a good one where nothing else is given."""
    good_datatype, good_shape, good_data = INPUTS[name]
    return (
        f'{{"name":"{name}","shape":{shape or good_shape},'
        f'"datatype":"{datatype or good_datatype}","data":{data or good_data}}}'
    )


def body(*replaced: str, more: str = "") -> bytes:
    """A request for `typed` with some inputs replaced by other text; `more` comes before them."""
    names = {name: text for text in replaced for name in INPUTS if f'"name":"{name}"' in text}
    inputs = ",".join(names.get(name) or tensor_text(name) for name in INPUTS)
    return f'{{{more}"inputs":[{inputs}]}}'.encode("utf-8", "surrogatepass")


def with_data(name: str, data: str, shape: str | None = None) -> bytes:
    """A request with this text as the data of one input."""
    return body(tensor_text(name, data, shape))


async def post(url: str, data: bytes, *headers: str, path: str = TYPED) -> Answer:
    """POST over a connection of its own."""
    answer = await ask(url, request("POST", path, headers, data))
    assert answer is not None, "closed without an answer"
    return answer


def outputs(answer: Answer) -> dict[str, Any]:
    """The outputs of an answer by name."""
    assert answer.status == 200, answer.body
    return {output["name"]: output["data"] for output in answer.document["outputs"]}


async def assert_alive_and_right(url: str) -> None:
    """Every case ends with this: the gateway is ready, and a good request gets its own answer."""
    ready = await ask(url, request(path=READY))
    assert ready is not None
    number = next(_numbers)
    answer = await post(url, with_data("double", json.dumps([number])))
    assert (ready.status, outputs(answer)["twice"]) == (200, [2.0 * number])
