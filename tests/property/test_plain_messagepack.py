"""Plain MessagePack requests, read and answered together, are what each is alone."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bridge.contract.model import TensorSpec
from bridge.gateway.dialects.door import Door
from bridge.gateway.dialects.plain import Plain
from tests.property.arrays import Array
from tests.property.plain import OUTPUTS, door_for, fields, ids, plain_for, specs

MESSAGEPACK = "application/msgpack"


def plain_of(door: Door) -> Plain:
    return plain_for(door, MESSAGEPACK, None)


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
