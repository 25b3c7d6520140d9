"""What the three dialects of the Open Inference Protocol V2 share: path, outputs, tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from loadtest.datatypes import DTYPES, Array, text_array
from loadtest.dialects.dialect import Headers, http_request, merged, url_prefix
from loadtest.errors import BadAnswer
from loadtest.server_model import ServerModel, model_path

_NOTHING = object()


@dataclass(frozen=True, slots=True)
class V2:
    """A V2 dialect without its bodies. `headers` are sent with every request."""

    headers: Headers = ()
    name: ClassVar[str]
    content_type: ClassVar[str]
    hides_infinities: ClassVar[bool] = False
    may_leave_out_rows: ClassVar[bool] = False

    def target(self, model: ServerModel) -> str:
        return f"{url_prefix(model)}{model_path(model.name, model.version)}/infer"

    def request_of(self, host_header: str, target: str, body: bytes) -> bytes:
        return self._post(host_header, target, (("Content-Type", self.content_type),), body)

    def _post(self, host_header: str, target: str, headers: Headers, body: bytes) -> bytes:
        return http_request("POST", target, host_header, merged(headers, self.headers), body)


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
