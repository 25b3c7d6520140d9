"""`example.json`: a complete inference request with one ordinary row, which is nobody's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from bridge.contract.example import example_rows
from bridge.contract.invalid import InvalidInput
from bridge.contract.model import TensorSpec
from bridge.contract.statistics import QUANTILE_LEVELS, FeatureStatistics, Statistics
from bridge.contract.values import ValueCheck

Array = np.ndarray[Any, np.dtype[Any]]
_MEDIAN = QUANTILE_LEVELS.index(0.5)


def example_body(inputs: Sequence[TensorSpec], statistics: Statistics | None) -> bytes:
    """Return the body of `POST /v2/models/{model}/infer`: medians, and the commonest categories.

    Without statistics, or where the contract does not allow these, what the contract suggests.
    """
    tensors = [_tensor(spec, statistics) for spec in inputs]
    lines = ",\n  ".join(msgspec.json.encode(tensor).decode() for tensor in tensors)
    return f'{{"inputs": [\n  {lines}\n]}}\n'.encode()


def _tensor(spec: TensorSpec, statistics: Statistics | None) -> dict[str, Any]:
    row = example_rows(spec, 1)
    if statistics is not None:
        ordinary = _ordinary(spec, row, statistics.of(spec.name))
        row = ordinary if _is_allowed(spec, ordinary) else row
    return {
        "name": spec.name,
        "datatype": spec.datatype,
        "shape": list(row.shape),
        "data": [_json(value) for value in row.ravel()],
    }


def _ordinary(spec: TensorSpec, row: Array, features: Sequence[FeatureStatistics]) -> Array:
    flat = row.copy().reshape(-1)
    for place in range(flat.size if features else 0):
        value = _ordinary_value(features[place % len(features)])
        if value is not None:
            flat[place] = value
    return flat.reshape(row.shape)


def _ordinary_value(feature: FeatureStatistics) -> Any:
    if feature.categories:
        return max(feature.categories, key=lambda category: category.share).value
    return None if feature.numbers is None else feature.numbers.quantiles[_MEDIAN]


def _is_allowed(spec: TensorSpec, row: Array) -> bool:
    try:
        ValueCheck(spec).check(row)
    except InvalidInput:
        return False
    return True


def _json(value: Any) -> Any:
    """A value as JSON has it; FP32 in the fewest digits that mean it."""
    if isinstance(value, np.floating):
        return float(str(value)) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
