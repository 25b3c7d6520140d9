"""Plain binary requests, read and answered together, are what each is alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bridge.contract.model import TensorSpec
from bridge.gateway.dialects.door import Door
from bridge.gateway.dialects.plain import Plain
from tests.property.arrays import Array
from tests.property.plain import OUTPUTS, door_for, fields, ids, plain_for, specs

BINARY = "application/octet-stream"


def plain_of(door: Door, header_bytes: int) -> Plain:
    return plain_for(door, BINARY, header_bytes)


def header(spec: TensorSpec, rows: int, block_bytes: int, **more: Any) -> bytes:
    item = {
        "name": "x",
        "shape": (rows, *spec.row_shape),
        "datatype": spec.datatype,
        "parameters": {"binary_data_size": block_bytes},
    }
    return orjson.dumps({"inputs": [item], **more})


@st.composite
def bodies(draw: st.DrawFn, spec: TensorSpec) -> tuple[bytes, int]:
    """A body that may be plain, or nearly, and the bytes of its JSON."""
    rows = draw(st.integers(0, 6))
    block = draw(hnp.arrays(spec.type.dtype, (rows, *spec.row_shape))).tobytes()
    block += draw(st.sampled_from([b"", b"", b"", b"x"]))
    more: dict[str, Any] = {}
    if draw(st.booleans()):
        more["id"] = draw(ids)
    parameters = {"binary_data_output": True, **draw(st.sampled_from([{}, {}, {"priority": 1}]))}
    if draw(st.integers(0, 4)):
        more["parameters"] = parameters
    if not draw(st.integers(0, 4)):
        more["outputs"] = [{"name": "y"}]
    text = header(spec, rows, draw(st.sampled_from([len(block)] * 4 + [1])), **more)
    return text + block, len(text)


@given(st.data())
def test_what_is_plain_is_what_the_door_makes_of_it_alone(data: st.DataObject) -> None:
    spec = data.draw(specs())
    door = door_for(spec)
    sent = data.draw(st.lists(bodies(spec), max_size=6))
    for length in {length for _, length in sent}:
        # Twice: what comes again is known.
        for _ in range(2):
            check(door, [body for body, own in sent if own == length], length)


def check(door: Door, sent: list[bytes], length: int) -> None:
    calls = plain_of(door, length).read(sent, length)
    assert sorted(calls.places + calls.others) == list(range(len(sent)))
    end = 0
    for place, size, said in zip(calls.places, calls.sizes, calls.said, strict=True):
        alone = door.parse(BINARY, length, sent[place])
        rows = calls.array[end : end + size]
        end += size
        assert alone.tensors["x"].tobytes() == rows.tobytes()
        assert (rows.dtype, rows.shape) == (alone.tensors["x"].dtype, alone.tensors["x"].shape)
        assert fields(alone) == fields(plain_of(door, length).call(said, size))


@given(specs(), st.lists(st.sampled_from([1, 1, 3]), min_size=1), st.sampled_from(["a", "", None]))
def test_usual_bodies_are_plain(spec: TensorSpec, sizes: list[int], id: str | None) -> None:
    sent = []
    for rows in sizes:
        block = np.ones((rows, *spec.row_shape), spec.type.dtype).tobytes()
        # As long for one row as for three.
        wanted = {"binary_data_output": True, "padding": "x" * (3 - len(str(len(block))))}
        text = header(spec, rows, len(block), id=id, parameters=wanted)
        sent.append((text, block))
    length = len(sent[0][0])
    calls = plain_of(door_for(spec), length).read([text + block for text, block in sent], length)
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
    count = data.draw(st.integers(1, min(5, rows - start)))
    text = header(spec, count, 4 * count, id=id, parameters={"binary_data_output": True})
    body = text + np.zeros(count, "<f4").tobytes()
    plain = plain_of(door, len(text))
    (said,) = plain.read([body], len(text)).said
    written = plain.write(arrays)
    assert written is not None
    own = {name: array[start : start + count] for name, array in arrays.items()}
    alone = door.answer(door.parse(BINARY, len(text), body), own)
    headers = [f"Content-Type: {alone.content_type}", *(f"{k}: {v}" for k, v in alone.headers)]
    assert plain.answer(said, start, count, written) == ("\r\n".join(headers), alone.data)
