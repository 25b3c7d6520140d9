"""Which threshold costs least on golden rows with labels, and what the present one costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from bridge.contract.decision import Threshold, threshold_text
from bridge.contract.invalid import shown
from bridge.contract.model import Decision, ModelContract
from bridge.contract.repository import THRESHOLD_FILE, VersionFolder, model_digest
from bridge.golden.blame import Recomputed
from bridge.golden.golden import Golden
from bridge.golden.labels import LabelError, is_positive, labelled, negatives
from bridge.golden.threshold_choice import (
    CONFIDENCE,
    FEW_ROWS,
    Goal,
    Interval,
    ThresholdChoice,
    ThresholdError,
    choose_threshold,
)

FIRST_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionCheck:
    """The threshold found, and the one that is served; `reason` where none could be found.

    `present_cost_per_row` is that of the served threshold on the same rows. `is_stale`: it was
    found for another model. `written`: what was written just now. `is_misread`: the labels are not
    those that the contract speaks of. `negatives`: the labels that count as negative, each with
    how often it is there.
    """

    model: str
    decision: Decision
    choice: ThresholdChoice | None
    reason: str
    present_cost_per_row: float | None
    is_stale: bool
    written: Threshold | None
    is_misread: bool = False
    negatives: str = ""

    @property
    def name(self) -> str:
        """Its key in the report."""
        return "decision"

    @property
    def is_passed(self) -> bool:
        """Whether the version can be served with the threshold that it has, or without one.

        Not while its labels are misread: whoever wrote them expects a threshold from them.
        """
        return self.written is not None or not (self.is_stale or self.is_misread)

    def lines(self) -> Iterator[str]:
        """Yield the page for a person, line by line."""
        yield f"{self.model}: {'passed' if self.is_passed else 'FAILED'}: {self._verdict()}"
        choice = self.choice
        if choice is None:
            yield f"  no threshold can be found: {self.reason}"
        else:
            yield f"  counted as negative: {self.negatives}"
            yield from (f"  {line}" for line in _choice_lines(choice, self.decision))
            yield from (f"  {line}" for line in self._present_lines(choice))

    def document(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "passed": self.is_passed,
            "threshold": self.decision.threshold,
            "threshold_version": self.decision.threshold_version or None,
            "cost_per_row": self.present_cost_per_row,
            "stale": self.is_stale,
            "best": None if self.choice is None else _choice_document(self.choice),
            "labels_misread": self.is_misread,
            "reason": self.reason or None,
            "written": None if self.written is None else msgspec.to_builtins(self.written),
        }

    def _verdict(self) -> str:
        decision, written = self.decision, self.written
        if written is not None:
            return (
                f"{decision.positive} from {written.threshold!r} on: written to {THRESHOLD_FILE}, "
                f"version {written.version}; workers that start from now on use it."
            )
        if decision.threshold is None:
            return (
                f"no {THRESHOLD_FILE}, so answers carry no decision; --write-threshold makes one."
            )
        served = f"{decision.positive} from {decision.threshold!r} on, version "
        served += shown(decision.threshold_version)
        if self.is_stale:
            return f"{served}, was found for another model; --write-threshold finds one for this."
        return f"{served}."

    def _present_lines(self, choice: ThresholdChoice) -> Iterator[str]:
        present = self.decision.threshold
        if present is None or self.written is not None or present == choice.threshold:
            return
        yield (
            f"the present threshold, {present!r}, costs {self.present_cost_per_row:.4g} a row: "
            "--write-threshold would replace it"
        )


def check_decision(
    folder: VersionFolder,
    contract: ModelContract,
    golden: Golden | None,
    recomputed: Recomputed | None,
    *,
    writes: bool,
) -> DecisionCheck | None:
    """Return what the golden rows say of the version's decision; None if it has none.

    The scores are those that the model gives now, in this process, whatever was recorded. `writes`
    puts the threshold into the version's folder if it is another, or was found for another model.

    Raises:
        OSError: it cannot be written.
    """
    decision = contract.decision
    if decision is None:
        return None
    sha256 = model_digest(folder)
    is_stale = bool(decision.model_sha256) and decision.model_sha256 != sha256
    goal = goal_of(decision)
    scores, labels = labelled(decision, golden, recomputed)
    choice: ThresholdChoice | None = None
    reason, present, is_misread = "", None, False
    try:
        if not len(scores):
            raise ThresholdError(_no_labels(decision))
        positive = is_positive(decision, labels)
        choice = choose_threshold(scores, positive, goal)
        present = _cost_per_row(scores, positive, decision.threshold, goal)
    except ThresholdError as error:
        reason = str(error)
    except LabelError as error:
        reason, is_misread = str(error), True
    written: Threshold | None = None
    is_new = choice is not None and (is_stale or choice.threshold != decision.threshold)
    if writes and choice is not None and is_new:
        version = next_version(decision.threshold_version)
        written = Threshold(threshold=choice.threshold, version=version, model_sha256=sha256)
        comment = _comment(choice, decision)
        _write(folder.path / THRESHOLD_FILE, threshold_text(written, comment))
    return DecisionCheck(
        model=contract.key,
        decision=decision,
        choice=choice,
        reason=reason,
        present_cost_per_row=present,
        is_stale=is_stale,
        written=written,
        is_misread=is_misread,
        negatives=negatives(decision, labels),
    )


def _write(path: Path, text: str) -> None:
    """All of it or nothing: of half a file a worker could read a threshold for any model."""
    beside = path.with_name(f".{path.name}.unfinished")
    try:
        beside.write_text(text, "utf-8")
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def goal_of(decision: Decision) -> Goal:
    """Return what a contract's threshold is chosen for."""
    if decision.recall_floor is not None:
        return Goal(recall_floor=decision.recall_floor)
    return Goal(
        false_negative=decision.cost_false_negative or 0.0,
        false_positive=decision.cost_false_positive or 0.0,
    )


def next_version(version: str) -> str:
    """Return the version after this one: a number counts on, another text gets one."""
    if not version:
        return str(FIRST_VERSION)
    return str(int(version) + 1) if version.isdecimal() else f"{version}+1"


def _no_labels(decision: Decision) -> str:
    column = decision.label_column or "<label column>"
    return (
        f"there are no golden rows with labels; `batchbridge record` keeps the column {column!r} "
        "of --data"
    )


def _cost_per_row(scores: Any, labels: Any, threshold: float | None, goal: Goal) -> float | None:
    if threshold is None:
        return None
    called = scores >= threshold
    missed, alarms = int((labels & ~called).sum()), int((~labels & called).sum())
    return (goal.false_negative * missed + goal.false_positive * alarms) / len(scores)


def _choice_lines(choice: ThresholdChoice, decision: Decision) -> Iterator[str]:
    share = f"{CONFIDENCE:.0%}"
    rows = choice.positives + choice.negatives
    where = f"on {rows} golden rows, {choice.positives} of them {shown(decision.positive)}"
    if decision.recall_floor is None:
        yield (
            f"{choice.threshold!r} costs least {where}: {choice.cost_per_row:.4g} a row "
            f"(missed {decision.cost_false_negative:g}, false alarm "
            f"{decision.cost_false_positive:g})"
        )
    else:
        yield (
            f"{choice.threshold!r} gives the fewest false alarms {where}, with a recall of "
            f"{decision.recall_floor:g} or more"
        )
    low, high = choice.recall_interval.low, choice.recall_interval.high
    yield (
        f"{choice.missed} missed, {choice.false_alarms} false alarms; recall {choice.recall:.4g}, "
        f"{low:.3f} to {high:.3f} ({share}, Wilson)"
    )
    between, unseen = choice.threshold_interval, choice.unseen_cost_interval
    yield (
        f"how sure: threshold {between.low:.3g} to {between.high:.3g}, cost on unseen rows "
        f"{choice.unseen_cost_per_row:.3g} a row, {unseen.low:.3g} to {unseen.high:.3g} "
        f"({share}, bootstrap)"
    )
    if choice.calibrated is not None:
        yield (
            f"if the probabilities were calibrated it would be {choice.calibrated:.4g} (Elkan "
            f"2001), which costs {choice.calibrated_cost_per_row:.4g} a row here"
        )
    if not choice.is_sure:
        yield f"NOT SURE: fewer than {FEW_ROWS} rows of a class leave much to chance"


def _choice_document(choice: ThresholdChoice) -> dict[str, Any]:
    return {
        "threshold": choice.threshold,
        "positives": choice.positives,
        "negatives": choice.negatives,
        "missed": choice.missed,
        "false_alarms": choice.false_alarms,
        "recall": choice.recall,
        "recall_interval": _pair(choice.recall_interval),
        "cost_per_row": choice.cost_per_row,
        "unseen_cost_per_row": choice.unseen_cost_per_row,
        "unseen_cost_interval": _pair(choice.unseen_cost_interval),
        "threshold_interval": _pair(choice.threshold_interval),
        "confidence": CONFIDENCE,
        "calibrated_threshold": choice.calibrated,
        "calibrated_cost_per_row": choice.calibrated_cost_per_row,
        "sure": choice.is_sure,
    }


def _pair(interval: Interval) -> list[float]:
    return [interval.low, interval.high]


def _comment(choice: ThresholdChoice, decision: Decision) -> str:
    lines = ["Written by `batchbridge check --write-threshold`."]
    lines += list(_choice_lines(choice, decision))
    return "\n".join(lines)
