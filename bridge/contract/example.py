"""Made-up rows that a contract allows: to warm a model with, to show what a body looks like."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from bridge.contract.model import ModelContract, TensorSpec, ValueRules
from bridge.contract.padding import assumed_length, padder_of

Array = np.ndarray[Any, np.dtype[Any]]

VARIABLE_SIZE_ASSUMED = 8


def example_rows(spec: TensorSpec, rows: int, varying_size: int = VARIABLE_SIZE_ASSUMED) -> Array:
    """Return `rows` equal rows that the tensor's contract allows: shape (rows, ...).

    A column takes the middle of its range, its first category, or 0.
    """
    row_shape = tuple(varying_size if size < 0 else size for size in spec.row_shape)
    array = np.empty((rows, *row_shape), dtype=spec.type.dtype)
    if spec.column_rules:
        for index, value in enumerate(_column_values(spec)):
            array[..., index] = value
    else:
        array[...] = _example_value(spec, spec.rules)
    return array


def example_inputs(contract: ModelContract, rows: int) -> dict[str, Array]:
    """Return equal rows of each input, as a caller may send them; see `example_rows`."""
    size = assumed_length(contract, VARIABLE_SIZE_ASSUMED)
    return {spec.name: example_rows(spec, rows, size) for spec in contract.inputs}


def example_run(contract: ModelContract, rows: int, length: int | None = None) -> dict[str, Array]:
    """Return equal rows of all that a run takes.

    `length` is what rows that may be padded have, without any padding; by default that of
    `example_inputs`, in its bucket.
    """
    padder = padder_of(contract)
    if padder is None:
        return example_inputs(contract, rows)
    if length is None:
        given = example_inputs(contract, rows)
        return padder.padded_to(given, padder.bucket(padder.length(given)))
    tensors = {spec.name: example_rows(spec, rows, length) for spec in contract.inputs}
    return padder.padded_to(tensors, length)


def _column_values(spec: TensorSpec) -> Iterator[Any]:
    for column in spec.columns:
        yield _example_value(spec, spec.column_rules.get(column, spec.rules))


def _example_value(spec: TensorSpec, rules: ValueRules) -> Any:
    if rules.categories:
        return rules.categories[0]
    if rules.range is not None:
        return _middle(spec, *rules.range)
    return "" if spec.type.kind == "bytes" else 0


def _middle(spec: TensorSpec, low: float, high: float) -> float | int:
    """Return a value between the bounds that the tensor's dtype can hold."""
    if math.isinf(low) or math.isinf(high):
        # TOML has infinity, so a range may be open on one side or on both.
        middle = next((bound for bound in (low, high) if math.isfinite(bound)), 0.0)
    else:
        middle = low / 2 + high / 2  # low + high may be too large
    dtype: np.dtype[Any] = spec.type.dtype
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        lowest, highest = max(low, float(limits.min)), min(high, float(limits.max))
        # As integers: a float cannot say the largest ones.
        within = min(max(int(middle), math.ceil(lowest)), math.floor(highest))
        return min(max(within, int(limits.min)), int(limits.max))
    largest = float(np.finfo(dtype).max)
    return min(max(middle, -largest), largest)
