"""The V2 structure as MessagePack, tensors as raw little-endian bytes: Batchbridge's own dialect.

    POST /v2/models/half/infer
    Content-Type: application/msgpack
    {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": <8 bytes>}]}

BYTES are a list of strings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from loadtest.datatypes import Array, Rows, datatype_of
from loadtest.dialects.v2 import V2, tensor_of, v2_outputs
from loadtest.dialects.v2_binary import array_of
from loadtest.errors import BadAnswer, excerpt


class MessagePack(V2):
    """V2 as MessagePack."""

    name = "messagepack"
    content_type = "application/msgpack"

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

    def outputs(self, body: bytes) -> dict[str, Array]:
        try:
            document = msgspec.msgpack.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadAnswer(f"not MessagePack: {excerpt(body)}") from error
        return {name: _output(name, item) for name, item in v2_outputs(document)}


def _output(name: str, item: Mapping[str, Any]) -> Array:
    data = item.get("data")
    return array_of(name, item, data) if isinstance(data, bytes) else tensor_of(name, item, data)
