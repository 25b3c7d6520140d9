"""Value rules and example rows, for any contract that can be kept at all."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bridge.contract.datatype import DATATYPES
from bridge.contract.example import example_rows
from bridge.contract.invalid import MESSAGE_BYTES_MAX, InvalidCode, InvalidInput, shown
from bridge.contract.model import (
    ModelContract,
    Serving,
    TensorSpec,
    ValueRules,
    decode_contract,
    encode_contract,
)
from bridge.contract.values import ValueCheck
from tests.property.arrays import NUMERIC, Array, arrays


@st.composite
def ranges(draw: st.DrawFn, datatype: str) -> tuple[float, float]:
    """A range that holds a value of the datatype; perhaps open, perhaps wider than the type."""
    dtype = DATATYPES[datatype].dtype
    if DATATYPES[datatype].kind == "integer":
        info = np.iinfo(dtype)  # type: ignore[type-var]
        # Within 2^53, where a float can say every integer.
        inside = draw(st.integers(max(int(info.min), -(2**53)), min(int(info.max), 2**53)))
    else:
        inside = draw(st.floats(-60_000, 60_000, width=16))
    near = st.floats(0, 2)
    below = draw(st.floats(max_value=inside, allow_nan=False) | near.map(lambda gap: inside - gap))
    above = draw(st.floats(min_value=inside, allow_nan=False) | near.map(lambda gap: inside + gap))
    return below, above


@st.composite
def rules(draw: st.DrawFn, datatype: str) -> ValueRules:
    kind = DATATYPES[datatype].kind
    options: list[st.SearchStrategy[ValueRules]] = [st.just(ValueRules())]
    if kind in ("integer", "floating"):
        options.append(ranges(datatype).map(lambda pair: ValueRules(range=pair)))
    if kind == "floating":
        options.append(st.just(ValueRules(nulls="refuse")))
    if kind == "integer":
        some = st.lists(st.integers(0, 100), min_size=1, max_size=4)
        options.append(some.map(lambda values: ValueRules(categories=tuple(values))))
    if kind == "bytes":
        words = st.lists(st.text(max_size=5), min_size=1, max_size=4)
        options.append(words.map(lambda values: ValueRules(categories=tuple(values))))
    return draw(st.one_of(options))


@st.composite
def specs(draw: st.DrawFn, datatypes: list[str]) -> TensorSpec:
    datatype = draw(st.sampled_from(datatypes))
    shape = (-1, *draw(st.lists(st.sampled_from([-1, 1, 2, 3]), max_size=2)))
    columns: tuple[str, ...] = ()
    if len(shape) > 1 and shape[-1] > 0 and draw(st.booleans()):
        columns = tuple(f"column {index}" for index in range(shape[-1]))
    named = draw(st.lists(st.sampled_from(columns), unique=True)) if columns else []
    return TensorSpec(
        name="x",
        datatype=datatype,
        shape=shape,
        columns=columns,
        rules=draw(rules(datatype)),
        column_rules={column: draw(rules(datatype)) for column in named},
    )


@given(specs(list(DATATYPES)), st.integers(1, 4))
def test_example_rows_are_rows_that_the_contract_accepts(spec: TensorSpec, rows: int) -> None:
    example = example_rows(spec, rows)
    assert example.dtype == spec.type.dtype
    assert example.shape[0] == rows
    assert all(wanted in (size, -1) for size, wanted in zip(example.shape, spec.shape, strict=True))
    ValueCheck(spec).check(example)


@st.composite
def checked(draw: st.DrawFn) -> tuple[TensorSpec, Array]:
    """A tensor of numbers and an array for it."""
    spec = draw(specs(NUMERIC))
    shape = tuple(draw(st.integers(1, 2)) if size < 0 else size for size in spec.shape)
    return spec, draw(arrays(spec.datatype, shape))


def is_allowed(value: Any, rule: ValueRules, dtype: np.dtype[Any]) -> bool:
    """The rules said once more, element by element, in Python's own numbers."""
    is_nan = dtype.kind == "f" and bool(np.isnan(value))
    if is_nan:
        return rule.nulls != "refuse"
    if rule.categories is not None and value not in rule.categories:
        return False
    if rule.range is None:
        return True
    low, high = rule.range
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            low, high = float(dtype.type(low)), float(dtype.type(high))
    return bool(low <= value <= high)


@given(checked())
def test_an_array_is_accepted_exactly_if_each_of_its_values_is_allowed(
    case: tuple[TensorSpec, Array],
) -> None:
    spec, array = case
    dtype: np.dtype[Any] = spec.type.dtype
    allowed = True
    for position, value in np.ndenumerate(array):
        column = spec.columns[position[-1]] if spec.columns else ""
        rule = spec.column_rules.get(column, spec.rules)
        allowed = allowed and is_allowed(value.item(), rule, dtype)
    try:
        ValueCheck(spec).check(array)
    except InvalidInput:
        assert not allowed
    else:
        assert allowed


contracts = st.builds(
    ModelContract,
    name=st.text(max_size=10),
    version=st.integers(0, 999).map(str),
    platform=st.sampled_from(["python", "onnx_onnxv1"]),
    inputs=st.lists(specs(list(DATATYPES)), max_size=3).map(tuple),
    outputs=st.lists(specs(list(DATATYPES)), max_size=3).map(tuple),
    serving=st.builds(Serving, max_batch_rows=st.none() | st.integers(1, 9)),
    description=st.text(max_size=10),
)


@given(contracts)
def test_any_contract_arrives_as_it_was_published(contract: ModelContract) -> None:
    assert decode_contract(encode_contract(contract)) == contract


@given(st.text())
def test_what_is_shown_of_a_value_is_short_plain_text(value: str) -> None:
    text = shown(value)
    assert text.isascii()
    assert text.isprintable()
    assert len(text) <= 64


@given(st.text(max_size=2000))
def test_a_refusals_message_is_bounded_in_bytes(text: str) -> None:
    error = InvalidInput(InvalidCode.SCHEMA, text)
    assert len(error.message.encode()) <= MESSAGE_BYTES_MAX
    assert error.message == text or error.message.endswith("...")
