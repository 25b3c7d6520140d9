"""The quick check of a worker that is about to serve a model: may rows share a batch?"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import structlog

from bridge.contract.model import ModelContract
from workers.check.finding_text import finding_text
from workers.check.made_values import CAUTIOUS
from workers.check.row_independence import Effort, Runs
from workers.check.version_check import check_version, made_up_rows

log = structlog.get_logger(__name__)

CHECK_S_MAX = 0.5
ROWS = 6
FULL_ROWS = 7


@dataclass(frozen=True, slots=True)
class RowDependence:
    """Why rows may not share a batch, for a person; and whether each alone is answered well."""

    text: str
    can_serve_alone: bool


def row_dependence(
    model: Runs, clock: Callable[[], float] = time.monotonic
) -> RowDependence | None:
    """Try made-up rows for at most about `CHECK_S_MAX` seconds; None if their answers agree.

    Nothing is tried that the contract does not name: where it leaves a range open, integers are 0.
    Rows that fail together are only logged: a worker runs them again by halves.
    """
    probes = made_up_rows(model.contract, ROWS, CAUTIOUS)
    found = check_version(model, probes, Effort(CHECK_S_MAX, FULL_ROWS), clock)
    if found.failure is not None:
        reason = finding_text(found.failure)
        log.warning("rows_fail_together", model=model.contract.key, reason=reason)
    padding = [] if found.padding is None else found.padding.findings
    findings = [verdict.finding for verdict in found.outputs if verdict.finding] + padding
    if not findings:
        return None
    # A lone row is padded too.
    return RowDependence(finding_text(findings[0]), found.is_repeatable and not padding)


def served_alone(contract: ModelContract) -> ModelContract:
    """Return the contract with batches of one row."""
    serving = msgspec.structs.replace(contract.serving, max_batch_rows=1)
    return msgspec.structs.replace(contract, serving=serving)
