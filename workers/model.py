"""One model version, loaded: batches of caller inputs in, caller outputs out.

ModelError
├── RowsFailed    the model or its pipeline raised on this batch
└── BadOutput     it returned, but not one row for each row
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bridge.contract.decision import DECISION_OUTPUT, DecisionError, decided
from bridge.contract.model import Decision, ModelContract, TensorSpec
from workers.pipeline import Pipeline
from workers.session import Session

Array = np.ndarray[Any, np.dtype[Any]]


class ModelError(Exception):
    """A batch that the model did not answer."""


class RowsFailed(ModelError):
    """The model raised; perhaps on one row only."""


class BadOutput(ModelError):
    """The outputs do not fit the contract: rows, names or datatypes."""


class Model:
    """A contract with what computes it: a pipeline, a session, or both."""

    def __init__(
        self, contract: ModelContract, session: Session | None, pipeline: Pipeline
    ) -> None:
        self.contract = contract
        self._session = session
        self._pipeline = pipeline

    @property
    def fixed_rows(self) -> int | None:
        """The batch dimension that the graph was exported with, None if it is free."""
        return None if self._session is None else self._session.signature.fixed_rows

    @property
    def rows_max(self) -> int | None:
        """The most rows that one run may hold, by the contract and the graph; None if any."""
        bounds = (self.contract.serving.max_batch_rows, self.fixed_rows)
        return min((rows for rows in bounds if rows is not None), default=None)

    @property
    def needs_own_arrays(self) -> bool:
        """Whether the inputs must be writable: a batch script may change them in place."""
        return self._pipeline != Pipeline()

    def run(self, inputs: Mapping[str, Array], rows: int) -> dict[str, Array]:
        """Return the outputs for `rows` rows: arrays of shape (rows, ...) in the contract's dtypes.

        Raises:
            RowsFailed: the model or its pipeline raised, or a probability to decide on is NaN.
            BadOutput: an output is missing, has another number of rows, or cannot be converted.
        """
        try:
            outputs = self._compute(inputs, rows)
        except ModelError:
            raise
        except (Exception, SystemExit) as error:  # a batch script may end itself over a bad row
            raise RowsFailed(_without_values(error)) from error
        if not isinstance(outputs, Mapping):
            raise BadOutput(f"the outputs are a {type(outputs).__name__}, not a mapping of names")
        specs, decision = self.contract.outputs, self.contract.decision
        if decision is None or decision.threshold is None:
            return {spec.name: _fitted(spec, outputs, rows) for spec in specs}
        return _with_decision(
            decision, {spec.name: _fitted(spec, outputs, rows) for spec in specs[:-1]}
        )

    def _compute(self, inputs: Mapping[str, Array], rows: int) -> Mapping[str, Array]:
        pipeline = self._pipeline
        if pipeline.predict is not None:
            return pipeline.predict(inputs)
        if self._session is None:
            raise RowsFailed("there is neither a graph nor a predict function")
        features = inputs if pipeline.preprocess is None else pipeline.preprocess(inputs)
        outputs: Mapping[str, Array] = self._run_session(features, rows)
        return outputs if pipeline.postprocess is None else pipeline.postprocess(outputs, inputs)

    def _run_session(self, features: Mapping[str, Array], rows: int) -> dict[str, Array]:
        assert self._session is not None
        features = _as_graph_expects(self._session.signature.inputs, features)
        fixed = self._session.signature.fixed_rows
        if fixed is None:
            return self._session.run(features)
        for name, array in features.items():
            # A row too few would be padded away, and its caller get another row's answer.
            if array.shape[:1] != (rows,):
                raise BadOutput(f"input {name!r} of the graph: shape {array.shape} for {rows} rows")
        pieces = [
            self._run_padded(features, start, min(fixed, rows - start), fixed)
            for start in range(0, rows, fixed)
        ]
        return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}

    def _run_padded(
        self, features: Mapping[str, Array], start: int, rows: int, fixed: int
    ) -> dict[str, Array]:
        assert self._session is not None
        padded = {
            name: _padded(array[start : start + rows], fixed) for name, array in features.items()
        }
        outputs = self._session.run(padded)
        for name, array in outputs.items():
            if array.shape[:1] != (fixed,):
                raise BadOutput(f"output {name!r}: shape {array.shape} for {fixed} rows")
        return {name: array[:rows] for name, array in outputs.items()}


def _with_decision(decision: Decision, outputs: dict[str, Array]) -> dict[str, Array]:
    """The decision is the contract's last output, and the only one that no pipeline computes."""
    try:
        outputs[DECISION_OUTPUT] = decided(decision, outputs[decision.output])
    except DecisionError as error:
        raise RowsFailed(str(error)) from error
    return outputs


def _padded(rows: Array, fixed: int) -> Array:
    """Repeat the last row: a row that is known to be valid, unlike zeros."""
    missing = fixed - len(rows)
    return rows if not missing else np.concatenate([rows, np.repeat(rows[-1:], missing, axis=0)])


def _as_graph_expects(
    specs: tuple[TensorSpec, ...], features: Mapping[str, Array]
) -> dict[str, Array]:
    missing = [spec.name for spec in specs if spec.name not in features]
    if missing:
        raise RowsFailed(f"preprocess returned no {', '.join(missing)}")
    return {spec.name: np.asarray(features[spec.name], dtype=spec.type.dtype) for spec in specs}


def _fitted(spec: TensorSpec, outputs: Mapping[str, Array], rows: int) -> Array:
    if spec.name not in outputs:
        raise BadOutput(f"output {spec.name!r} is missing")
    wanted = spec.type.dtype
    try:
        array = np.asarray(outputs[spec.name])
        if array.dtype != wanted:
            array = _converted(array, wanted)
    except (TypeError, ValueError, OverflowError) as error:
        raise BadOutput(
            f"output {spec.name!r} is no {spec.datatype}: {_without_values(error)}"
        ) from error
    if array.shape[:1] != (rows,):
        raise BadOutput(f"output {spec.name!r}: shape {array.shape} for {rows} rows")
    if wanted == object:
        array = _text(spec.name, array)
    return array if array.flags.c_contiguous else np.ascontiguousarray(array)


def _converted(array: Array, wanted: np.dtype[Any]) -> Array:
    """Return the array in another dtype; whole numbers must stay what they are."""
    with np.errstate(invalid="ignore"):
        converted = array.astype(wanted)
    if wanted.kind in "iub" and not np.array_equal(converted, array):
        raise ValueError(f"{array.dtype} values that {wanted} cannot hold")
    return converted


def _without_values(error: BaseException) -> str:
    """Say what was raised and where, without its text: that may quote a caller's rows."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return type(error).__name__
    file = Path(trace.tb_frame.f_code.co_filename).name
    return f"{type(error).__name__} at {file}:{trace.tb_lineno}"


def _text(name: str, array: Array) -> Array:
    """Return the array with plain str and bytes, which is all that a frame carries."""
    plain = np.empty(array.size, dtype=object)
    plain[:] = [_plain(name, value) for value in array.ravel().tolist()]
    return plain.reshape(array.shape)


def _plain(name: str, value: object) -> str | bytes:
    if isinstance(value, bytes):
        return bytes(value)
    if not isinstance(value, str):
        raise BadOutput(f"output {name!r}: a {type(value).__name__} is no text")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise BadOutput(f"output {name!r}: text that is not Unicode") from error
    return str(value)
