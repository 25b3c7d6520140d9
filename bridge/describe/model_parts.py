"""The parts of a model version that has no contract yet, and what they say of its tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bridge.contract.datatype import datatype_of
from bridge.contract.model import TensorSpec
from bridge.contract.repository import MODEL_FILE, PIPELINE_FILE, RepositoryError, VersionFolder
from bridge.describe.errors import DescribeError
from workers.graph import UnsafeGraphError, check_graph
from workers.pipeline import Pipeline, PipelineError, load_pipeline
from workers.session import Session, SessionError

Array = np.ndarray[Any, np.dtype[Any]]
Arrays = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Observed:
    """What one run showed: the inputs that the code asked for, and what it answered."""

    asked: tuple[str, ...]
    outputs: tuple[TensorSpec, ...]


@dataclass(frozen=True, slots=True)
class ModelParts:
    """A session, a pipeline, or both."""

    session: Session | None
    pipeline: Pipeline

    @property
    def graph_inputs(self) -> tuple[TensorSpec, ...] | None:
        """The graph's inputs, if they are what callers send; None if a function takes them."""
        if self.session is None or self.pipeline.preprocess is not None:
            return None
        return self.session.signature.inputs

    @property
    def graph_outputs(self) -> tuple[TensorSpec, ...] | None:
        """The graph's outputs, if they are what callers get; None if a function makes them."""
        if self.session is None or self.pipeline.postprocess is not None:
            return None
        return self.session.signature.outputs

    def observed(self, rows: Arrays) -> Observed:
        """Run rows of one shape, (rows, ...) by input name, and watch.

        Raises:
            DescribeError: a stage raised, or gave what no output can be.
        """
        noted = _Noted({name: np.array(array) for name, array in rows.items()})
        try:
            outputs = self._run(noted)
            specs = tuple(_spec(name, np.asarray(array)) for name, array in outputs.items())
        except DescribeError:
            raise
        except (Exception, SystemExit) as error:  # the team's code may raise anything
            raise DescribeError(
                f"the first {len(next(iter(rows.values())))} rows of --data cannot be run: "
                f"{type(error).__name__}: {error}; --ignore leaves out columns"
            ) from error
        return Observed(tuple(name for name in rows if name in noted.asked), specs)

    def _run(self, inputs: _Noted) -> Arrays:
        pipeline = self.pipeline
        if pipeline.predict is not None:
            return pipeline.predict(inputs)
        if self.session is None:
            raise DescribeError(f"there is neither a {MODEL_FILE} nor a predict function")
        features = inputs if pipeline.preprocess is None else pipeline.preprocess(inputs)
        typed = {
            spec.name: np.asarray(features[spec.name], dtype=spec.type.dtype)
            for spec in self.session.signature.inputs
        }
        outputs: Arrays = self.session.run(typed)
        return outputs if pipeline.postprocess is None else pipeline.postprocess(outputs, inputs)


def open_parts(folder: VersionFolder) -> ModelParts:
    """Load what the folder holds, its contract.toml left aside.

    Raises:
        DescribeError: its files cannot be used.
    """
    try:
        content = folder.read(MODEL_FILE)
        session = None
        if content is not None:
            check_graph(content)
            session = Session(content, threads=1)
        pipeline = Pipeline()
        if folder.read(PIPELINE_FILE) is not None:
            name = f"batchbridge_describe_{folder.model}_{folder.version}"
            pipeline = load_pipeline(folder.path / PIPELINE_FILE, name)
    except (RepositoryError, UnsafeGraphError, SessionError, PipelineError) as error:
        raise DescribeError(f"{folder.path}: {error}") from error
    return ModelParts(session, pipeline)


def _spec(name: str, array: Array) -> TensorSpec:
    datatype = datatype_of(array.dtype if array.dtype != object else np.dtype("U"))
    return TensorSpec(name=name, datatype=datatype.name, shape=(-1, *array.shape[1:]))


class _Noted(dict[str, Array]):
    """A mapping of arrays that notes which of them were asked for.

    A real dict, as a pipeline gets in a worker; asked for as a whole, it notes all.
    """

    def __init__(self, arrays: Arrays) -> None:
        super().__init__(arrays)
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> Array:
        self.asked.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.asked.add(name)
        return super().get(name, default)

    def __iter__(self) -> Iterator[str]:
        self.asked.update(super().keys())
        return super().__iter__()

    def keys(self) -> Any:
        self.asked.update(super().keys())
        return super().keys()

    def values(self) -> Any:
        self.asked.update(super().keys())
        return super().values()

    def items(self) -> Any:
        self.asked.update(super().keys())
        return super().items()
