"""`batchbridge record`: the team's rows and what is expected of them, kept beside the model."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bridge.contract.decision import DECISION_OUTPUT
from bridge.contract.invalid import shown
from bridge.contract.model import ModelContract, TensorSpec
from bridge.contract.repository import GOLDEN_FILE, RepositoryError, VersionFolder, model_digest
from bridge.golden.comparison import Compared
from bridge.golden.golden import (
    EXPECTED,
    ROWS_MAX,
    GoldenError,
    GoldenHead,
    GoldenRows,
    StoredTensor,
    stored_tensor,
    write,
)
from bridge.golden.labels import LabelError, is_positive
from bridge.jobs.errors import JobError
from bridge.jobs.golden_file import RowsOfOneShape, RowsRead, read_rows, specs_in
from workers.check.command import CheckError, version_folders
from workers.check.stages import Stages, StageValues
from workers.loading import LoadError, open_model
from workers.model import ModelError
from workers.pipeline import PipelineError
from workers.session import SessionError

Array = np.ndarray[Any, np.dtype[Any]]
Tensors = Mapping[str, Array]

EXIT_DIFFERENT = 1
EXIT_CONFIGURATION = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordOptions:
    """The command's words; `outputs_from` and `label_column` are empty if not given."""

    model: Path
    data: Path
    outputs_from: str
    label_column: str
    force: bool
    threads: int


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was written: rows, those left out and why the first was, and what differs if anything.

    `compared` holds the given outputs against the model's own; None where none were given.
    """

    path: Path
    rows: int
    left_out: int
    reason: str
    is_cut: bool
    compared: Compared | None


def run_record(options: RecordOptions) -> int:
    """Record and say what was; return 0, 1 if given outputs are not the model's, 2 if it cannot."""
    try:
        folders = version_folders(options.model)
        if len(folders) > 1:
            keys = ", ".join(folder.key for folder in folders)
            raise CheckError(f"MODEL_DIR: {options.model} holds several versions: {keys}")
        recorded = record(folders[0], options)
    except (CheckError, GoldenError, JobError, LoadError, ModelError) as error:
        sys.stderr.write(f"batchbridge: {error}\n")
        return EXIT_CONFIGURATION
    except (PipelineError, SessionError, RepositoryError) as error:
        sys.stderr.write(f"batchbridge: {options.model}: {error}\n")
        return EXIT_CONFIGURATION
    return _said(recorded, options)


def record(folder: VersionFolder, options: RecordOptions) -> Recorded:
    """Write the version's golden file: rows of `data`, and the outputs of one batch run or given.

    Raises:
        GoldenError: there is one already, or it cannot be made from these rows.
        JobError: a file cannot be read or written, or its columns do not fit.
        LoadError, ModelError: the model cannot be loaded, or does not answer the rows.
        PipelineError, SessionError, RepositoryError: as when a model is loaded.
    """
    path = folder.path / GOLDEN_FILE
    if path.exists() and not options.force:
        raise GoldenError(f"{path} is there already: --force writes it anew")
    model = open_model(folder, options.threads)
    label_column = _label_column(options, model.contract)
    read = read_rows(options.data, model.contract.inputs, ROWS_MAX, label_column)
    if not read.rows:
        reason = _first_fault(read) or "it is empty"
        raise GoldenError(f"{options.data}: no row that the contract allows: {reason}")
    _refuse_labels(read, label_column, model.contract, options.data)
    parts = _by_shape(read.parts)
    stages = Stages(folder, model, options.threads)
    values = [stages.run(part.tensors) for part in parts]
    outputs = [spec for spec in model.contract.outputs if spec.name != DECISION_OUTPUT]
    expected = [_named(one.outputs, outputs) for one in values]
    compared: Compared | None = None
    if options.outputs_from:
        path_given = Path(options.outputs_from)
        specs = specs_in(path_given, outputs)
        given = _given_outputs(path_given, specs, parts, rows=read.rows + len(read.faults))
        compared = _held_against(given, expected, parts, specs)
        # A team's file may hold less than the model says: of the rest the batch run is kept.
        expected = [{**own, **said} for own, said in zip(expected, given, strict=True)]
    rows = [
        GoldenRows(part.numbers, part.tensors, wanted, _stages_of(one), part.labels)
        for part, wanted, one in zip(parts, expected, values, strict=True)
    ]
    head = GoldenHead(
        model=folder.key,
        model_sha256=model_digest(folder),
        source=options.data.name,
        stored=_stored(outputs, stages, rows),
        outputs_from=Path(options.outputs_from).name if options.outputs_from else "",
        label_column=label_column,
    )
    write(path, head, model.contract.inputs, rows)
    return Recorded(path, read.rows, len(read.faults), _first_fault(read), read.is_cut, compared)


def _first_fault(read: RowsRead) -> str:
    """Why the first of the rows left out was, with its number; empty where there is none."""
    if not read.faults:
        return ""
    row = min(read.faults)
    return f"row {row}: {read.faults[row].reason}"


def _refuse_labels(read: RowsRead, label_column: str, contract: ModelContract, data: Path) -> None:
    """Labels of another column than the decision's mean what they mean."""
    decision = contract.decision
    if decision is None or not label_column:
        return
    if decision.label_column and label_column != decision.label_column:
        return
    try:
        is_positive(decision, [label for part in read.parts for label in part.labels if label])
    except LabelError as error:
        raise GoldenError(f"{data}: column {shown(label_column)}: {error}") from error


def _label_column(options: RecordOptions, contract: ModelContract) -> str:
    if options.label_column or contract.decision is None:
        return options.label_column
    return contract.decision.label_column


def _by_shape(parts: Sequence[RowsOfOneShape]) -> list[RowsOfOneShape]:
    """Rows of one shape together: they are one batch, and the file is read back in few parts."""
    by_shape: dict[tuple[tuple[int, ...], ...], list[RowsOfOneShape]] = defaultdict(list)
    for part in parts:
        by_shape[tuple(array.shape[1:] for array in part.tensors.values())].append(part)
    return [
        RowsOfOneShape(
            tuple(number for part in same for number in part.numbers),
            {
                name: np.concatenate([part.tensors[name] for part in same])
                for name in same[0].tensors
            },
            tuple(label for part in same for label in part.labels),
        )
        for same in by_shape.values()
    ]


def _given_outputs(
    path: Path, outputs: Sequence[TensorSpec], parts: Sequence[RowsOfOneShape], *, rows: int
) -> list[Tensors]:
    """The outputs in the team's own file, whose rows are the `rows` of the data in their order."""
    plain = [
        TensorSpec(name=one.name, datatype=one.datatype, shape=one.shape, columns=one.columns)
        for one in outputs
    ]
    read = read_rows(path, plain, ROWS_MAX)
    by_number = _rows_by_number(read)
    found: list[Tensors] = []
    for part in parts:
        missing = [number for number in part.numbers if number not in by_number]
        if missing:
            reason = read.faults[missing[0]].reason if missing[0] in read.faults else "missing"
            raise GoldenError(f"{path}: row {missing[0]}: {reason}")
        own = [by_number[number] for number in part.numbers]
        found.append({one.name: np.concatenate([row[one.name] for row in own]) for one in plain})
    if (given := read.rows + len(read.faults)) != rows:
        # One that is missing or too many in the middle would shift all that follow.
        raise GoldenError(f"{path}: {given} rows for the {rows} of the data, which go by place")
    return found


def _rows_by_number(read: RowsRead) -> dict[int, Tensors]:
    return {
        number: {name: array[at : at + 1] for name, array in part.tensors.items()}
        for part in read.parts
        for at, number in enumerate(part.numbers)
    }


def _held_against(
    given: Sequence[Tensors],
    own: Sequence[Tensors],
    parts: Sequence[RowsOfOneShape],
    outputs: Sequence[TensorSpec],
) -> Compared:
    compared = Compared("given")
    specs = {spec.name: spec for spec in outputs}
    for wanted, got, part in zip(given, own, parts, strict=True):
        compared.add(part.numbers, wanted, got, specs, lambda *_: 0.0)
    return compared


def _stored(
    outputs: Sequence[TensorSpec], stages: Stages, rows: Sequence[GoldenRows]
) -> tuple[StoredTensor, ...]:
    found: list[StoredTensor] = []
    for spec in outputs:
        arrays = [part.expected[spec.name] for part in rows]
        stored = stored_tensor(EXPECTED + spec.name, spec.datatype, arrays, spec.columns)
        if stored is None:
            raise GoldenError(f"output {spec.name!r}: a table cannot hold arrays of its shapes")
        found.append(stored)
    for prefix, specs in (("preprocess.", stages.feature_specs), ("model.", stages.graph_specs)):
        if not all(prefix in part.stages for part in rows):
            continue
        kept = [
            stored_tensor(
                prefix + spec.name,
                spec.datatype,
                [part.stages[prefix][spec.name] for part in rows],
                (),
            )
            for spec in specs
        ]
        found += [one for one in kept if one is not None]
    return tuple(found)


def _stages_of(values: StageValues) -> dict[str, Tensors]:
    found = {"preprocess.": values.features, "model.": values.graph}
    return {prefix: tensors for prefix, tensors in found.items() if tensors}


def _named(arrays: Tensors, specs: Sequence[TensorSpec]) -> Tensors:
    return {spec.name: arrays[spec.name] for spec in specs}


def _said(recorded: Recorded, options: RecordOptions) -> int:
    text = f"{recorded.path}: {recorded.rows} rows recorded"
    if recorded.left_out:
        text += f", {recorded.left_out} left out: {recorded.reason}"
    print(text)
    if recorded.is_cut:
        print(f"  {options.data} has more rows; the first {ROWS_MAX} were read")
    compared = recorded.compared
    if compared is None or compared.is_passed:
        return 0
    first = compared.differences[min(compared.differences)]
    column = f", column {first.column}" if first.column else ""
    print(
        f"  {len(compared.differences)} rows of {options.outputs_from} are not what the model "
        f"answers, the first is row {first.row}: output {first.tensor}{column}: {first.got} "
        f"instead of {first.expected}"
    )
    return EXIT_DIFFERENT
