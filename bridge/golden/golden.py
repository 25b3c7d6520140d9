"""`golden.parquet` beside a model: rows as callers send them, and what is expected of them.

Beside the inputs stand the expected outputs and, where a pipeline surrounds the graph, what was
between the stages when it was recorded; by these it is told where an answer went wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bridge.contract.invalid import shown
from bridge.contract.model import ModelContract, TensorSpec
from bridge.jobs.errors import BadInput
from bridge.jobs.golden_file import RowsOfOneShape, RowsRead, read_head, read_rows, write_golden

Array = np.ndarray[Any, np.dtype[Any]]
Tensors = Mapping[str, Array]

GOLDEN_VERSION = 1
ROWS_MAX = 10_000
EXPECTED = "expected."
# By stage: what came out of it, as columns `preprocess.<tensor>` and `model.<tensor>`.
STAGE_PREFIXES = ("preprocess.", "model.")


class GoldenError(Exception):
    """The golden file cannot be used; the message says why."""


class StoredTensor(msgspec.Struct, frozen=True):
    """A tensor in the file beside the inputs, by its full name."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    columns: tuple[str, ...] = ()

    @property
    def spec(self) -> TensorSpec:
        """As the reader of tables wants it: any value goes."""
        return TensorSpec(
            name=self.name, datatype=self.datatype, shape=self.shape, columns=self.columns
        )


class GoldenHead(msgspec.Struct, frozen=True, kw_only=True):
    """What a golden file says of itself.

    `model_sha256` is that of model and pipeline when it was recorded. `outputs_from`: the team's
    own file, empty if the outputs are the model's.
    """

    model: str
    model_sha256: str
    source: str
    stored: tuple[StoredTensor, ...]
    outputs_from: str = ""
    label_column: str = ""
    version: int = GOLDEN_VERSION


@dataclass(frozen=True, slots=True)
class GoldenRows:
    """Rows of one shape: numbers in the file, inputs, expected outputs, stages, labels.

    Tensors are by their own names, shape (rows, ...); `stages` by prefix first.
    """

    numbers: tuple[int, ...]
    inputs: Tensors
    expected: Tensors
    stages: Mapping[str, Tensors]
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Golden:
    """A golden file, read. `refused`: why rows are not accepted any more, by their number."""

    head: GoldenHead
    parts: tuple[GoldenRows, ...]
    refused: Mapping[int, str]

    @property
    def rows(self) -> int:
        """The rows that can be replayed."""
        return sum(len(part.numbers) for part in self.parts)


def stored_tensor(
    name: str, datatype: str, arrays: Sequence[Array], columns: tuple[str, ...]
) -> StoredTensor | None:
    """Return how a tensor is stored, from its arrays of each shape, (rows, ...).

    None where it cannot be: more than one dimension varies, or the number of dimensions does.
    """
    shapes = {array.shape[1:] for array in arrays}
    if len({len(shape) for shape in shapes}) != 1:
        return None
    sizes = [set(axis) for axis in zip(*shapes, strict=True)]
    shape = tuple(size.pop() if len(size) == 1 else -1 for size in sizes)
    if shape.count(-1) > 1 or 0 in shape:
        return None
    if not (columns and len(shape) == 1 and shape[0] == len(columns)):
        columns = ()
    return StoredTensor(name, datatype, (-1, *shape), columns)


def write(
    path: Path, head: GoldenHead, inputs: Sequence[TensorSpec], parts: Sequence[GoldenRows]
) -> None:
    """Write a golden file; rows are numbered anew.

    Raises:
        JobError: see `golden_file.write_golden`.
    """
    rows: list[RowsOfOneShape] = []
    first = 0
    for part in parts:
        stored = {EXPECTED + name: array for name, array in part.expected.items()}
        for prefix, tensors in part.stages.items():
            stored |= {prefix + name: array for name, array in tensors.items()}
        kept = {tensor.name: stored[tensor.name] for tensor in head.stored}
        numbers = tuple(range(first, first + len(part.numbers)))
        rows.append(RowsOfOneShape(numbers, {**part.inputs, **kept}, part.labels))
        first += len(numbers)
    specs = [*inputs, *(tensor.spec for tensor in head.stored)]
    write_golden(path, msgspec.json.encode(head), specs, rows, head.label_column)


def read(path: Path, contract: ModelContract) -> Golden:
    """Return a golden file's rows, checked by the contract as a caller's would be.

    Raises:
        GoldenError: it is not one that `batchbridge record` wrote, or not for this model.
    """
    try:
        head = _head(path)
        specs = [*contract.inputs, *(tensor.spec for tensor in head.stored)]
        found = read_rows(path, specs, ROWS_MAX, head.label_column)
    except BadInput as error:
        raise GoldenError(str(error)) from error
    known = {spec.name for spec in contract.outputs}
    for tensor in head.stored:
        name = tensor.name.removeprefix(EXPECTED)
        if tensor.name.startswith(EXPECTED) and name not in known:
            raise GoldenError(f"{path}: the model has no output {shown(name)} any more")
    return Golden(
        head,
        tuple(_golden_rows(part, contract.inputs, head) for part in found.parts),
        _reasons(found),
    )


def _head(path: Path) -> GoldenHead:
    content = read_head(path)
    if content is None:
        raise GoldenError(f"{path}: was not written by `batchbridge record`")
    try:
        head = msgspec.json.decode(content, type=GoldenHead)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise GoldenError(f"{path}: {error}") from error
    if head.version != GOLDEN_VERSION:
        raise GoldenError(f"{path}: version {head.version}, only {GOLDEN_VERSION} is known")
    return head


def _golden_rows(
    part: RowsOfOneShape, inputs: Sequence[TensorSpec], head: GoldenHead
) -> GoldenRows:
    stages: dict[str, Tensors] = {}
    for prefix in STAGE_PREFIXES:
        tensors = _unprefixed(part, head, prefix)
        if tensors:
            stages[prefix] = tensors
    return GoldenRows(
        part.numbers,
        {spec.name: part.tensors[spec.name] for spec in inputs},
        _unprefixed(part, head, EXPECTED),
        stages,
        part.labels,
    )


def _unprefixed(part: RowsOfOneShape, head: GoldenHead, prefix: str) -> Tensors:
    return {
        tensor.name.removeprefix(prefix): part.tensors[tensor.name]
        for tensor in head.stored
        if tensor.name.startswith(prefix)
    }


def _reasons(found: RowsRead) -> dict[int, str]:
    return {row: fault.reason for row, fault in sorted(found.faults.items())}
