"""Open Inference Protocol V2 with the binary tensor data extension, both ways, as tritonclient.

    POST /v2/models/half/infer
    Content-Type: application/octet-stream
    Inference-Header-Content-Length: 153
    {"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","parameters":{"binary_data_size":8}}],
     "parameters":{"binary_data_output":true}}<8 bytes>

The engine hands over the body of an answer without its headers, so where the JSON ends and the
blocks begin is found in the body itself.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from loadtest.datatypes import DTYPES, Array, Rows, datatype_of, text_array
from loadtest.dialects.v2 import V2, tensor_of, v2_outputs
from loadtest.dialects.v2_json import read_json
from loadtest.errors import BadAnswer, BadDialect, excerpt

LENGTH_HEADER = "Inference-Header-Content-Length"

_LENGTH = struct.Struct("<I")
# A string, so that braces inside of one are passed over, or a brace.
_STRING_OR_BRACE = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}]', re.DOTALL)


class V2Binary(V2):
    """V2 with all tensors as little-endian blocks after the JSON."""

    name = "v2-binary"
    content_type = "application/octet-stream"

    def request(self, host_header: str, target: str, rows: Rows) -> bytes:
        blocks = [block_of(array) for array in rows.values()]
        document = {
            "inputs": [
                {
                    "name": name,
                    "shape": list(array.shape),
                    "datatype": datatype_of(array),
                    "parameters": {"binary_data_size": len(block)},
                }
                for (name, array), block in zip(rows.items(), blocks, strict=True)
            ],
            "parameters": {"binary_data_output": True},
        }
        return self.request_of(host_header, target, orjson.dumps(document) + b"".join(blocks))

    def request_of(self, host_header: str, target: str, body: bytes) -> bytes:
        end = json_end(body)
        if end is None:
            raise BadDialect(f"a V2 binary body begins with JSON, not with {excerpt(body)}")
        ours = (("Content-Type", self.content_type), (LENGTH_HEADER, str(end)))
        return self._post(host_header, target, ours, body)

    def outputs(self, body: bytes) -> dict[str, Array]:
        end = json_end(body)
        if end is None:
            raise BadAnswer(f"does not begin with JSON: {excerpt(body)}")
        blocks = memoryview(body)[end:]
        found: dict[str, Array] = {}
        for name, item in v2_outputs(read_json(body[:end])):
            size = (item.get("parameters") or {}).get("binary_data_size")
            if size is None:
                found[name] = tensor_of(name, item, item.get("data"))
                continue
            found[name] = array_of(name, item, bytes(_block(blocks, size)))
            blocks = blocks[size:]
        if len(blocks):
            raise BadAnswer(f"{len(blocks)} bytes after the last output")
        return found


def block_of(array: Array) -> bytes:
    """Return an array as the extension carries it; a BYTES element is its length and UTF-8."""
    if array.dtype != object:
        return array.tobytes()
    texts = [text.encode() for text in array.ravel().tolist()]
    return b"".join(_LENGTH.pack(len(text)) + text for text in texts)


def array_of(name: str, item: Mapping[str, Any], block: bytes) -> Array:
    """Return the array of an output from its block; BYTES that are not UTF-8 stay bytes.

    Raises:
        BadAnswer: the block does not hold as many values as the shape says.
    """
    dtype = DTYPES[item["datatype"]]
    try:
        flat = text_array(_texts(block)) if dtype == object else np.frombuffer(block, dtype)
        return flat.reshape(item["shape"])
    except (ValueError, struct.error) as error:
        raise BadAnswer(f"output {name!r}: {error}") from error


def text_or_bytes(raw: bytes) -> str | bytes:
    """Return text where the bytes are UTF-8."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def json_end(body: bytes) -> int | None:
    """Return where the JSON object at the beginning of `body` ends, None where there is none."""
    if not body.startswith(b"{"):
        return None
    depth = 0
    for match in _STRING_OR_BRACE.finditer(body):
        brace = body[match.start()]
        if brace == ord("{"):
            depth += 1
        elif brace == ord("}"):
            depth -= 1
            if depth == 0:
                return match.end()
    return None


def _block(blocks: memoryview, size: Any) -> memoryview:
    if not isinstance(size, int) or not 0 <= size <= len(blocks):
        raise BadAnswer(f"binary_data_size {size!r}, {len(blocks)} bytes are left")
    return blocks[:size]


def _texts(block: bytes) -> list[Any]:
    texts: list[Any] = []
    at = 0
    while at < len(block):
        (size,) = _LENGTH.unpack_from(block, at)
        at += _LENGTH.size + size
        if at > len(block):
            raise ValueError("the length of an element points past the end")
        texts.append(text_or_bytes(block[at - size : at]))
    return texts
