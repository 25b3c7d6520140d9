"""At which stage a golden row went wrong: preprocess, model, postprocess, or on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from bridge.contract.model import TensorSpec
from bridge.golden.comparison import Compared, Difference, first_difference
from bridge.golden.expectation import Expectation, RowPlace
from workers.check.stages import Stages, StageValues
from workers.model import ModelError

Array = np.ndarray[Any, np.dtype[Any]]
Tensors = Mapping[str, Array]


class Stage(StrEnum):
    """Where an answer came to differ."""

    PREPROCESS = "preprocess"
    MODEL = "model"
    POSTPROCESS = "postprocess"
    PREDICT = "predict"  # the pipeline is the model
    RECORDED = "recorded"  # the outputs given were never this model's
    WAY = "on the way"  # between the caller and the model


@dataclass(frozen=True, slots=True)
class Blame:
    """The stage, what differs there first if that is known, and when."""

    stage: Stage
    difference: Difference | None
    when: str


ALL_AT_ONCE = "in this process, all rows at once"
_BATCHED = "already with all rows in one batch"
_ALONE = "when the row is alone, not with all rows in one batch"


class Recomputed:
    """Golden rows through the stages in this process: in one batch for each shape, and alone."""

    def __init__(self, expectation: Expectation, stages: Stages) -> None:
        self._expectation = expectation
        self._stages = stages
        self._batches: list[StageValues | ModelError] = [
            self._run(part.inputs) for part in expectation.golden.parts
        ]

    def way(self) -> Compared:
        """Return the batch's answers, compared."""
        way = Compared(ALL_AT_ONCE)
        answers: dict[RowPlace, Tensors] = {}
        for place in self._expectation.places:
            batch = self._batches[place.part]
            if isinstance(batch, ModelError):
                way.unanswered[place.number] = str(batch)
                continue
            at = place.place
            answers[place] = {name: array[at : at + 1] for name, array in batch.outputs.items()}
        self._expectation.compare(way, answers)
        return way

    def outputs(self, part: int) -> Tensors:
        """Return a part's outputs, (rows, ...); none where the model failed."""
        batch = self._batches[part]
        return {} if isinstance(batch, ModelError) else batch.outputs

    def blame(self, place: RowPlace) -> Blame:
        """Return where a row that is not as expected came to differ."""
        batch = self._batches[place.part]
        if isinstance(batch, ModelError):
            return Blame(self._last, None, f"{_BATCHED}: {batch}")
        found = self._differing(place, batch, place.place, _BATCHED)
        if found is not None:
            return found
        alone = self._run(self._expectation.inputs(place))
        if isinstance(alone, ModelError):
            return Blame(self._last, None, f"{_ALONE}: {alone}")
        found = self._differing(place, alone, 0, _ALONE)
        return found or Blame(Stage.WAY, None, "the model itself gives what is expected")

    @property
    def _last(self) -> Stage:
        return Stage(self._stages.last)

    def _run(self, inputs: Tensors) -> StageValues | ModelError:
        try:
            return self._stages.run(inputs)
        except ModelError as error:
            return error

    def _differing(self, place: RowPlace, values: StageValues, at: int, when: str) -> Blame | None:
        """Compare stage by stage with what was recorded; the first that differs is to blame."""
        golden = self._expectation.golden
        recorded = golden.parts[place.part].stages
        stages: list[tuple[Stage, Tensors, Tensors, Mapping[str, TensorSpec]]] = [
            (Stage.PREPROCESS, recorded.get("preprocess.", {}), values.features, {}),
            (Stage.MODEL, recorded.get("model.", {}), values.graph, {}),
            (
                self._last,
                self._expectation.expected(place.part),
                values.outputs,
                self._expectation.specs,
            ),
        ]
        for stage, expected, got, specs in stages:
            shared = [name for name in expected if name in got]
            found = first_difference(
                place.number,
                {name: _rows(expected[name], place.place, got[name]) for name in shared},
                {name: got[name] for name in shared},
                specs,
                at,
            )
            if found is None:
                continue
            theirs = golden.head.outputs_from
            if stage is self._last and theirs and self._expectation.is_same_model:
                return Blame(
                    Stage.RECORDED, found, f"the outputs of {theirs} never were this model's"
                )
            return Blame(stage, found, when)
        return None


def _rows(expected: Array, place: int, got: Array) -> Array:
    """The recorded rows beside what came: all of them, or the one that was run alone."""
    return expected if len(expected) == len(got) else expected[place : place + 1]
