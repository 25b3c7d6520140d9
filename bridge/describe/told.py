"""What a model takes and answers: by the graph, and where code is in the way by running rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bridge.contract.invalid import shown
from bridge.contract.model import TensorSpec
from bridge.describe.errors import DescribeError
from bridge.describe.model_parts import ModelParts
from bridge.describe.reference_data import first_rows
from bridge.jobs.table_inputs import table_inputs
from bridge.jobs.tables import open_table

Array = np.ndarray[Any, np.dtype[Any]]

# So many rows show what a function of pipeline.py answers.
ROWS_RUN = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The tensors of callers, and in a sentence each where that is known from."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    inputs_from: str
    outputs_from: str
    columns_from: Mapping[str, str] = field(default_factory=dict)


def told(parts: ModelParts, data: Path | None, ignored: Collection[str]) -> Told:
    """Return the tensors of a model version that has no contract.

    The columns of the file, but those `ignored`, are the inputs of a function of pipeline.py, and
    name the columns of a graph's only input where they are as many.

    Raises:
        DescribeError: code decides and there is no file, or its rows cannot be run.
        BadInput: the file cannot be read.
    """
    inputs = parts.graph_inputs
    columns_from: dict[str, str] = {}
    inputs_from = "from model.onnx"
    if inputs is not None and data is not None:
        inputs, columns_from = _with_columns(inputs, data, ignored)
    if inputs is None:
        _need(data, "what the functions of pipeline.py take")
        assert data is not None
        inputs = _columns_as_inputs(parts, data, ignored)
        inputs_from = f"columns of {shown(data.name)} that pipeline.py asks for"
    outputs, outputs_from = parts.graph_outputs, "from model.onnx"
    if outputs is None:
        _need(data, "what the functions of pipeline.py answer")
        assert data is not None
        outputs = parts.observed(_rows(data, inputs)).outputs
        outputs_from = f"what pipeline.py answers to rows of {shown(data.name)}"
    return Told(
        inputs=inputs,
        outputs=outputs,
        inputs_from=inputs_from,
        outputs_from=outputs_from,
        columns_from=columns_from,
    )


def _need(data: Path | None, what: str) -> None:
    if data is None:
        raise DescribeError(
            f"--data: {what} cannot be seen in the code: give a file of rows as callers send them"
        )


def _rows(data: Path, inputs: Sequence[TensorSpec]) -> Mapping[str, Array]:
    rows = first_rows(data, inputs, ROWS_RUN)
    if not rows:
        raise DescribeError(f"--data: {data} holds no row that could be run")
    return rows


def _columns_as_inputs(
    parts: ModelParts, data: Path, ignored: Collection[str]
) -> tuple[TensorSpec, ...]:
    found = table_inputs(open_table(data), ignored)
    if not found:
        raise DescribeError(f"--data: {data} has no columns of numbers, truth values or texts")
    asked = parts.observed(_rows(data, found)).asked
    return tuple(spec for spec in found if spec.name in asked) or found


def _with_columns(
    inputs: tuple[TensorSpec, ...], data: Path, ignored: Collection[str]
) -> tuple[tuple[TensorSpec, ...], dict[str, str]]:
    """Name the columns of a graph's only input by the file's, if they are as many."""
    names = [name for name in open_table(data).column_types if name not in ignored]
    only = inputs[0]
    if len(inputs) != 1 or len(only.shape) != 2 or only.shape[1] < 2:
        return inputs, {}
    is_whole = only.name in names
    numbered = {f"{only.name}.{place}" for place in range(only.shape[1])}
    if is_whole or numbered <= set(names):
        return inputs, {}
    if len(names) != only.shape[1]:
        listed = ", ".join(shown(name) for name in names[:8])
        raise DescribeError(
            f"--data: {data} has {len(names)} columns ({listed}{', …' if len(names) > 8 else ''}), "
            f"the input {shown(only.name)} takes {only.shape[1]}: --ignore leaves out columns"
        )
    source = f"the columns of {shown(data.name)} in their order: is it the order of the training?"
    return (msgspec.structs.replace(only, columns=tuple(names)),), {only.name: source}
