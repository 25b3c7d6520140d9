"""What was found of a model's rows: verdicts, and the smallest batch that shows each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from workers.check.agreement import Agreement
from workers.check.probe_rows import ProbeRows

# Fewer rows prove nothing about each other.
ROWS_MIN = 2


class Kind(StrEnum):
    """How a model was caught."""

    NEIGHBOURS = "neighbours"  # another answer than alone
    FAILS_TOGETHER = "fails_together"  # rows that are answered alone make a batch fail
    UNREPEATABLE = "unrepeatable"  # another answer to the same row alone
    PADDING = "padding"  # another answer than alone and unpadded


@dataclass(frozen=True, slots=True)
class Finding:
    """The smallest batch found in which a row's answer is not the one that it gets alone.

    `batch`: the probe rows; `place`: that of the row concerned. `element`: into its flattened
    answer. `alone` and `together`: the answers there, as text; for a batch that fails, `together`
    is the reason.
    """

    kind: Kind
    output: str
    trial: str
    probe: ProbeRows
    batch: tuple[int, ...]
    place: int
    element: int
    alone: str
    together: str


@dataclass(frozen=True, slots=True)
class OutputVerdict:
    """Of one output: the worst agreement, the largest relative difference, and an example.

    `is_telling` is false if no row got a finite number: NaN equals NaN, whatever is wrong.
    """

    output: str
    agreement: Agreement
    relative: float
    finding: Finding | None = None
    is_telling: bool = True


@dataclass(frozen=True, slots=True)
class PaddingParity:
    """What became of rows of several lengths when they were padded.

    `failure`: rows that are answered unpadded and make a padded batch fail. `padding_share`: of
    the places for values, 0 to 1, with each row in its own bucket.
    """

    outputs: tuple[OutputVerdict, ...]
    failure: Finding | None
    rows: int
    batches: int
    padding_share: float

    @property
    def findings(self) -> list[Finding]:
        """One for each output that padding changes, and one if padded rows fail."""
        found = [verdict.finding for verdict in self.outputs if verdict.finding is not None]
        return [*found, *([self.failure] if self.failure else [])]


@dataclass(frozen=True, slots=True)
class Independence:
    """What was tried and what came out.

    `rows_compared` of `rows_tried` were answered alone; fewer than two prove nothing. `is_single`:
    no two rows ever share a batch, so nothing was tried. `padding`: None where rows are not padded.
    """

    outputs: tuple[OutputVerdict, ...]
    failure: Finding | None
    rows_tried: int
    rows_compared: int
    batches: int
    largest_batch: int = 1
    is_single: bool = False
    reason_unanswered: str = ""
    padding: PaddingParity | None = None

    @property
    def findings(self) -> list[Finding]:
        """One for each output that depends, one if rows fail together, those of the padding."""
        found = [verdict.finding for verdict in self.outputs if verdict.finding is not None]
        padding = [] if self.padding is None else self.padding.findings
        return [*found, *([self.failure] if self.failure else []), *padding]

    @property
    def is_proven(self) -> bool:
        """Whether enough was tried to say anything."""
        is_enough = self.rows_compared >= ROWS_MIN and self.batches > 0
        if self.padding is not None and not self.padding.rows:
            return False  # none was answered unpadded: nothing to hold the padded ones against
        return self.is_single or (is_enough and all(output.is_telling for output in self.outputs))

    @property
    def is_dependent(self) -> bool:
        """Whether an answer differed."""
        return any(verdict.finding is not None for verdict in self.outputs)

    @property
    def is_repeatable(self) -> bool:
        """Whether the same row alone always got the same answer."""
        return all(finding.kind is not Kind.UNREPEATABLE for finding in self.findings)
