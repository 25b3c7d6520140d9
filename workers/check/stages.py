"""A model version taken apart: what comes out of preprocess, of the graph, and of it all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bridge.contract.model import ModelContract, TensorSpec
from bridge.contract.padding import Padder
from bridge.contract.repository import MODEL_FILE, PIPELINE_FILE, VersionFolder
from workers.model import Model, ModelError
from workers.pipeline import Pipeline, load_pipeline
from workers.session import Session

Array = np.ndarray[Any, np.dtype[Any]]
Arrays = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class StageValues:
    """What one batch was at each stage, arrays of shape (rows, ...) by name.

    `features`, of preprocess, and `graph` are empty where the version has no such stage, or where
    nothing comes after the graph.
    """

    features: Arrays
    graph: Arrays
    outputs: Arrays


class Stages:
    """The stages of one version, loaded for themselves beside the whole model."""

    def __init__(self, folder: VersionFolder, whole: Model, threads: int) -> None:
        """Load the stages once more.

        Raises:
            PipelineError, SessionError, RepositoryError: as when the model is loaded.
        """
        self._whole = whole
        self._pipeline = Pipeline()
        if folder.read(PIPELINE_FILE) is not None:
            name = f"batchbridge_stages_{folder.model}_{folder.version}"
            self._pipeline = load_pipeline(folder.path / PIPELINE_FILE, name)
        content = folder.read(MODEL_FILE)
        self._graph: Model | None = None
        if content is not None:
            session = Session(content, threads)
            self._graph = Model(_graph_contract(session), session, Pipeline())

    @property
    def last(self) -> str:
        """The stage that the outputs come from."""
        if self._pipeline.predict is not None:
            return "predict"
        return "model" if self._pipeline.postprocess is None else "postprocess"

    @property
    def feature_specs(self) -> tuple[TensorSpec, ...]:
        """The graph's inputs, where preprocess makes them; else none."""
        if self._graph is None or self._pipeline.preprocess is None:
            return ()
        return self._graph.contract.inputs

    @property
    def graph_specs(self) -> tuple[TensorSpec, ...]:
        """The graph's outputs, where postprocess takes them; else none."""
        if self._graph is None or self._pipeline.postprocess is None:
            return ()
        return self._graph.contract.outputs

    def run(self, inputs: Arrays) -> StageValues:
        """Return what callers' inputs, rows of one shape, become in as few batches as may be.

        They are not padded, even if lengths vary. A stage that cannot be run by itself is left out.

        Raises:
            ModelError: as `Model.run`.
        """
        rows = len(next(iter(inputs.values())))
        size = self._whole.rows_max or rows
        inputs = self._complete(inputs)
        parts = [
            self._run({name: array[start : start + size] for name, array in inputs.items()})
            for start in range(0, rows, size)
        ]
        return StageValues(
            _joined([part.features for part in parts]),
            _joined([part.graph for part in parts]),
            _joined([part.outputs for part in parts]),
        )

    def _run(self, inputs: Arrays) -> StageValues:
        rows = len(next(iter(inputs.values())))
        with np.errstate(all="ignore"):  # as in the nightly run
            outputs: Arrays = self._whole.run(_copied(inputs), rows)
            if self._graph is None:
                return StageValues({}, {}, outputs)
            try:
                features = self._features(inputs)
                graph = self._graph.run(features, rows) if self.graph_specs else {}
            except (Exception, SystemExit):  # a stage by itself is the team's code
                return StageValues({}, {}, outputs)
        named = {spec.name: features[spec.name] for spec in self.feature_specs}
        return StageValues(named, graph, outputs)

    def output(self, inputs: Arrays, name: str) -> Array | None:
        """Return one output for one row; None where the model refuses it."""
        try:
            with np.errstate(all="ignore"):
                return self._whole.run(_copied(self._complete(inputs)), 1)[name]
        except ModelError:
            return None

    def _features(self, inputs: Arrays) -> dict[str, Array]:
        assert self._graph is not None
        made = inputs
        if self._pipeline.preprocess is not None:
            made = self._pipeline.preprocess(_copied(inputs))
        return {
            spec.name: np.asarray(made[spec.name], dtype=spec.type.dtype)
            for spec in self._graph.contract.inputs
        }

    def _complete(self, inputs: Arrays) -> Arrays:
        """Add what callers do not send: a mask of ones, the rows' own length."""
        if self._whole.contract.padding is None:
            return inputs
        padder = Padder(self._whole.contract)
        return padder.padded_to(inputs, padder.length(inputs))


def _graph_contract(session: Session) -> ModelContract:
    """The graph as a model of its own, without what surrounds it."""
    signature = session.signature
    return ModelContract(
        name="graph",
        version="1",
        platform="onnx_onnxv1",
        inputs=signature.inputs,
        outputs=signature.outputs,
    )


def _joined(parts: list[Arrays]) -> Arrays:
    """Batches one after the other; nothing where a stage is missing from one of them."""
    if len(parts) == 1 or not all(parts):
        return parts[0] if all(parts) else {}
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _copied(arrays: Arrays) -> dict[str, Array]:
    """A stage may work in place."""
    return {name: np.array(array) for name, array in arrays.items()}
