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
from tests.strategies import specs


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
