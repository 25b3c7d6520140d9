"""Any contract, any values, any bytes: what goes in comes out, or is refused by name."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bridge.contract.datatype import DATATYPES
from bridge.contract.invalid import MESSAGE_BYTES_MAX, InvalidCode, InvalidInput
from bridge.contract.model import ModelContract, TensorSpec, ValueRules
from bridge.gateway.dialects import binary, json_fault
from bridge.gateway.dialects.call import InferCall, InputLimits
from bridge.gateway.dialects.door import Door

Array = np.ndarray[Any, np.dtype[Any]]

CONTENT_TYPES = [None, "application/json", "application/octet-stream", "application/msgpack"]
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@dataclass(frozen=True)
class Example:
    """A contract and tensors that it accepts."""

    contract: ModelContract
    tensors: dict[str, Array]

    @property
    def door(self) -> Door:
        return Door(self.contract, InputLimits())


@st.composite
def examples(draw: st.DrawFn, *, finite: bool = False, halves: bool = True) -> Example:
    names = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    rows = draw(st.integers(1, 4))
    specs, tensors = [], {}
    for name in names:
        datatype = draw(st.sampled_from([n for n in DATATYPES if halves or n != "FP16"]))
        row_shape = draw(st.lists(st.integers(1, 3), max_size=2))
        shape = (-1, *(draw(st.sampled_from([size, -1])) for size in row_shape))
        specs.append(TensorSpec(name=name, datatype=datatype, shape=shape))
        tensors[name] = draw(arrays(datatype, (rows, *row_shape), finite=finite))
    outputs = (TensorSpec(name="y", datatype="FP32", shape=(-1,)),)
    contract = ModelContract(
        name="m", version="1", platform="p", inputs=tuple(specs), outputs=outputs
    )
    return Example(contract, tensors)


def arrays(datatype: str, shape: tuple[int, ...], *, finite: bool) -> st.SearchStrategy[Array]:
    kind = DATATYPES[datatype]
    if kind.kind == "bytes":
        return hnp.arrays(object, shape, elements=TEXT)
    if kind.kind == "floating" and finite:
        elements = hnp.from_dtype(kind.dtype, allow_nan=False, allow_infinity=False)
        return hnp.arrays(kind.dtype, shape, elements=elements)
    return hnp.arrays(kind.dtype, shape)


def head(name: str, array: Array) -> dict[str, Any]:
    spec = next(n for n, kind in DATATYPES.items() if kind.dtype == array.dtype)
    return {"name": name, "shape": list(array.shape), "datatype": spec}


def assert_same(call: InferCall, tensors: dict[str, Array]) -> None:
    assert list(call.tensors) == list(tensors)
    for name, array in tensors.items():
        found = call.tensors[name]
        assert (found.dtype, found.shape) == (array.dtype, array.shape)
        if array.dtype == object:
            assert found.tolist() == array.tolist()
        else:
            assert found.tobytes() == array.tobytes()


def json_body(example: Example, *, flat: bool, indent: int | None = None) -> bytes:
    inputs = [
        {**head(name, array), "data": (array.ravel() if flat else array).tolist()}
        for name, array in example.tensors.items()
    ]
    document = {"id": 'a:"\\', "inputs": inputs, "parameters": {"k:": ":"}}
    return json.dumps(document, ensure_ascii=flat, indent=indent, allow_nan=False).encode()


def binary_body(example: Example) -> tuple[bytes, int]:
    inputs, blocks = [], []
    for name, array in example.tensors.items():
        block = binary.to_bytes(array)
        blocks.append(block)
        inputs.append({**head(name, array), "parameters": {"binary_data_size": len(block)}})
    text = orjson.dumps({"inputs": inputs})
    return text + b"".join(blocks), len(text)


def messagepack_body(example: Example) -> bytes:
    inputs = [
        {
            **head(name, array),
            "data": array.ravel().tolist() if array.dtype == object else array.tobytes(),
        }
        for name, array in example.tensors.items()
    ]
    return msgspec.msgpack.encode({"id": "a", "inputs": inputs})


@given(examples(finite=True, halves=False), st.booleans(), st.sampled_from([None, 1]))
def test_json_gives_every_tensor_back_bit_by_bit(
    example: Example, flat: bool, indent: int | None
) -> None:
    body = json_body(example, flat=flat, indent=indent)
    assert_same(example.door.parse("application/json", None, body), example.tensors)


@given(examples())
def test_binary_gives_every_tensor_back_bit_by_bit(example: Example) -> None:
    body, length = binary_body(example)
    call = example.door.parse("application/octet-stream", length, body)
    assert_same(call, example.tensors)


@given(examples())
def test_messagepack_gives_every_tensor_back_bit_by_bit(example: Example) -> None:
    call = example.door.parse("application/msgpack", None, messagepack_body(example))
    assert_same(call, example.tensors)


RULES = {
    "a": ValueRules(range=(0, 1), nulls="refuse"),
    "b": ValueRules(nulls="allow"),
}
CONTRACT = ModelContract(
    name="m",
    version="1",
    platform="p",
    inputs=(
        TensorSpec(
            name="x", datatype="FP32", shape=(-1, 2), columns=("a", "b"), column_rules=RULES
        ),
        TensorSpec(name="t", datatype="BYTES", shape=(-1,)),
        TensorSpec(name="f", datatype="BOOL", shape=(-1, -1)),
    ),
    outputs=(TensorSpec(name="y", datatype="FP32", shape=(-1,)),),
)
DOOR = Door(CONTRACT, InputLimits(rows_max=8))
SEED = Example(
    CONTRACT,
    {
        "x": np.array([[0.5, 1e30], [1, -0.0]], np.float32),
        "t": np.array(["a:b", '"\\'], object),
        "f": np.array([[True, False], [False, True]]),
    },
)
SEEDS: list[tuple[str | None, int | None, bytes]] = [
    ("application/json", None, json_body(SEED, flat=True)),
    ("application/json", None, json_body(SEED, flat=False)),
    ("application/octet-stream", binary_body(SEED)[1], binary_body(SEED)[0]),
    ("application/msgpack", None, messagepack_body(SEED)),
]
JSON_PIECES = b'" \\ : , [ ] { } null NaN - 1e999 0 "id":"x", "data":[], \\u \\ud800'.split()
OTHER_PIECES = [
    b"9" * 30,
    b"\xff",
    b"\x00",
    b"\xdf\xff\xff\xff\xff",
    b"\xdd\xff\xff\xff\xff",
    b"\x81",
]
PIECES = st.sampled_from(JSON_PIECES + OTHER_PIECES)


@st.composite
def mutations(draw: st.DrawFn) -> tuple[str | None, int | None, bytes]:
    """A good body with some bytes replaced, inserted, removed or doubled."""
    content_type, length, body = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(body)))
        end = min(len(body), at + draw(st.integers(0, 6)))
        piece = draw(st.one_of(PIECES, st.binary(max_size=4), st.just(body[at:end] * 2)))
        body = body[:at] + piece + body[end:]
    return content_type, length, body


def settle(content_type: str | None, length: int | None, body: bytes) -> None:
    """Parse; whatever is raised but InvalidInput fails the test."""
    try:
        call = DOOR.parse(content_type, length, body)
    except InvalidInput as error:
        assert 0 < len(error.message.encode()) <= MESSAGE_BYTES_MAX
    else:
        assert {array.shape[0] for array in call.tensors.values()} == {call.rows}
        if call.form != "messagepack" and length != 0:
            json.loads(body[:length], object_pairs_hook=_once, parse_constant=_refuse)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    assert len(found) == len(pairs)
    return found


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} was accepted")


@settings(max_examples=1000, suppress_health_check=[HealthCheck.too_slow])
@given(mutations())
def test_a_mutated_body_is_accepted_or_refused(case: tuple[str | None, int | None, bytes]) -> None:
    settle(*case)


@settings(max_examples=300)
@given(st.sampled_from(CONTENT_TYPES), st.none() | st.integers(-1, 60), st.binary(max_size=64))
def test_any_bytes_are_accepted_or_refused(
    content_type: str | None, length: int | None, body: bytes
) -> None:
    settle(content_type, length, body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=12,
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["x", "t", "f"]) | JSON,
        "shape": st.lists(st.integers(-1, 3), max_size=3) | JSON,
        "datatype": st.sampled_from(["FP32", "BYTES", "BOOL"]) | JSON,
        "data": JSON,
        "parameters": JSON,
    },
)
DOCUMENTS = st.fixed_dictionaries(
    {"inputs": st.lists(FIELDS, max_size=3) | JSON},
    optional={"id": JSON, "outputs": st.lists(FIELDS) | JSON, "parameters": JSON, "other": JSON},
)


@settings(max_examples=300)
@given(DOCUMENTS, st.sampled_from(["application/json", "application/msgpack"]))
def test_any_document_is_accepted_or_refused(document: Any, content_type: str) -> None:
    if content_type == "application/json":
        settle(content_type, None, json.dumps(document).encode())
    else:
        try:
            body = msgspec.msgpack.encode(document)
        except OverflowError:  # an integer that MessagePack does not know
            return
        settle(content_type, None, body)


@given(JSON, st.booleans(), st.sampled_from([None, 1]))
def test_depth_and_pairs_are_counted_exactly(document: Any, ascii_only: bool, indent: int) -> None:
    text = json.dumps(document, ensure_ascii=ascii_only, indent=indent).encode()
    assert (json_fault.depth(text), json_fault.pair_count(text)) == (
        _depth(document),
        _pairs(document),
    )


def _inner(document: Any) -> list[Any]:
    if isinstance(document, dict):
        return list(document.values())
    return document if isinstance(document, list) else []


def _depth(document: Any) -> int:
    if not isinstance(document, dict | list):
        return 0
    return 1 + max((_depth(item) for item in _inner(document)), default=0)


def _pairs(document: Any) -> int:
    own = len(document) if isinstance(document, dict) else 0
    return own + sum(_pairs(item) for item in _inner(document))


@given(
    st.lists(st.sampled_from(["id", "parameters", "outputs"]), max_size=4),
    TEXT.filter(str.isprintable),
)
def test_a_key_is_refused_exactly_if_it_is_there_twice(keys: list[str], text: str) -> None:
    values = {"id": text, "parameters": {text: text}, "outputs": [{"name": "y"}]}
    more = "".join(f", {json.dumps(key)}: {json.dumps(values[key])}" for key in keys)
    body = json_body(SEED, flat=True).replace(b'"id": "a:\\"\\\\", ', b"")
    body = body.replace(b', "parameters": {"k:": ":"}}', f"{more}}}".encode())
    try:
        DOOR.parse("application/json", None, body)
        code = None
    except InvalidInput as error:
        code = error.code
    assert code is (InvalidCode.DUPLICATE_KEY if len(set(keys)) < len(keys) else None)
