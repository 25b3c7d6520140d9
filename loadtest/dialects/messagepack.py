"""The V2 structure as MessagePack, tensors as raw little-endian bytes: Batchbridge's own dialect.

    POST /v2/models/half/infer
    Content-Type: application/msgpack
    {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": <8 bytes>}]}

BYTES are a list of strings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from loadtest.datatypes import Array, Rows, datatype_of
from loadtest.dialects.dialect import Headers, http_request, merged
from loadtest.dialects.v2_binary import array_of
from loadtest.dialects.v2_json import tensor_of, v2_outputs, v2_target
from loadtest.errors import BadAnswer, excerpt
from loadtest.server_model import ServerModel

CONTENT_TYPE = "application/msgpack"


@dataclass(frozen=True, slots=True)
class MessagePack:
    """V2 as MessagePack. `headers` are sent as well."""

    headers: Headers = ()

    @property
    def name(self) -> str:
        return "messagepack"

    @property
    def hides_infinities(self) -> bool:
        return False

    def target(self, model: ServerModel) -> str:
        return v2_target(model)

    def request(self, host_header: str, target: str, rows: Rows) -> bytes:
        inputs = [
            {
                "name": name,
                "shape": list(array.shape),
                "datatype": datatype_of(array),
                "data": array.ravel().tolist() if array.dtype == object else array.tobytes(),
            }
            for name, array in rows.items()
        ]
        return self.request_of(host_header, target, msgspec.msgpack.encode({"inputs": inputs}))

    def request_of(self, host_header: str, target: str, body: bytes) -> bytes:
        headers = merged((("Content-Type", CONTENT_TYPE),), self.headers)
        return http_request("POST", target, host_header, headers, body)

    def outputs(self, body: bytes) -> dict[str, Array]:
        try:
            document = msgspec.msgpack.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadAnswer(f"not MessagePack: {excerpt(body)}") from error
        return {name: _output(name, item) for name, item in v2_outputs(document)}


def _output(name: str, item: Mapping[str, Any]) -> Array:
    data = item.get("data")
    return array_of(name, item, data) if isinstance(data, bytes) else tensor_of(name, item, data)
