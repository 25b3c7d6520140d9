"""Plain MessagePack requests, read and answered together, are what each is alone."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bridge.contract.datatype import DATATYPES
from bridge.contract.model import ModelContract, TensorSpec, ValueRules
from bridge.gateway.dialects.call import InferCall, InputLimits
from bridge.gateway.dialects.door import Door
from bridge.gateway.dialects.plain import Plain
from tests.property.arrays import Array

MESSAGEPACK = "application/msgpack"
LIMITS = InputLimits(rows_max=5, id_chars_max=8)
NUMBERS = [name for name, kind in DATATYPES.items() if kind.kind in ("integer", "floating")]
OUTPUTS = (
    TensorSpec(name="y", datatype="FP32", shape=(-1, 2)),
    TensorSpec(name="label", datatype="INT64", shape=(-1,)),
    TensorSpec(name="half", datatype="FP16", shape=(-1, 1, 3)),
)
ids = st.sampled_from([None, "", "a", "long enough to be refused"])


def door_for(spec: TensorSpec) -> Door:
    contract = ModelContract(name="m", version="1", platform="p", inputs=(spec,), outputs=OUTPUTS)
    return Door(contract, LIMITS)


def plain_of(door: Door) -> Plain:
    plain = door.plain(MESSAGEPACK, None)
    assert plain is not None
    return plain


@st.composite
def specs(draw: st.DrawFn) -> TensorSpec:
    datatype = draw(st.sampled_from(NUMBERS))
    row_shape = draw(st.lists(st.integers(1, 3), max_size=2))
    rules = draw(st.sampled_from([ValueRules(), ValueRules(range=(0, 2))]))
    return TensorSpec(name="x", datatype=datatype, shape=(-1, *row_shape), rules=rules)


def item(spec: TensorSpec, rows: int, block: bytes) -> dict[str, Any]:
    shape = (rows, *spec.row_shape)
    return {"name": "x", "shape": shape, "datatype": spec.datatype, "data": block}


@st.composite
def bodies(draw: st.DrawFn, spec: TensorSpec) -> bytes:
    """A body that may be plain, or nearly."""
    rows = draw(st.integers(0, 6))
    block = draw(hnp.arrays(spec.type.dtype, (rows, *spec.row_shape))).tobytes()
    block += draw(st.sampled_from([b"", b"", b"", b"x"]))
    document: dict[str, Any] = {"inputs": [item(spec, rows, block)] * draw(st.integers(1, 2))}
    if draw(st.booleans()):
        document["inputs"] = document["inputs"][:1]
    if draw(st.booleans()):
        document["id"] = draw(ids)
    if not draw(st.integers(0, 4)):
        document["parameters"] = {"priority": 1}
    if not draw(st.integers(0, 4)):
        document["outputs"] = [{"name": "y"}]
    body = msgspec.msgpack.encode(document)
    name = msgspec.msgpack.encode("name")
    at = draw(st.integers(0, len(body)))
    size = bytes((len(block) % 256,))
    return draw(
        st.sampled_from(
            [
                body,
                body,
                body,
                body[:at],
                body + b"\x00",
                # The name twice; the data as bin 32 however short; the id twice.
                body.replace(b"\x84" + name, b"\x85" + name + b"\xa1y" + name, 1),
                body.replace(b"\xc4" + size, b"\xc6\0\0\0" + size, 1),
                b"\x82" + b"\xa2id\xa1a" + body[1:],
            ]
        )
    )


@given(st.data())
def test_what_is_plain_is_what_the_door_makes_of_it_alone(data: st.DataObject) -> None:
    spec = data.draw(specs())
    door = door_for(spec)
    sent = data.draw(st.lists(bodies(spec), max_size=6))
    calls = plain_of(door).read(sent, 0)
    assert sorted(calls.places + calls.others) == list(range(len(sent)))
    end = 0
    for place, size, said in zip(calls.places, calls.sizes, calls.said, strict=True):
        alone = door.parse(MESSAGEPACK, None, sent[place])
        rows = calls.array[end : end + size]
        end += size
        assert alone.tensors["x"].tobytes() == rows.tobytes()
        assert (rows.dtype, rows.shape) == (alone.tensors["x"].dtype, alone.tensors["x"].shape)
        assert fields(alone) == fields(plain_of(door).call(said, size))


def fields(call: InferCall) -> tuple[object, ...]:
    """All but the rows."""
    return (call.id, call.rows, call.outputs, call.timeout_s, call.priority, call.form)


@given(specs(), st.lists(st.integers(1, 5), min_size=1), st.sampled_from(["a", "", None]))
def test_usual_bodies_are_plain(spec: TensorSpec, sizes: list[int], id: str | None) -> None:
    more = {} if id == "" else {"id": id}
    sent = [
        msgspec.msgpack.encode(
            {
                **more,
                "inputs": [
                    item(spec, rows, np.ones((rows, *spec.row_shape), spec.type.dtype).tobytes())
                ],
            }
        )
        for rows in sizes
    ]
    calls = plain_of(door_for(spec)).read(sent, 0)
    assert (calls.others, calls.sizes) == ([], sizes)


@given(st.integers(1, 6), st.data(), st.sampled_from([None, "", "a"]))
def test_the_answer_is_what_the_door_writes_alone(
    rows: int, data: st.DataObject, id: str | None
) -> None:
    spec = TensorSpec(name="x", datatype="FP32", shape=(-1, 1))
    door = door_for(spec)
    arrays: dict[str, Array] = {
        one.name: data.draw(hnp.arrays(one.type.dtype, (rows, *one.row_shape))) for one in OUTPUTS
    }
    start = data.draw(st.integers(0, rows - 1))
    count = data.draw(st.integers(1, rows - start))
    plain = plain_of(door)
    written = plain.write(arrays)
    assert written is not None
    own = {name: array[start : start + count] for name, array in arrays.items()}
    alone = door.answer(plain.call(id, count), own)
    answer = plain.answer(id, start, count, written)
    assert answer == (f"Content-Type: {alone.content_type}", alone.data)
