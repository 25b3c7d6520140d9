"""Rows as golden callers send them, and answers as they read them, beside the gateway's door."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bridge.client.errors import BadAnswer
from bridge.contract.model import ModelContract, TensorSpec, ValueRules
from bridge.gateway.dialects.call import InputLimits
from bridge.gateway.dialects.door import Door
from bridge.golden.wire_formats import LENGTH_HEADER, wire_formats

NULLABLE = ValueRules(nulls="allow")
SPECS = (
    TensorSpec(name="x", datatype="FP32", shape=(-1, 3), rules=NULLABLE),
    TensorSpec(name="n", datatype="UINT64", shape=(-1,)),
    TensorSpec(name="flag", datatype="BOOL", shape=(-1, 2)),
    TensorSpec(name="text", datatype="BYTES", shape=(-1, 2)),
)
CONTRACT = ModelContract(name="m", version="1", platform="python", inputs=SPECS, outputs=SPECS)
ROWS: dict[str, np.ndarray[Any, Any]] = {
    "x": np.array([[0.1, -0.0, np.nan], [3.4e38, 1e-45, 5.0]], np.float32),
    "n": np.array([2**64 - 1, 0], np.uint64),
    "flag": np.array([[True, False], [False, True]]),
    "text": np.array([["ä\n\0", ""], ["日本", '"']], object),
}
FORMS = {form.name: form for form in wire_formats(CONTRACT)}


def half_precision(name: str) -> ModelContract:
    spec = TensorSpec(name=name, datatype="FP16", shape=(-1,))
    return ModelContract(
        name="m", version="1", platform="python", inputs=(SPECS[1],), outputs=(spec,)
    )


@pytest.mark.parametrize("name", ["JSON", "binary", "MessagePack"])
def test_the_gateway_gets_the_rows_and_gives_the_answers_to_the_bit(name: str) -> None:
    form, door = FORMS[name], Door(CONTRACT, InputLimits())
    body = form.write(ROWS)
    length = body.headers.get(LENGTH_HEADER)
    call = door.parse(body.headers["Content-Type"], int(length) if length else None, body.data)
    for key, array in ROWS.items():
        np.testing.assert_array_equal(call.tensors[key], array, strict=True)
    answer = door.answer(call, ROWS)
    found = form.read(dict(answer.headers), answer.data)
    assert list(found) == list(ROWS)
    for key, array in ROWS.items():
        texts = np.array([_text(one) for one in found[key].ravel().tolist()], object)
        got = texts.reshape(array.shape) if array.dtype == object else found[key]
        np.testing.assert_array_equal(got, array, strict=True)


@pytest.mark.parametrize("name", ["JSON", "binary", "MessagePack"])
def test_what_is_no_answer_is_said(name: str) -> None:
    with pytest.raises(BadAnswer):
        FORMS[name].read({}, b'{"outputs": [{"name"')


def test_json_is_left_out_where_it_cannot_carry_a_tensor() -> None:
    forms = [form.name for form in wire_formats(half_precision("y"))]
    assert forms == ["binary", "MessagePack"]


def _text(item: Any) -> Any:
    return item.decode() if isinstance(item, bytes) else item
