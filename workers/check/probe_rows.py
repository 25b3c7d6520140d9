"""Rows to try a model with: ordinary ones, and the extreme neighbours that strangers may send."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from bridge.contract.model import TensorSpec, ValueRules
from workers.check.made_values import OpenValues, ValueMaker

Array = np.ndarray[Any, np.dtype[Any]]
Specs = tuple[TensorSpec, ...]
Tensors = Mapping[str, Array]

SEED = 20261124
NULL_SHARE = 0.25
# Where the contract lets a dimension vary, each of these sizes is tried on its own: rows of
# different shapes never share a batch.
VARYING_SIZES = (8, 3, 1)


@dataclass(frozen=True, slots=True)
class ProbeRows:
    """Rows of one shape: the first `ordinary` are compared, the others are only neighbours.

    `tensors`: by input name, (rows, ...) in the contract's dtypes. `names`: one for each row.
    """

    tensors: Tensors
    names: tuple[str, ...]
    ordinary: int

    def taken(self, rows: tuple[int, ...]) -> dict[str, Array]:
        """Return a copy of some rows, in this order, as a batch."""
        return {name: array[list(rows)] for name, array in self.tensors.items()}


def generated(
    specs: Specs, rows: int, open_values: OpenValues, sizes: Sequence[int] = VARYING_SIZES
) -> list[ProbeRows]:
    """Return `rows` ordinary rows that the contract allows, and extreme ones, for each shape.

    `sizes`: those of dimensions that vary.
    Values are drawn from ranges and categories; where nulls are allowed, a quarter of every second
    row is null. The same contract always gets the same rows.
    """
    varies = any(-1 in spec.row_shape for spec in specs)
    return [
        _of_size(specs, rows, size, open_values, f" of length {size}" if varies else "")
        for size in (sizes if varies else (1,))
    ]


def from_reference(
    specs: Specs, reference: Tensors, open_values: OpenValues, called: str = "reference row"
) -> ProbeRows:
    """Return rows of one shape, all ordinary, with extreme neighbours beside them."""
    rows = len(next(iter(reference.values())))
    names = [f"{called} {row}" for row in range(rows)]
    return _with_strangers(specs, reference, names, open_values)


def _of_size(specs: Specs, rows: int, size: int, open_values: OpenValues, suffix: str) -> ProbeRows:
    generator = np.random.default_rng(SEED)
    ordinary = {}
    for spec in specs:
        row_shape = tuple(size if given < 0 else given for given in spec.row_shape)
        value = partial(ValueMaker(spec, open_values).drawn, generator=generator)
        array = _filled(spec, (rows, *row_shape), value)
        _add_nulls(spec, array, generator)
        ordinary[spec.name] = array
    names = [f"made-up row {row}{suffix}" for row in range(rows)]
    return _with_strangers(specs, ordinary, names, open_values)


def _with_strangers(
    specs: Specs, ordinary: Tensors, names: list[str], open_values: OpenValues
) -> ProbeRows:
    strangers = dict(_strangers(specs, ordinary, open_values))
    tensors = {
        name: np.concatenate([array, *(stranger[name] for stranger in strangers.values())])
        for name, array in ordinary.items()
    }
    return ProbeRows(tensors, (*names, *strangers), len(names))


def _strangers(
    specs: Specs, like: Tensors, open_values: OpenValues
) -> Iterator[tuple[str, dict[str, Array]]]:
    makers = {spec.name: ValueMaker(spec, open_values) for spec in specs}
    kinds: dict[str, Callable[[ValueMaker, ValueRules], Any]] = {
        "zeros": ValueMaker.zero,
        "maxima": ValueMaker.highest,
        "minima": ValueMaker.lowest,
        "nulls": ValueMaker.null,
    }
    for kind, value in kinds.items():
        tensors = {
            spec.name: _filled(
                spec, (1, *like[spec.name].shape[1:]), partial(value, makers[spec.name])
            )
            for spec in specs
        }
        yield kind, tensors


def _filled(spec: TensorSpec, shape: tuple[int, ...], value: Callable[[ValueRules], Any]) -> Array:
    """Return an array of the tensor's dtype, each value made by the rules of its column."""
    array = np.empty(shape, dtype=spec.type.dtype)
    flat = array.reshape(-1)
    columns = _column_rules(spec)
    for place in range(flat.size):
        flat[place] = value(columns[place % len(columns)])
    return array


def _add_nulls(spec: TensorSpec, array: Array, generator: np.random.Generator) -> None:
    """Put nulls into every second row, where the contract allows them."""
    allowed = np.array([rules.nulls == "allow" for rules in _column_rules(spec)])
    if spec.type.kind != "floating" or not allowed.any():
        return
    flat = array.reshape(len(array), -1)
    chosen = (generator.random(flat.shape) < NULL_SHARE) & np.resize(allowed, flat.shape[1])
    if flat.shape[1] == 1:
        chosen[1::4] = allowed  # or a lone column might get none
    chosen[::2] = False
    flat[chosen] = np.nan


def _column_rules(spec: TensorSpec) -> list[ValueRules]:
    if not spec.column_rules:
        return [spec.rules]
    return [spec.column_rules.get(column, spec.rules) for column in spec.columns]
