"""Which function or node is to blame for a finding: each stage is run alone and in the batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bridge.contract.model import ModelContract
from bridge.contract.repository import MODEL_FILE, PIPELINE_FILE, VersionFolder
from workers.check.agreement import Agreement, compare, usual_magnitude
from workers.check.finding import Finding, Kind
from workers.check.mixing_nodes import mixing_nodes
from workers.check.suspect import Suspect
from workers.model import Model
from workers.pipeline import Pipeline, load_pipeline
from workers.session import Session

Array = np.ndarray[Any, np.dtype[Any]]
Arrays = Mapping[str, Array]

NODES_MAX = 3
# A stage with chance in it gives the same twice now and then: dropout in the sixteenth part of
# the runs that have four values in a row.
CHANCE_RUNS = 8
_MIXES = "gives a row other values when other rows are beside it"


def suspects(folder: VersionFolder, finding: Finding, threads: int) -> tuple[Suspect, ...]:
    """Return what is to blame: the first stage whose output for the row differs.

    For the graph these are the nodes known to mix rows, at most `NODES_MAX`, in the order in which
    they run. The stages are loaded anew, so that what a pipeline remembers is not in the way.
    """
    try:
        return tuple(_suspects(folder, finding, threads))
    except (Exception, SystemExit) as error:  # a stage by itself is the team's code
        reason = f"cannot be run by itself: {type(error).__name__}"
        return (Suspect(str(folder.path), "a stage", reason),)


def _suspects(folder: VersionFolder, finding: Finding, threads: int) -> list[Suspect]:
    pipeline = _pipeline(folder)
    if pipeline.predict is not None:
        return [Suspect(PIPELINE_FILE, "predict", _mixing(finding))]
    content = folder.read(MODEL_FILE)
    if content is None or finding.kind is Kind.FAILS_TOGETHER:
        return []
    given = _Both(
        finding.probe.taken((finding.batch[finding.place],)),
        finding.probe.taken(finding.batch),
        finding.place,
    )
    features = given
    if pipeline.preprocess is not None:
        features = given.through(pipeline.preprocess)
        if _shows(given, pipeline.preprocess, finding):
            return [Suspect(PIPELINE_FILE, "preprocess", _mixing(finding))]
    session = Session(content, threads)
    graph = Model(_contract_of(session), session, Pipeline())
    if _shows(features, lambda arrays: graph.run(arrays, _rows(arrays)), finding):
        return _nodes(content, finding)
    return [Suspect(PIPELINE_FILE, "postprocess", _mixing(finding))]


def _shows(given: _Both, stage: Callable[[Arrays], Arrays], finding: Finding) -> bool:
    runs = CHANCE_RUNS if finding.kind is Kind.UNREPEATABLE else 1
    return any(given.through(stage).differ() for _ in range(runs))


def _mixing(finding: Finding) -> str:
    if finding.kind is Kind.UNREPEATABLE:
        return "gives the same row other values when it is run again"
    return _MIXES


def _nodes(content: bytes, finding: Finding) -> list[Suspect]:
    found = mixing_nodes(content, finding.output)[:NODES_MAX]
    if not found:
        return [Suspect(MODEL_FILE, "the graph", f"{_mixing(finding)}; by which node is not known")]
    return [Suspect(MODEL_FILE, f"{node.operator} {node.name}", node.reason) for node in found]


def _pipeline(folder: VersionFolder) -> Pipeline:
    if folder.read(PIPELINE_FILE) is None:
        return Pipeline()
    name = f"batchbridge_check_{folder.model}_{folder.version}"
    return load_pipeline(folder.path / PIPELINE_FILE, name)


def _contract_of(session: Session) -> ModelContract:
    """The graph as a model of its own, without what surrounds it."""
    signature = session.signature
    return ModelContract(
        name="graph",
        version="1",
        platform="onnx_onnxv1",
        inputs=signature.inputs,
        outputs=signature.outputs,
    )


def _rows(arrays: Arrays) -> int:
    return len(next(iter(arrays.values())))


@dataclass(frozen=True, slots=True)
class _Both:
    """The row alone, and the batch in which it is at `place`, before or after some stage."""

    alone: Arrays
    batch: Arrays
    place: int

    def through(self, stage: Callable[[Arrays], Arrays]) -> _Both:
        with np.errstate(all="ignore"):
            # A stage may work in place.
            alone = stage({name: np.array(array) for name, array in self.alone.items()})
            batch = stage({name: np.array(array) for name, array in self.batch.items()})
        return _Both(alone, batch, self.place)

    def differ(self) -> bool:
        """Whether any array has other values for the row, or none for it."""
        return any(
            self._differs(np.asarray(array), np.asarray(self.batch[name]))
            for name, array in self.alone.items()
        )

    def _differs(self, alone: Array, batch: Array) -> bool:
        if len(alone) != 1 or len(batch) <= self.place:
            return True
        rows = [batch[place : place + 1] for place in range(len(batch))]
        if alone.dtype != batch.dtype:
            return True
        return (
            compare(alone, rows[self.place], usual_magnitude(rows)).agreement is Agreement.DIFFERENT
        )
