"""Open Inference Protocol V2, JSON both ways.

POST /v2/models/half/infer
{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[0.5,1.0]}]}
-> {"model_name":"half","outputs":[{"name":"y","shape":[1,1],"datatype":"FP32","data":[0.75]}]}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from loadtest.datatypes import DTYPES, Array, Rows, datatype_of, text_array
from loadtest.dialects.dialect import Headers, http_request, merged, url_prefix
from loadtest.errors import BadAnswer, BadDialect, excerpt
from loadtest.server_model import ServerModel, model_path

CONTENT_TYPE = "application/json"
_NOTHING = object()


@dataclass(frozen=True, slots=True)
class V2Json:
    """V2 with all data as JSON numbers and strings; NaN is null. `headers` are sent as well."""

    headers: Headers = ()

    @property
    def name(self) -> str:
        return "v2-json"

    @property
    def hides_infinities(self) -> bool:
        return True

    def target(self, model: ServerModel) -> str:
        return v2_target(model)

    def request(self, host_header: str, target: str, rows: Rows) -> bytes:
        inputs = [_input(name, array) for name, array in rows.items()]
        body = orjson.dumps({"inputs": inputs}, option=orjson.OPT_SERIALIZE_NUMPY)
        return self.request_of(host_header, target, body)

    def request_of(self, host_header: str, target: str, body: bytes) -> bytes:
        headers = merged((("Content-Type", CONTENT_TYPE),), self.headers)
        return http_request("POST", target, host_header, headers, body)

    def outputs(self, body: bytes) -> dict[str, Array]:
        document = read_json(body)
        return {
            name: tensor_of(name, item, item.get("data")) for name, item in v2_outputs(document)
        }


def v2_target(model: ServerModel) -> str:
    """Return the infer path of a V2 server."""
    return f"{url_prefix(model)}{model_path(model.name, model.version)}/infer"


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


def v2_outputs(document: Any) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the outputs of a V2 answer, in order, by name.

    Raises:
        BadAnswer: not an object with outputs that have a name, shape and known datatype.
    """
    try:
        items = [(str(item["name"]), item) for item in document["outputs"]]
        for name, item in items:
            if item["datatype"] not in DTYPES:
                raise BadAnswer(f"output {name!r}: unknown datatype {item['datatype']!r}")
            if not all(isinstance(size, int) and size >= 0 for size in item["shape"]):
                raise BadAnswer(f"output {name!r}: {item['shape']!r} is not a shape")
    except (KeyError, TypeError) as error:
        raise BadAnswer(f"not a V2 answer: {type(error).__name__}: {error}") from error
    return items


def tensor_of(name: str, item: Mapping[str, Any], data: Any) -> Array:
    """Return nested or flat `data` as an array of the output's datatype and shape; null is NaN.

    Raises:
        BadAnswer: no data, values of another type, or not as many as the shape says.
    """
    if data is None:
        raise BadAnswer(f"output {name!r}: has no data")
    dtype = DTYPES[item["datatype"]]
    flat = text_array(_flat(data))
    # numpy would cut 1.5 to 1 and read "1" as a number: an answer of another type must not pass.
    wrong = next((value for value in flat if not _is_of(dtype.kind, value)), _NOTHING)
    if wrong is not _NOTHING:
        raise BadAnswer(f"output {name!r}: {wrong!r} is not {item['datatype']}")
    try:
        return (flat if dtype == object else np.array(flat.tolist(), dtype)).reshape(item["shape"])
    except (TypeError, ValueError, OverflowError) as error:
        raise BadAnswer(f"output {name!r}: {error}") from error


def _is_of(kind: str, value: object) -> bool:
    if isinstance(value, bool):
        return kind == "b"
    if kind == "f":
        return value is None or isinstance(value, int | float)
    return isinstance(value, int) if kind in "iu" else isinstance(value, str | bytes)


def _flat(data: Any) -> list[Any]:
    if not isinstance(data, list):
        return [data]
    if not any(isinstance(item, list) for item in data):
        return data
    return [element for item in data for element in _flat(item)]


def _input(name: str, array: Array) -> dict[str, Any]:
    datatype = datatype_of(array)
    if datatype == "FP16":
        raise BadDialect(f"input {name!r}: JSON does not carry FP16; use a binary dialect")
    flat = array.ravel()
    data = flat.tolist() if datatype == "BYTES" else np.ascontiguousarray(flat)
    return {"name": name, "shape": list(array.shape), "datatype": datatype, "data": data}
