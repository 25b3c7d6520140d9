"""One row that differs from an ordinary one in what it is for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bridge.contract.invalid import InvalidCode, InvalidInput
from bridge.contract.model import TensorSpec
from bridge.contract.values import ValueCheck
from bridge.synthesize.features import Feature

Array = np.ndarray[Any, np.dtype[Any]]


class Missing:
    """Stands for a null where the datatype has none."""


MISSING = Missing()


@dataclass(frozen=True, slots=True)
class Change:
    """A feature's new value; `MISSING` for a null."""

    feature: Feature
    value: Any


@dataclass(frozen=True, slots=True)
class Scenario:
    """What the row is for, in words, and what makes it so."""

    name: str
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class ScenarioRow:
    """One row: tensors of shape (1, ...), the nulls that no tensor can hold, and its outcome.

    `expected_error` is the code with which the contract refuses the row in a file, or empty.
    """

    name: str
    tensors: Mapping[str, Array]
    missing: Mapping[str, Array]
    expected_error: str


def scenario_row(
    inputs: Sequence[TensorSpec], ordinary: Mapping[str, Array], scenario: Scenario
) -> ScenarioRow:
    """Return an ordinary row, tensors of (1, ...), with the scenario's changes."""
    tensors = {name: np.array(array) for name, array in ordinary.items()}
    missing: dict[str, Array] = {}
    for change in scenario.changes:
        spec, where = change.feature.spec, change.feature.places
        flat = tensors[spec.name].reshape(1, -1)
        if change.value is not MISSING:
            flat[0, where] = change.value
        elif spec.type.kind == "floating":
            flat[0, where] = np.nan
        else:
            missing.setdefault(spec.name, np.zeros(flat.shape, dtype=bool))[0, where] = True
    return ScenarioRow(scenario.name, tensors, missing, _expected(inputs, tensors, missing))


def _expected(
    inputs: Sequence[TensorSpec], tensors: Mapping[str, Array], missing: Mapping[str, Array]
) -> str:
    for spec in inputs:
        if _has_refused_null(spec, tensors[spec.name], missing.get(spec.name)):
            return InvalidCode.NULL_VALUE.value
    for spec in inputs:
        try:
            ValueCheck(spec).check(tensors[spec.name])
        except InvalidInput as error:
            return error.code.value
    return ""


def _has_refused_null(spec: TensorSpec, array: Array, missing: Array | None) -> bool:
    """Whether a null stands where only a binary body could carry one, or none at all."""
    flat = array.reshape(1, -1)
    nulls = np.zeros(flat.shape, dtype=bool) if missing is None else missing
    if spec.type.kind == "floating":
        nulls = nulls | np.isnan(flat)
    for place in np.flatnonzero(nulls[0]).tolist():
        column = spec.columns[place % len(spec.columns)] if spec.columns else ""
        if spec.column_rules.get(column, spec.rules).nulls not in ("allow", "default"):
            return True
    return False
