"""A request of named rows that works, made from the contract: for documents and for people."""

from __future__ import annotations

from typing import Any

from bridge.contract.example import Array, example_inputs
from bridge.contract.model import ModelContract, TensorSpec
from bridge.contract.named_columns import column_names, full_name, is_single

# Of one row: what is longer helps nobody who reads it.
VALUES_SHOWN_MAX = 1_024


def named_path(contract: ModelContract) -> str:
    """Return where named rows for this very version are sent."""
    return f"/v1/models/{contract.name}/versions/{contract.version}/predict"


def named_example(contract: ModelContract) -> dict[str, Any] | None:
    """Return a request of one made-up row that the contract allows; None if it is too large."""
    rows = example_inputs(contract, 1)
    if sum(rows[spec.name].size for spec in contract.inputs) > VALUES_SHOWN_MAX:
        return None
    columns = [name for spec in contract.inputs for name in (*column_names(spec), spec.name)]
    row: dict[str, Any] = {}
    for spec in contract.inputs:
        row |= _named_values(spec, rows[spec.name], columns)
    return {"rows": [row]}


def _named_values(spec: TensorSpec, array: Array, columns: list[str]) -> dict[str, Any]:
    values = [_readable(spec, value) for value in array.ravel()]
    names = column_names(spec)
    if names:
        short = [name if columns.count(name) == 1 else full_name(spec, name) for name in names]
        return dict(zip(short, values, strict=True))
    if is_single(spec):
        return {spec.name: values[0]}
    return {spec.name: _nested(values, array.shape[1:])}


def _nested(values: list[Any], shape: tuple[int, ...]) -> list[Any]:
    if len(shape) < 2:
        return values
    size = len(values) // shape[0]
    parts = [values[start : start + size] for start in range(0, len(values), size)]
    return [_nested(part, shape[1:]) for part in parts]


def _readable(spec: TensorSpec, value: Any) -> Any:
    if spec.type.kind == "floating":
        # An FP32 0.1 as 0.1, not as the 17 digits of its FP64.
        return float(str(value))
    return value.item() if hasattr(value, "item") else value
