"""From a probability to a decision: `[decision]` of contract.toml, and threshold.toml beside it.

DecisionError
└── the section or the threshold does not fit the model; the message names the key
"""

from __future__ import annotations

import math
import tomllib
from typing import Any

import msgspec
import numpy as np

from bridge.contract.model import Decision, TensorSpec, ValueRules
from bridge.contract.repository import THRESHOLD_FILE, VersionFolder

Array = np.ndarray[Any, np.dtype[Any]]

DECISION_OUTPUT = "decision"
VERSION_CHARS_MAX = 64


class DecisionError(Exception):
    """The decision cannot be made as it is declared; the message names the key."""


class DecisionSection(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """`[decision]` as it is written; see docs/decisions.md."""

    output: str
    positive: str
    column: str = ""
    label_column: str = ""
    cost_false_negative: float | None = None
    cost_false_positive: float | None = None
    recall_floor: float | None = None


class Threshold(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`threshold.toml`: from where on it is positive, and for which model that was found.

    `model_sha256` is `repository.model_digest`; empty if it was chosen by hand.
    """

    threshold: float
    version: str
    model_sha256: str = ""


def read_decision(
    folder: VersionFolder, section: DecisionSection | None, outputs: tuple[TensorSpec, ...]
) -> Decision | None:
    """Return what a version's contract and threshold say; None if the contract declares nothing.

    Raises:
        DecisionError: what they say does not fit the outputs.
        RepositoryError: threshold.toml cannot be read.
    """
    content = folder.read(THRESHOLD_FILE)
    threshold = None if content is None else parse_threshold(content)
    if section is None:
        if threshold is not None:
            raise DecisionError(f"{THRESHOLD_FILE}: the contract has no section [decision]")
        return None
    decision = declared_decision(section, outputs)
    if threshold is None:
        return decision
    return msgspec.structs.replace(
        decision,
        threshold=threshold.threshold,
        threshold_version=threshold.version,
        model_sha256=threshold.model_sha256,
    )


def declared_decision(section: DecisionSection, outputs: tuple[TensorSpec, ...]) -> Decision:
    """Return the decision that a section declares on a model's outputs, without a threshold.

    Raises:
        DecisionError: no such output or column, or costs that make no sense.
    """
    spec = next((spec for spec in outputs if spec.name == section.output), None)
    if spec is None:
        known = ", ".join(spec.name for spec in outputs)
        raise DecisionError(f"decision.output: no output {section.output!r}, there are {known}")
    if any(spec.name == DECISION_OUTPUT for spec in outputs):
        raise DecisionError(f"decision: the model has an output {DECISION_OUTPUT!r} of its own")
    if not section.positive:
        raise DecisionError("decision.positive: is empty")
    _refuse_goals(section)
    return Decision(
        output=spec.name,
        place=_place(spec, section.column),
        column=section.column,
        positive=section.positive,
        label_column=section.label_column,
        cost_false_negative=section.cost_false_negative,
        cost_false_positive=section.cost_false_positive,
        recall_floor=section.recall_floor,
    )


def parse_threshold(content: bytes) -> Threshold:
    """Return what the bytes of a threshold.toml say.

    Raises:
        DecisionError: not TOML, an unknown key, a threshold that is not finite, no version.
    """
    try:
        found = msgspec.convert(tomllib.loads(content.decode()), Threshold, strict=True)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DecisionError(f"{THRESHOLD_FILE}: not TOML: {error}") from error
    except msgspec.ValidationError as error:
        raise DecisionError(f"{THRESHOLD_FILE}: {error}") from error
    if not math.isfinite(found.threshold):
        raise DecisionError(f"{THRESHOLD_FILE}: threshold: {found.threshold} is not finite")
    if not found.version.isprintable() or not 0 < len(found.version) <= VERSION_CHARS_MAX:
        raise DecisionError(
            f"{THRESHOLD_FILE}: version: must be printable, at most {VERSION_CHARS_MAX} characters"
        )
    return found


def threshold_text(threshold: Threshold, comment: str) -> str:
    """Return a threshold.toml, which `parse_threshold` reads; each line of `comment` as one."""
    lines = [f"# {line}".rstrip() for line in comment.splitlines()]
    lines += [
        f"threshold = {float(threshold.threshold)!r}",
        f"version = {msgspec.json.encode(threshold.version).decode()}",
    ]
    if threshold.model_sha256:
        lines.append(f'model_sha256 = "{threshold.model_sha256}"')
    return "\n".join(lines) + "\n"


def with_decision(
    outputs: tuple[TensorSpec, ...], decision: Decision | None
) -> tuple[TensorSpec, ...]:
    """Return the outputs with the decision after them, if there is a threshold to make it by."""
    if decision is None or decision.threshold is None:
        return outputs
    where = f"{decision.output}.{decision.column}" if decision.column else decision.output
    text = f"true: {decision.positive}, {where} is {decision.threshold!r} or more"
    rules = ValueRules(description=text)
    return (*outputs, TensorSpec(name=DECISION_OUTPUT, datatype="BOOL", shape=(-1,), rules=rules))


def probabilities(decision: Decision, output: Array) -> Array:
    """Return the probability of the positive class, FP64 of shape (rows,), from its output."""
    column: Array = output.reshape(len(output), -1)[:, decision.place]
    return column.astype(np.float64)


def decided(decision: Decision, output: Array) -> Array:
    """Return the decisions on an output of shape (rows, ...): BOOL of shape (rows,).

    Raises:
        DecisionError: a NaN, from which neither follows, or no threshold.
    """
    if decision.threshold is None:
        raise DecisionError(f"there is no {THRESHOLD_FILE}")
    given = probabilities(decision, output)
    if np.isnan(given).any():
        raise DecisionError(f"output {decision.output!r}: NaN, from which no decision follows")
    positive: Array = given >= decision.threshold
    return positive


def _place(spec: TensorSpec, column: str) -> int:
    if spec.type.kind != "floating":
        raise DecisionError(f"decision.output: {spec.name!r} is {spec.datatype}, not floating")
    if all(size == 1 for size in spec.row_shape):
        if column:
            raise DecisionError(f"decision.column: {spec.name!r} has one value a row")
        return 0
    if len(spec.shape) != 2 or column not in spec.columns:
        known = ", ".join(spec.columns) or "none: declare outputs.<name>.columns"
        raise DecisionError(f"decision.column: {column!r} is not among the columns, {known}")
    return spec.columns.index(column)


def _refuse_goals(section: DecisionSection) -> None:
    floor = section.recall_floor
    costs = (section.cost_false_negative, section.cost_false_positive)
    if floor is not None:
        if costs != (None, None):
            raise DecisionError("decision: costs or recall_floor, not both")
        if not 0 < floor <= 1:
            raise DecisionError(f"decision.recall_floor: {floor:g} is not above 0 and at most 1")
        return
    for name, cost in zip(("cost_false_negative", "cost_false_positive"), costs, strict=True):
        if cost is None:
            raise DecisionError(f"decision.{name}: is missing (or give a recall_floor)")
        if not (cost > 0 and math.isfinite(cost)):
            raise DecisionError(f"decision.{name}: {cost:g} is not above 0")
