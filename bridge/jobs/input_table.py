"""A model's inputs as a table: what `score` and `check --data` read again."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from bridge.contract.model import TensorSpec
from bridge.jobs.cell_values import Array
from bridge.jobs.errors import BadInput
from bridge.jobs.outputs import ARROW_TYPES

Batch: TypeAlias = "pa.RecordBatch"


class InputTable:
    """The schema of rows as a file holds them, and the batches that fit it.

    An input of one value a row is a column of its name; one whose last axis has names in the
    contract is a column for each, by that name, or `input.column` where two have the same; others
    are lists. `labels` are columns of texts at the end.
    """

    def __init__(self, inputs: Sequence[TensorSpec], labels: Sequence[str] = ()) -> None:
        """Raises BadInput when a label has the name of an input's column."""
        self._inputs = inputs
        self._labels = labels
        fields = [field for spec in inputs for field in _fields(spec, _plain_names(inputs))]
        taken = {field.name for field in fields}
        for label in labels:
            if label in taken:
                raise BadInput(f"the model has a column called {label} itself")
        self.schema = pa.schema([*fields, *(pa.field(label, pa.string()) for label in labels)])

    def batch(
        self,
        tensors: Mapping[str, Array],
        missing: Mapping[str, Array],
        labels: Mapping[str, Sequence[str]],
    ) -> Batch:
        """Return rows as a batch of `schema`; NaN is a null.

        `tensors`: (rows, ...) by input. `missing`: by input, where there is any, which values are
        nulls beside: (rows, values of a row).
        """
        columns: list[pa.Array] = []
        for spec in self._inputs:
            columns += _columns(spec, tensors[spec.name], missing.get(spec.name))
        columns += [pa.array(labels[label], pa.string()) for label in self._labels]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)


def _has_names(spec: TensorSpec) -> bool:
    return bool(spec.columns) and len(spec.shape) == 2


def _is_single(spec: TensorSpec) -> bool:
    return all(size == 1 for size in spec.row_shape)


def _plain_names(inputs: Sequence[TensorSpec]) -> set[str]:
    """The columns that no other input's name or column is called as well."""
    names = [spec.name for spec in inputs if not _has_names(spec)]
    names += [column for spec in inputs if _has_names(spec) for column in spec.columns]
    return {name for name in names if names.count(name) == 1}


def _fields(spec: TensorSpec, plain: set[str]) -> list[pa.Field]:
    value = ARROW_TYPES[spec.datatype]
    if _has_names(spec):
        return [
            pa.field(column if column in plain else f"{spec.name}.{column}", value)
            for column in spec.columns
        ]
    if _is_single(spec):
        return [pa.field(spec.name, value)]
    size = -1 if -1 in spec.row_shape else math.prod(spec.row_shape)
    return [pa.field(spec.name, pa.list_(value, size))]


def _columns(spec: TensorSpec, array: Array, missing: Array | None) -> list[pa.Array]:
    rows = len(array)
    flat = array.reshape(rows, -1)
    if missing is None:
        missing = np.zeros(flat.shape, dtype=bool)
    if _has_names(spec) or _is_single(spec):
        places = range(flat.shape[1])
        return [_values(spec, flat[:, place], missing[:, place]) for place in places]
    values = _values(spec, flat.ravel(), missing.ravel())
    if -1 not in spec.row_shape:
        return [pa.FixedSizeListArray.from_arrays(values, flat.shape[1])]
    ends = np.arange(rows + 1, dtype=np.int32) * flat.shape[1]
    return [pa.ListArray.from_arrays(pa.array(ends, pa.int32()), values)]


def _values(spec: TensorSpec, flat: Array, missing: Array) -> pa.Array:
    if spec.type.kind == "floating":
        missing = missing | np.isnan(flat)
    given: Any = flat.tolist() if spec.type.kind == "bytes" else np.ascontiguousarray(flat)
    return pa.array(given, ARROW_TYPES[spec.datatype], mask=missing)
