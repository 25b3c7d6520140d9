"""What is expected of golden rows by the present contract, and the answers held against it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
import numpy as np

from bridge.contract.decision import DECISION_OUTPUT, DecisionError, decided, with_decision
from bridge.contract.model import ModelContract, TensorSpec
from bridge.golden.comparison import Compared
from bridge.golden.golden import EXPECTED, Golden, GoldenRows
from workers.check.agreement import compare, usual_magnitude
from workers.check.conditioning import nudged
from workers.check.stages import Stages

Array = np.ndarray[Any, np.dtype[Any]]
Tensors = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class RowPlace:
    """A golden row: its number in the file, its part, and its place there."""

    number: int
    part: int
    place: int


class Expectation:
    """Golden rows with what must come of them now: the decision follows the present threshold."""

    def __init__(
        self, golden: Golden, contract: ModelContract, stages: Stages, model_sha256: str
    ) -> None:
        """`model_sha256`: of model and pipeline as they are now."""
        self.golden = golden
        self.is_same_model = golden.head.model_sha256 == model_sha256
        self._stages = stages
        self._specs = {spec.name: spec for spec in contract.outputs}
        self._expected = [_with_decision(part, contract) for part in golden.parts]
        self.places = [
            RowPlace(number, index, place)
            for index, part in enumerate(golden.parts)
            for place, number in enumerate(part.numbers)
        ]
        stored = [tensor.spec for tensor in golden.head.stored if tensor.name.startswith(EXPECTED)]
        own = [
            msgspec.structs.replace(spec, name=spec.name.removeprefix(EXPECTED)) for spec in stored
        ]
        self.output_specs = (*own, *with_decision((), contract.decision))

    @property
    def specs(self) -> Mapping[str, TensorSpec]:
        """The contract's outputs by name."""
        return self._specs

    def expected(self, part: int) -> Tensors:
        """Return the expected outputs of a part's rows, (rows, ...)."""
        return self._expected[part]

    def inputs(self, place: RowPlace) -> Tensors:
        """Return a row as a request of its own."""
        given = self.golden.parts[place.part].inputs
        return {name: array[place.place : place.place + 1] for name, array in given.items()}

    def compare(self, way: Compared, answers: Mapping[RowPlace, Tensors]) -> None:
        """Hold answers, each of one row, against what is expected."""
        by_part: dict[int, list[RowPlace]] = defaultdict(list)
        for place in sorted(answers, key=lambda place: place.number):
            missing = [name for name in self._expected[place.part] if name not in answers[place]]
            if missing:
                way.unanswered[place.number] = f"no output {', '.join(missing)}"
            else:
                by_part[place.part].append(place)
        for part, places in by_part.items():
            self._compare(way, part, places, [answers[place] for place in places])

    def _compare(
        self, way: Compared, part: int, places: list[RowPlace], answers: list[Tensors]
    ) -> None:
        at = [place.place for place in places]
        expected = {name: array[at] for name, array in self._expected[part].items()}
        try:
            got = {name: np.concatenate([one[name] for one in answers]) for name in expected}
        except ValueError:  # answers of different shapes: row by row, each is told what it is
            for place, answer in zip(places, answers, strict=True):
                one = {
                    name: array[place.place : place.place + 1]
                    for name, array in self._expected[part].items()
                }
                way.add((place.number,), one, answer, self._specs, lambda *_: 0.0)
            return
        numbers = tuple(place.number for place in places)
        way.add(numbers, expected, got, self._specs, partial(self._moved, places))

    def _moved(self, places: list[RowPlace], at: int, name: str) -> float:
        """By how much an output of a row moves when its inputs are nudged; see `conditioning`."""
        place = places[at]
        expected = self._expected[place.part][name]
        # Not what is expected: then whatever has changed in the model would count as rounding.
        row = self._stages.output(self.inputs(place), name)
        if row is None:
            return 0.0
        usual = usual_magnitude([expected[one : one + 1] for one in range(len(expected))])
        found = (self._stages.output(tensors, name) for tensors in nudged(self.inputs(place)))
        return max((compare(row, one, usual).relative for one in _like(row, found)), default=0.0)


def _like(row: Array, found: Iterable[Array | None]) -> list[Array]:
    return [one.reshape(row.shape) for one in found if one is not None and one.size == row.size]


def _with_decision(part: GoldenRows, contract: ModelContract) -> Tensors:
    decision = contract.decision
    if decision is None or decision.threshold is None or decision.output not in part.expected:
        return part.expected
    try:
        made = decided(decision, part.expected[decision.output])
    except DecisionError:  # a NaN is expected: what comes of it is an answer or none
        return part.expected
    return {**part.expected, DECISION_OUTPUT: made}
