"""Does a row's answer depend on who shares its batch? Tried over the whole path of a model."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from bridge.contract.model import ModelContract
from workers.check.agreement import EQUAL, Agreement, Comparison, compare, usual_magnitude
from workers.check.conditioning import NEAR_MAX, NUDGES_WORTH, nudged
from workers.check.finding import ROWS_MIN, Finding, Independence, Kind, OutputVerdict
from workers.check.probe_rows import ProbeRows
from workers.check.shrinking import Example, smallest
from workers.check.trial import Trial, beside_strangers, first_trials, further_trials
from workers.model import Array, ModelError

# Two batches of two rows are tried, however slow the model is.
TRIALS_MIN = 2
# Of the time, for each row alone; the batches get the rest.
ALONE_SHARE = 0.5
# After a finding, of the row alone: one run in two hundred of a noisy model looks like the last.
REPEATS = 8
# After a finding, to show it with fewer rows.
SHRINK_RUNS_MAX = 128
SHRINK_S_MAX = 1.0


class Runs(Protocol):
    """A model, or what stands in for one."""

    @property
    def contract(self) -> ModelContract:
        """What it promises."""

    @property
    def rows_max(self) -> int | None:
        """The most rows of one run; None if any."""

    def run(self, inputs: Mapping[str, Array], rows: int) -> dict[str, Array]:
        """See `workers.model.Model.run`."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is tried: at most `seconds`, and batches up to `full_rows` + 1."""

    seconds: float
    full_rows: int


def check_rows(
    model: Runs,
    probes: Sequence[ProbeRows],
    effort: Effort,
    clock: Callable[[], float] = time.monotonic,
) -> Independence:
    """Run each row alone, then in batches, and compare.

    A row that fails alone is left out. Time that is short leaves out the later batches, never the
    first two. `clock` gives seconds.
    """
    names = [spec.name for spec in model.contract.outputs]
    if model.rows_max == 1:
        verdicts = tuple(OutputVerdict(name, Agreement.EXACT, 0.0) for name in names)
        return Independence(verdicts, None, 0, 0, 0, is_single=True)
    started_s = clock()
    parts: list[_Attempt] = []
    for index, probe in enumerate(probes):
        if parts and clock() > started_s + effort.seconds:
            break
        ends_s = started_s + effort.seconds * (index + 1) / len(probes)
        part = _Attempt(model, probe, effort.full_rows, ends_s, clock)
        part.run()
        parts.append(part)
    return Independence(
        outputs=tuple(_worst(name, parts) for name in names),
        failure=next((part.failure for part in parts if part.failure), None),
        rows_tried=sum(probe.ordinary for probe in probes),
        rows_compared=sum(len(part.compared) for part in parts),
        batches=sum(part.batches for part in parts),
        largest_batch=max(part.largest_batch for part in parts),
        reason_unanswered=next((part.reason for part in parts if part.reason), ""),
    )


def _worst(name: str, parts: Sequence[_Attempt]) -> OutputVerdict:
    comparisons = [part.worst.get(name, EQUAL) for part in parts]
    worst = max(comparisons, key=lambda comparison: (comparison.agreement, comparison.relative))
    finding = next((part.findings[name] for part in parts if name in part.findings), None)
    is_telling = any(part.is_telling(name) for part in parts)
    return OutputVerdict(name, worst.agreement, worst.relative, finding, is_telling)


@dataclass
class _Attempt:
    """The rows of one shape."""

    model: Runs
    probe: ProbeRows
    full_rows: int
    ends_s: float
    clock: Callable[[], float]
    alone: dict[int, dict[str, Array]] = field(default_factory=dict)
    worst: dict[str, Comparison] = field(default_factory=dict)
    findings: dict[str, Finding] = field(default_factory=dict)
    failure: Finding | None = None
    batches: int = 0
    largest_batch: int = 1
    reason: str = ""
    _magnitudes: dict[str, Array] = field(default_factory=dict)
    _sensitivity: dict[int, dict[str, float]] = field(default_factory=dict)

    @property
    def compared(self) -> list[int]:
        return [row for row in self.alone if row < self.probe.ordinary]

    def is_telling(self, name: str) -> bool:
        answers = [self.alone[row][name] for row in self.compared]
        return any(answer.dtype.kind != "f" or np.isfinite(answer).any() for answer in answers)

    def run(self) -> None:
        ordinary = self.probe.ordinary
        half_s = (self.ends_s - self.clock()) * ALONE_SHARE
        self._run_alone(range(ordinary), self.ends_s - half_s)
        if not self.compared:
            return
        for name in (spec.name for spec in self.model.contract.outputs):
            answers = [self.alone[row][name] for row in self.compared]
            self._magnitudes[name] = usual_magnitude(answers)
        cap = min(self.model.rows_max or self.full_rows + 1, self.full_rows + 1)
        compared = self.compared
        self._try_all(first_trials(compared, cap))
        # Only now: a NaN may stay in the memory of a model that has one.
        self._run_alone(range(ordinary, len(self.probe.names)), self.ends_s)
        strangers = {row: self.probe.names[row] for row in self.alone if row >= ordinary}
        self._try_all(beside_strangers(compared, strangers, cap))
        self._try_all(further_trials(compared, cap, self.full_rows))

    def _run_alone(self, rows: range, ends_s: float) -> None:
        for row in rows:
            if len(self.compared) >= ROWS_MIN and self.clock() > ends_s:
                return
            try:
                self.alone[row] = self._outputs((row,))
            except ModelError as error:
                self.reason = self.reason or f"{self.probe.names[row]}: {error}"

    def _try_all(self, batches: Iterable[Trial]) -> None:
        for trial in batches:
            if self.batches >= TRIALS_MIN and self.clock() > self.ends_s:
                return
            self._try(trial)
            self.batches += 1
            self.largest_batch = max(self.largest_batch, len(trial.rows))

    def _outputs(self, rows: tuple[int, ...]) -> dict[str, Array]:
        with np.errstate(all="ignore"):  # made-up rows may overflow: the models' own affair
            return self.model.run(self.probe.taken(rows), len(rows))

    def _try(self, trial: Trial) -> None:
        try:
            outputs = self._outputs(trial.rows)
        except ModelError as error:
            if self.failure is None:
                self.failure = self._failing(trial, str(error))
            return
        for name, array in outputs.items():
            if name in self.findings:
                continue
            for place, row in enumerate(trial.rows):
                if row >= self.probe.ordinary:
                    continue
                answer = _row(array, place)
                comparison = self._compared(name, row, answer)
                self._note(name, comparison)
                if comparison.agreement is Agreement.DIFFERENT:
                    self.findings[name] = self._finding(trial, place, name, answer)
                    break

    def _note(self, name: str, comparison: Comparison) -> None:
        before = self.worst.get(name, EQUAL)
        if (comparison.agreement, comparison.relative) > (before.agreement, before.relative):
            self.worst[name] = comparison

    def _compared(self, name: str, row: int, together: Array) -> Comparison:
        found = compare(self.alone[row][name], together, self._magnitudes[name])
        if found.agreement is not Agreement.DIFFERENT or found.relative > NEAR_MAX:
            return found
        if found.relative > NUDGES_WORTH * self._moved(row)[name]:
            return found
        return replace(found, agreement=Agreement.ROUNDING)

    def _moved(self, row: int) -> dict[str, float]:
        """By how much each output moves, relatively, when the row is nudged; tried once a row."""
        if row not in self._sensitivity:
            moved = dict.fromkeys(self.alone[row], 0.0)
            for tensors in nudged(self.probe.taken((row,))):
                with np.errstate(all="ignore"), suppress(ModelError):  # it may not like a nudge
                    for name, answer in self.model.run(tensors, 1).items():
                        usual = self._magnitudes[name]
                        change = compare(self.alone[row][name], answer, usual).relative
                        moved[name] = max(moved[name], change)
            self._sensitivity[row] = moved
        return self._sensitivity[row]

    def _finding(self, trial: Trial, place: int, name: str, answer: Array) -> Finding:
        row = trial.rows[place]
        again = self._differing_again(row, name)
        if again is not None:
            one = Example((row,), 0)
            return self._described(Kind.UNREPEATABLE, name, trial.name, one, again)
        ends_s = self.clock() + SHRINK_S_MAX
        example = smallest(
            trial.rows,
            place,
            lambda rows, where: (
                self.clock() < ends_s and self._differing(rows, where, name) is not None
            ),
            SHRINK_RUNS_MAX,
        )
        shown = self._differing(example.batch, example.place, name)
        if shown is None:  # it differs from run to run
            whole = Example(trial.rows, place)
            return self._described(Kind.UNREPEATABLE, name, trial.name, whole, answer)
        return self._described(Kind.NEIGHBOURS, name, trial.name, example, shown)

    def _differing_again(self, row: int, name: str) -> Array | None:
        """Run the row alone again, several times: chance may well give the same answer once."""
        answers = (self._differing((row,), 0, name) for _ in range(REPEATS))
        return next((answer for answer in answers if answer is not None), None)

    def _differing(self, rows: tuple[int, ...], place: int, name: str) -> Array | None:
        """Run a batch and return the answer at `place` if it is another than alone."""
        try:
            answer = _row(self._outputs(rows)[name], place)
        except ModelError:
            return None
        comparison = self._compared(name, rows[place], answer)
        return answer if comparison.agreement is Agreement.DIFFERENT else None

    def _described(
        self, kind: Kind, name: str, trial: str, example: Example, answer: Array
    ) -> Finding:
        row = example.batch[example.place]
        alone = self.alone[row][name]
        element = self._compared(name, row, answer).element
        is_alike = alone.shape == answer.shape
        return Finding(
            kind=kind,
            output=name,
            trial=trial,
            probe=self.probe,
            batch=example.batch,
            place=example.place,
            element=element,
            alone=_shown(alone, element) if is_alike else f"shape {alone.shape}",
            together=_shown(answer, element) if is_alike else f"shape {answer.shape}",
        )

    def _failing(self, trial: Trial, reason: str) -> Finding:
        ends_s = self.clock() + SHRINK_S_MAX
        example = smallest(
            trial.rows,
            0,
            lambda rows, _: self.clock() < ends_s and self._fails(rows),
            SHRINK_RUNS_MAX,
        )
        return Finding(
            kind=Kind.FAILS_TOGETHER,
            output="",
            trial=trial.name,
            probe=self.probe,
            batch=example.batch,
            place=example.place,
            element=0,
            alone="answered",
            together=reason,
        )

    def _fails(self, rows: tuple[int, ...]) -> bool:
        try:
            self._outputs(rows)
        except ModelError:
            return True
        return False


def _row(array: Array, place: int) -> Array:
    """One row, still with an axis of rows: a row of a text tensor may be a mere str."""
    return array[place : place + 1]


def _shown(answer: Array, element: int) -> str:
    values: list[Any] = answer.ravel().tolist()
    return repr(values[element])
