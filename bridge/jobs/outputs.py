"""Results to tables: the key column, or the row's number, and the model's outputs beside it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from bridge.contract.decision import DECISION_OUTPUT
from bridge.contract.model import Decision, TensorSpec
from bridge.jobs.cell_values import Array
from bridge.jobs.errors import BadInput, BadResult

ROW_COLUMN = "row"
# By which threshold the decision beside it was made.
THRESHOLD_COLUMN = f"{DECISION_OUTPUT}.threshold_version"

ARROW_TYPES: Mapping[str, pa.DataType] = {
    "BOOL": pa.bool_(),
    "UINT8": pa.uint8(),
    "UINT16": pa.uint16(),
    "UINT32": pa.uint32(),
    "UINT64": pa.uint64(),
    "INT8": pa.int8(),
    "INT16": pa.int16(),
    "INT32": pa.int32(),
    "INT64": pa.int64(),
    "FP16": pa.float16(),
    "FP32": pa.float32(),
    "FP64": pa.float64(),
    "BYTES": pa.string(),
}


class OutputTable:
    """The schema of a job's output, and the batches that fit it.

    An output of one value a row is a column of its name; one whose last axis has names in the
    contract is a column for each, `output.column`; others are lists of a fixed size, nested by
    rank, or of any size where the contract says that it varies. Where the model decides, the last
    column is `THRESHOLD_COLUMN`, the same text in every row.
    """

    def __init__(
        self,
        outputs: Sequence[TensorSpec],
        key: str | None,
        key_type: pa.DataType | None,
        decision: Decision | None = None,
    ) -> None:
        """Raises BadInput when the first column has the name of an output."""
        self._outputs = outputs
        is_decided = decision is not None and decision.threshold is not None
        self._threshold_version = decision.threshold_version if decision and is_decided else None
        first = ROW_COLUMN if key is None else key
        fields = [pa.field(first, pa.int64() if key_type is None else key_type)]
        fields += [field for spec in outputs for field in _fields(spec)]
        if self._threshold_version is not None:
            fields.append(pa.field(THRESHOLD_COLUMN, pa.string()))
        names = [field.name for field in fields]
        if names.count(first) > 1:
            hint = "choose a key column with --key" if key is None else "choose another key column"
            raise BadInput(f"the model has an output called {first} itself: {hint}")
        self.schema = pa.schema(fields)

    def batch(
        self,
        tensors: Mapping[str, Array],
        row_numbers: Array,
        keys: pa.Array | None,
        lengths: Array | None = None,
    ) -> pa.RecordBatch:
        """Return outputs of shape (rows, ...), by name, as a batch of `schema`.

        `lengths`, shape (rows,): varying dimensions are cut back to these, of padded rows.

        Raises:
            BadResult: an output of another shape than the contract's, or a text that is not UTF-8.
        """
        if not len(row_numbers):
            return pa.RecordBatch.from_pylist([], schema=self.schema)
        first = pa.array(row_numbers, pa.int64()) if keys is None else keys
        columns = [first]
        for spec in self._outputs:
            columns += _columns(spec, tensors[spec.name], lengths)
        if self._threshold_version is not None:
            version = pa.scalar(self._threshold_version, pa.string())
            columns.append(pa.repeat(version, len(row_numbers)))
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)


def _has_names(spec: TensorSpec) -> bool:
    return bool(spec.columns) and len(spec.shape) == 2


def _fields(spec: TensorSpec) -> list[pa.Field]:
    value = ARROW_TYPES[spec.datatype]
    if _has_names(spec):
        return [pa.field(f"{spec.name}.{column}", value) for column in spec.columns]
    if _is_single(spec):
        return [pa.field(spec.name, value)]
    nested = value
    for size in reversed(spec.row_shape):
        nested = pa.list_(nested, size) if size != -1 else pa.list_(nested)
    return [pa.field(spec.name, nested)]


def _is_single(spec: TensorSpec) -> bool:
    return all(size == 1 for size in spec.row_shape)


def _columns(spec: TensorSpec, array: Array, lengths: Array | None) -> list[pa.Array]:
    array = _shaped(spec, array)
    if lengths is not None and -1 in spec.row_shape:
        return [_cut_column(spec, array, lengths)]
    if _has_names(spec):
        return [_values(spec, array[:, index]) for index in range(len(spec.columns))]
    if _is_single(spec):
        return [_values(spec, array.reshape(-1))]
    column = _values(spec, array.reshape(-1))
    for axis in range(array.ndim - 1, 0, -1):
        size = array.shape[axis]
        if spec.shape[axis] != -1:
            column = pa.FixedSizeListArray.from_arrays(column, size)
        else:
            ends = np.arange(math.prod(array.shape[:axis]) + 1, dtype=np.int32) * size
            column = pa.ListArray.from_arrays(pa.array(ends, pa.int32()), column)
    return [column]


def _cut_column(spec: TensorSpec, array: Array, lengths: Array) -> pa.Array:
    """Nested lists whose varying dimensions have each row's own length."""
    sizes = [lengths if size == -1 else np.full(len(array), size) for size in spec.row_shape]
    kept = np.ones(array.shape, dtype=bool)
    for axis, own in enumerate(sizes, start=1):
        if own.max(initial=0) > array.shape[axis]:
            raise BadResult(f"output {spec.name!r}: rows of shape {array.shape[1:]} are too short")
        places = np.arange(array.shape[axis]) < own[:, None]
        shape = (len(array), *(1 if other != axis else -1 for other in range(1, array.ndim)))
        kept &= places.reshape(shape)
    column = _values(spec, array[kept])
    for axis in range(len(sizes) - 1, -1, -1):
        lists = np.prod([np.ones(len(array), dtype=np.int64), *sizes[:axis]], axis=0)
        if spec.row_shape[axis] != -1:
            column = pa.FixedSizeListArray.from_arrays(column, spec.row_shape[axis])
        else:
            ends = np.concatenate([[0], np.cumsum(np.repeat(sizes[axis], lists))])
            column = pa.ListArray.from_arrays(pa.array(ends, pa.int32()), column)
    return column


def _shaped(spec: TensorSpec, array: Array) -> Array:
    """The output in the contract's shape: graphs declare (rows, 1) and answer (rows), or so."""
    wanted = spec.row_shape
    given = array.shape[1:]
    if len(wanted) == len(given) and all(
        size in (-1, has) for size, has in zip(wanted, given, strict=True)
    ):
        return array
    if -1 not in wanted and math.prod(wanted) == math.prod(given):
        return array.reshape(len(array), *wanted)
    raise BadResult(f"output {spec.name!r}: rows of shape {given}, the contract says {wanted}")


def _values(spec: TensorSpec, flat: Array) -> pa.Array:
    if spec.datatype != "BYTES":
        return pa.array(np.ascontiguousarray(flat), ARROW_TYPES[spec.datatype])
    try:
        texts = [value.decode() if isinstance(value, bytes) else value for value in flat.tolist()]
    except UnicodeDecodeError as error:
        raise BadResult(f"output {spec.name!r}: text that is not UTF-8") from error
    return pa.array(texts, pa.string())


def flat_fields(schema: pa.Schema) -> list[tuple[str, int | None, pa.DataType]]:
    """Return what CSV has for a schema: name, place within the row's list if any, type.

    A list column becomes `name.0`, `name.1`, …, in C order.

    Raises:
        BadInput: a list whose length varies.
    """
    flat: list[tuple[str, int | None, pa.DataType]] = []
    for field in schema:
        sizes, inner = [], field.type
        while pa.types.is_fixed_size_list(inner):
            sizes.append(inner.list_size)
            inner = inner.value_type
        if pa.types.is_nested(inner):
            raise BadInput(f"CSV cannot hold the lists of {field.name}: choose another format")
        if not sizes:
            flat.append((field.name, None, inner))
            continue
        places = itertools.product(*map(range, sizes))
        flat += [
            (".".join([field.name, *map(str, place)]), index, inner)
            for index, place in enumerate(places)
        ]
    return flat
