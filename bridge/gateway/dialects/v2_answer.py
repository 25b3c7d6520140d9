"""Open Inference Protocol V2 answers: JSON, or JSON followed by binary blocks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from bridge.contract.model import ModelContract
from bridge.gateway.dialects import binary
from bridge.gateway.dialects.answer_head import answer_head
from bridge.gateway.dialects.call import Array, Body, InferCall, WantedOutput

# Exactly this: KServe's client reads an error's text only without a charset.
JSON_TYPE = "application/json"
BINARY_TYPE = "application/octet-stream"
LENGTH_HEADER = "Inference-Header-Content-Length"


class V2Answers:
    """Writes the V2 answers of one model version."""

    def __init__(self, contract: ModelContract) -> None:
        self._datatypes = {spec.name: spec.datatype for spec in contract.outputs}
        self._head = answer_head(contract)

    def write(self, call: InferCall, outputs: Mapping[str, Array]) -> Body:
        """Return the answer; `outputs` hold every wanted output in the contract's dtype.

        NaN and infinities, which JSON does not know, are null there, and the output's parameter
        `non_finite` says how many. BYTES elements that are not UTF-8 have these bytes escaped,
        and `not_utf8` says how many. Binary blocks carry all of them as they are.
        """
        document = self._document(call)
        blocks: list[bytes] = []
        document["outputs"] = [
            self._output(wanted, outputs[wanted.name], blocks) for wanted in call.outputs
        ]
        text = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
        if b"null" in text:
            # Something is not finite, or is named so; rare enough to look again.
            _note_non_finite(document["outputs"])
            text = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
        if call.form == "json":
            return Body(JSON_TYPE, (), text)
        return Body(BINARY_TYPE, ((LENGTH_HEADER, str(len(text))),), b"".join((text, *blocks)))

    def _document(self, call: InferCall) -> dict[str, Any]:
        if call.id is None:
            return {**self._head}
        return {**self._head, "id": call.id}

    def _output(self, wanted: WantedOutput, array: Array, blocks: list[bytes]) -> dict[str, Any]:
        output: dict[str, Any] = {
            "name": wanted.name,
            "shape": array.shape,
            "datatype": self._datatypes[wanted.name],
        }
        if wanted.binary:
            block = binary.to_bytes(array)
            blocks.append(block)
            output["parameters"] = {"binary_data_size": len(block)}
        elif array.dtype.kind in "OSU":
            _put_text(output, array)
        else:
            output["data"] = array.ravel()
        return output


def _put_text(output: dict[str, Any], array: Array) -> None:
    output["data"], not_utf8 = readable_texts(array)
    if not_utf8:
        output["parameters"] = {"not_utf8": not_utf8}


def readable_texts(array: Array) -> tuple[list[str], int]:
    """Return BYTES as text, in C order, and how many of them had bytes that were escaped."""
    data: list[str] = []
    not_utf8 = 0
    for item in array.ravel().tolist():
        raw = binary.as_bytes(item)
        try:
            data.append(raw.decode())
        except UnicodeDecodeError:
            not_utf8 += 1
            data.append(raw.decode("utf-8", "backslashreplace"))
    return data, not_utf8


def _note_non_finite(outputs: list[dict[str, Any]]) -> None:
    for output in outputs:
        data = output.get("data")
        if isinstance(data, np.ndarray) and data.dtype.kind == "f":
            count = data.size - int(np.count_nonzero(np.isfinite(data)))
            if count:
                output["parameters"] = {"non_finite": count}
