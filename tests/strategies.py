"""Hypothesis strategies for contracts, and for rows that a contract allows or refuses."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bridge.contract.datatype import DATATYPES
from bridge.contract.invalid import InvalidCode
from bridge.contract.model import TensorSpec, ValueRules

Array = np.ndarray[Any, np.dtype[Any]]

VARYING_SIZE_MAX = 4
# As JSON and Arrow have them: no lone surrogates.
texts = st.text(st.characters(codec="utf-8"), max_size=8)


@dataclass(frozen=True)
class Refused:
    """Rows of which one value is not allowed, and the code that says so."""

    tensors: Mapping[str, Array]
    code: InvalidCode


@st.composite
def allowed_rows(
    draw: st.DrawFn, inputs: Sequence[TensorSpec], rows_max: int = 4
) -> dict[str, Array]:
    """1 to `rows_max` rows that `inputs` allow: (rows, ...) in their dtypes, by name."""
    rows = draw(st.integers(1, rows_max))
    size = draw(st.integers(1, VARYING_SIZE_MAX))
    return {spec.name: draw(_tensors(spec, rows, size)) for spec in inputs}


@st.composite
def refused_rows(draw: st.DrawFn, inputs: Sequence[TensorSpec]) -> Refused:
    """Rows that `inputs` refuse for one value; some rule of theirs must forbid something."""
    tensors = draw(allowed_rows(inputs))
    spec, column, code, values = draw(st.sampled_from(list(_forbidden(inputs))))
    flat = tensors[spec.name].reshape(-1, max(1, len(spec.columns)))
    row = draw(st.integers(0, len(flat) - 1))
    at = column if column is not None else draw(st.integers(0, flat.shape[1] - 1))
    flat[row, at] = draw(values)
    return Refused(tensors, code)


@st.composite
def _tensors(draw: st.DrawFn, spec: TensorSpec, rows: int, size: int) -> Array:
    row_shape = [size if given < 0 else given for given in spec.row_shape]
    count = rows * math.prod(row_shape)
    columns = [spec.column_rules.get(name, spec.rules) for name in spec.columns]
    columns = columns if spec.column_rules else [spec.rules]
    parts = [
        draw(hnp.arrays(spec.type.dtype, count // len(columns), elements=allowed_values(spec, one)))
        for one in columns
    ]
    return np.stack(parts, axis=1).reshape(rows, *row_shape)


def allowed_values(spec: TensorSpec, rules: ValueRules) -> st.SearchStrategy[Any]:
    """Values that the rules of a tensor's column allow."""
    if rules.categories is not None:
        return st.sampled_from(rules.categories)
    kind = spec.type.kind
    if kind == "bytes":
        return texts
    if kind == "bool":
        return st.booleans()
    low, high = _bounds(spec, rules)
    if kind == "integer":
        return st.integers(low, high)
    width = spec.type.item_bytes * 8
    numbers = st.floats(low, high, width=width, allow_nan=False)  # type: ignore[arg-type]
    return numbers | st.just(math.nan) if rules.nulls == "allow" else numbers


def _forbidden(
    inputs: Sequence[TensorSpec],
) -> Iterator[tuple[TensorSpec, int | None, InvalidCode, st.SearchStrategy[Any]]]:
    """Each rule that forbids something: of which tensor and column, its code, what it forbids."""
    for spec in inputs:
        columns: list[tuple[int | None, ValueRules]] = [(None, spec.rules)]
        if spec.column_rules:
            rules = [spec.column_rules.get(name, spec.rules) for name in spec.columns]
            columns = list(enumerate(rules))
        for column, one in columns:
            if one.nulls == "refuse" and spec.type.kind == "floating":
                yield spec, column, InvalidCode.NULL_VALUE, st.just(math.nan)
            if one.categories is not None:
                values = (st.integers(0, 127) if spec.type.kind == "integer" else texts).filter(
                    lambda value, known=one.categories: value not in known
                )
                yield spec, column, InvalidCode.UNKNOWN_CATEGORY, values
            if one.range is not None:
                for values in _beyond(spec, one):
                    yield spec, column, InvalidCode.VALUE_RANGE, values


def _beyond(spec: TensorSpec, rules: ValueRules) -> Iterator[st.SearchStrategy[Any]]:
    low, high = _bounds(spec, rules)
    dtype: np.dtype[Any] = spec.type.dtype
    if spec.type.kind == "integer":
        info = np.iinfo(dtype)
        if low > info.min:
            yield st.integers(int(info.min), low - 1)
        if high < info.max:
            yield st.integers(high + 1, int(info.max))
        return
    width: Any = spec.type.item_bytes * 8
    if low > -math.inf:
        yield st.floats(max_value=low, exclude_max=True, width=width, allow_nan=False)
    if high < math.inf:
        yield st.floats(min_value=high, exclude_min=True, width=width, allow_nan=False)


def _bounds(spec: TensorSpec, rules: ValueRules) -> tuple[Any, Any]:
    """The range within the datatype: its whole numbers, or its own precision."""
    low, high = rules.range or (-math.inf, math.inf)
    dtype: np.dtype[Any] = spec.type.dtype
    if spec.type.kind == "integer":
        info = np.iinfo(dtype)
        first = int(info.min) if low < info.min else math.ceil(low)
        return first, int(info.max) if high > info.max else math.floor(high)
    with np.errstate(over="ignore"):
        return float(dtype.type(low)), float(dtype.type(high))


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
