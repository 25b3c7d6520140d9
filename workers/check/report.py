"""What `batchbridge check` says of one model version, as values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from bridge.contract.model import ModelContract, OnRowDependence
from workers.check.finding import Finding, Independence, Kind, OutputVerdict, PaddingParity
from workers.check.finding_text import finding_text
from workers.check.suspect import Suspect

VALUES_MAX = 32


class Verdict(StrEnum):
    """One word for a model version."""

    INDEPENDENT = "independent"
    SINGLE = "single"  # the contract or the graph lets no two rows share a batch
    DEPENDENT = "dependent"
    UNREPEATABLE = "unrepeatable"
    PADDING = "padding"  # an answer depends on how far its row was padded
    FAILS_TOGETHER = "fails_together"
    UNPROVEN = "unproven"


class Part(Protocol):
    """A further part of a report, on something else than how rows depend on each other."""

    @property
    def name(self) -> str:
        """Its key in JSON."""

    @property
    def is_passed(self) -> bool:
        """Whether the version can be served for all that this part knows."""

    def lines(self) -> Iterator[str]:
        """Yield its page for a person; the first line says whether it passed."""

    def document(self) -> dict[str, Any]:
        """Return it for JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The verdict on one model version, what it rests on, and what is to blame.

    `source`: where the rows came from. `suspects` are for the first finding.
    """

    contract: ModelContract
    folder: str
    independence: Independence
    source: str
    suspects: tuple[Suspect, ...] = ()
    parts: tuple[Part, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The worst that was found."""
        kinds = {finding.kind for finding in self.independence.findings}
        if Kind.UNREPEATABLE in kinds:
            return Verdict.UNREPEATABLE
        if Kind.NEIGHBOURS in kinds:
            return Verdict.DEPENDENT
        if Kind.PADDING in kinds:
            return Verdict.PADDING
        if Kind.FAILS_TOGETHER in kinds:
            return Verdict.FAILS_TOGETHER
        if not self.independence.is_proven:
            return Verdict.UNPROVEN
        return Verdict.SINGLE if self.independence.is_single else Verdict.INDEPENDENT

    @property
    def policy(self) -> OnRowDependence:
        """What the contract says about dependent rows."""
        return self.contract.serving.on_row_dependence

    @property
    def is_passed(self) -> bool:
        """Whether the version can be served as its contract says."""
        if self.verdict in (Verdict.INDEPENDENT, Verdict.SINGLE):
            return True
        if self.verdict is Verdict.DEPENDENT:
            return self.policy in ("serve-alone", "allow")
        is_allowable = self.verdict in (Verdict.UNREPEATABLE, Verdict.PADDING)
        return is_allowable and self.policy == "allow"

    @property
    def is_passed_in_all(self) -> bool:
        """Whether every further part passes, too."""
        return self.is_passed and all(part.is_passed for part in self.parts)

    def document(self) -> dict[str, Any]:
        """Return the report for JSON."""
        found = self.independence
        return {
            "model": self.contract.key,
            "folder": self.folder,
            "model_sha256": self.contract.model_sha256,
            "passed": self.is_passed_in_all,
            "verdict": self.verdict.value,
            "on_row_dependence": self.policy,
            "rows": self.source,
            "rows_tried": found.rows_tried,
            "rows_compared": found.rows_compared,
            "batches": found.batches,
            "largest_batch_rows": found.largest_batch,
            "outputs": [_output(verdict) for verdict in found.outputs],
            "failure": None if found.failure is None else _finding(found.failure),
            "padding": None if found.padding is None else _padding(found.padding),
            "suspects": [
                {"where": suspect.where, "name": suspect.name, "reason": suspect.reason}
                for suspect in self.suspects
            ],
            **{part.name: part.document() for part in self.parts},
        }


def example_rows_of(finding: Finding) -> list[dict[str, Any]]:
    """Return the batch of a finding, row by row: its name and its values, flattened and cut."""
    return [
        {
            "name": finding.probe.names[row],
            "inputs": {
                name: array[row : row + 1].reshape(-1).tolist()[:VALUES_MAX]
                for name, array in finding.probe.tensors.items()
            },
        }
        for row in finding.batch
    ]


def _padding(parity: PaddingParity) -> dict[str, Any]:
    return {
        "rows": parity.rows,
        "batches": parity.batches,
        "padding_share": parity.padding_share,
        "outputs": [_output(verdict) for verdict in parity.outputs],
        "failure": None if parity.failure is None else _finding(parity.failure),
    }


def _output(verdict: OutputVerdict) -> dict[str, Any]:
    return {
        "output": verdict.output,
        "agreement": verdict.agreement.name.lower(),
        "largest_relative_difference": verdict.relative,
        "finding": None if verdict.finding is None else _finding(verdict.finding),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "kind": finding.kind.value,
        "text": finding_text(finding),
        "first_seen": finding.trial,
        "row_of_batch": finding.place,
        "element": finding.element,
        "alone": finding.alone,
        "together": finding.together,
        "batch": example_rows_of(finding),
    }
