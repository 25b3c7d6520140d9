"""Open Inference Protocol V2, JSON both ways.

POST /v2/models/half/infer
{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[0.5,1.0]}]}
-> {"model_name":"half","outputs":[{"name":"y","shape":[1,1],"datatype":"FP32","data":[0.75]}]}
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import orjson

from loadtest.datatypes import Array, Rows, datatype_of
from loadtest.dialects.v2 import V2, tensor_of, v2_outputs
from loadtest.errors import BadAnswer, BadDialect, excerpt


class V2Json(V2):
    """V2 with all data as JSON numbers and strings; NaN is null."""

    name = "v2-json"
    content_type = "application/json"
    hides_infinities = True

    def request(self, host_header: str, target: str, rows: Rows) -> bytes:
        inputs = [_input(name, array) for name, array in rows.items()]
        body = orjson.dumps({"inputs": inputs}, option=orjson.OPT_SERIALIZE_NUMPY)
        return self.request_of(host_header, target, body)

    def outputs(self, body: bytes) -> dict[str, Array]:
        document = read_json(body)
        return {
            name: tensor_of(name, item, item.get("data")) for name, item in v2_outputs(document)
        }


def read_json(body: bytes) -> Any:
    """Return parsed JSON; the words NaN and Infinity, which some servers write, are understood.

    Raises:
        BadAnswer: not JSON.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadAnswer(f"not JSON: {excerpt(body)}") from error


def _input(name: str, array: Array) -> dict[str, Any]:
    datatype = datatype_of(array)
    if datatype == "FP16":
        raise BadDialect(f"input {name!r}: JSON does not carry FP16; use a binary dialect")
    flat = array.ravel()
    data = flat.tolist() if datatype == "BYTES" else np.ascontiguousarray(flat)
    return {"name": name, "shape": list(array.shape), "datatype": datatype, "data": data}
