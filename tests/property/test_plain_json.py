"""Plain requests, read and answered together, are what each is alone."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bridge.contract.datatype import DATATYPES
from bridge.contract.model import ModelContract, TensorSpec, ValueRules
from bridge.gateway.dialects.call import InputLimits
from bridge.gateway.dialects.door import Door
from bridge.gateway.dialects.plain import Plain
from tests.property.arrays import Array
from tests.property.plain import fields

LIMITS = InputLimits(rows_max=5, id_chars_max=8)
NUMBERS = [name for name in DATATYPES if name not in ("BYTES", "FP16")]
OUTPUTS = (
    TensorSpec(name="y", datatype="FP32", shape=(-1, 2)),
    TensorSpec(name='la"bel', datatype="INT64", shape=(-1,)),
    TensorSpec(name="z", datatype="BOOL", shape=(-1, 1, 3)),
)
ids = st.text(max_size=9) | st.none()


@st.composite
def doors(draw: st.DrawFn) -> Door:
    datatype = draw(st.sampled_from(NUMBERS))
    row_shape = draw(st.lists(st.integers(1, 3), max_size=2))
    rules = ValueRules()
    if DATATYPES[datatype].kind in ("integer", "floating"):
        rules = draw(st.sampled_from([ValueRules(), ValueRules(range=(0, 2))]))
    spec = TensorSpec(name="x", datatype=datatype, shape=(-1, *row_shape), rules=rules)
    return Door(contract(spec), LIMITS)


def contract(spec: TensorSpec) -> ModelContract:
    return ModelContract(name="m", version="1", platform="p", inputs=(spec,), outputs=OUTPUTS)


def plain_of(door: Door) -> Plain:
    plain = door.plain("application/json", None)
    assert plain is not None
    return plain


def tensor_of(door: Door) -> TensorSpec:
    return door._contract.inputs[0]  # the contract that the test itself has given


@st.composite
def bodies(draw: st.DrawFn, spec: TensorSpec) -> bytes:
    """A body that may be plain, or nearly."""
    rows = draw(st.integers(0, 6))
    shape = (rows, *spec.row_shape)
    kind = spec.type.kind
    elements = {
        "bool": st.booleans(),
        "integer": st.integers(-2, 3),
        "floating": st.floats(width=32) | st.integers(0, 2) | st.none(),
    }[kind]
    count = int(np.prod(shape))
    data: Any = draw(st.lists(elements, min_size=count, max_size=count))
    if draw(st.booleans()):
        data = nested(data, shape)
    item: dict[str, Any] = {
        "name": draw(st.sampled_from(["x", "x", "x", "y", "a:b"])),
        "shape": draw(st.sampled_from([shape, shape, shape, (1,), []])),
        "datatype": draw(st.sampled_from([spec.datatype, spec.datatype, "FP64", "INT8"])),
        "data": data,
    }
    document: dict[str, Any] = {"inputs": [item] * draw(st.sampled_from([1, 1, 1, 0, 2]))}
    for key, value in draw(
        st.dictionaries(
            st.sampled_from(["id", "parameters", "outputs", "model_name", "other"]),
            ids | st.just({}) | st.just({"priority": 1}) | st.just([{"name": "y"}]),
            max_size=2,
        )
    ).items():
        document[key] = value
    indent = draw(st.sampled_from([None, None, 1]))
    text = json.dumps(document, ensure_ascii=draw(st.booleans()), indent=indent)
    at = draw(st.integers(0, len(text)))
    return draw(
        st.sampled_from(
            [
                text,
                text,
                text,
                text[:at],
                text.replace('"name"', '"name":"y","name"', 1),
                text.replace('"data"', '"d\\u0061ta"', 1),
                text[:at] + " " + text[at:],
                f"{text} 1",
            ]
        )
    ).encode("utf-8", "surrogatepass")


def nested(values: list[Any], shape: tuple[int, ...]) -> list[Any]:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    made: list[Any] = array.reshape(shape).tolist()
    return made


@given(st.data())
def test_what_is_plain_is_what_the_door_makes_of_it_alone(data: st.DataObject) -> None:
    door = data.draw(doors())
    sent = data.draw(st.lists(bodies(tensor_of(door)), max_size=6))
    calls = plain_of(door).read(sent, 0)
    assert sorted(calls.places + calls.others) == list(range(len(sent)))
    end = 0
    for place, size, said in zip(calls.places, calls.sizes, calls.said, strict=True):
        alone = door.parse("application/json", None, sent[place])
        rows = calls.array[end : end + size]
        end += size
        assert alone.tensors["x"].tobytes() == rows.tobytes()
        assert (rows.dtype, rows.shape) == (alone.tensors["x"].dtype, alone.tensors["x"].shape)
        plain = plain_of(door).call(said, size)
        assert fields(alone) == fields(plain)


@given(st.data())
def test_usual_bodies_are_plain(data: st.DataObject) -> None:
    door = data.draw(doors())
    spec = tensor_of(door)
    sizes = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=5))
    sent = []
    for rows in sizes:
        array = np.ones((rows, *spec.row_shape), spec.type.dtype)
        item = {"name": "x", "shape": array.shape, "datatype": spec.datatype}
        is_nested = len(spec.row_shape) == 1 and data.draw(st.booleans())
        values = array.tolist() if is_nested else array.ravel().tolist()
        more = data.draw(st.sampled_from([{}, {"id": "a"}, {"id": ""}, {"id": None}]))
        sent.append(json.dumps({"inputs": [{**item, "data": values}], **more}).encode())
    calls = plain_of(door).read(sent, 0)
    assert (calls.others, calls.sizes) == ([], sizes)


@given(
    st.integers(1, 6),
    st.data(),
    st.sampled_from([None, "", "a", 'ü"\\']),
)
def test_the_answer_is_what_the_door_writes_alone(
    rows: int, data: st.DataObject, id: str | None
) -> None:
    door = Door(contract(TensorSpec(name="x", datatype="FP32", shape=(-1, 1))), LIMITS)
    arrays: dict[str, Array] = {
        spec.name: data.draw(hnp.arrays(spec.type.dtype, (rows, *spec.row_shape)))
        for spec in OUTPUTS
    }
    start = data.draw(st.integers(0, rows - 1))
    count = data.draw(st.integers(1, rows - start))
    written = plain_of(door).write(arrays)
    call = plain_of(door).call(id, count)
    own = {name: array[start : start + count] for name, array in arrays.items()}
    alone = door.answer(call, own).data
    if written is None:
        assert not np.isfinite(arrays["y"]).all()
    else:
        assert plain_of(door).answer(id, start, count, written).body == alone
