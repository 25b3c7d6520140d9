"""A finding in one sentence."""

from __future__ import annotations

from bridge.contract.invalid import shown
from workers.check.finding import Finding, Kind

NAMES_MAX = 3


def finding_text(finding: Finding) -> str:
    """Return what was found: the output, the row, its neighbours, both answers."""
    row = finding.probe.names[finding.batch[finding.place]]
    output = f"output {shown(finding.output)}"
    if finding.kind is Kind.UNREPEATABLE:
        return (
            f"{output} is not repeatable: {row} got {shown(finding.alone)} alone, and another time "
            f"{shown(finding.together)}"
        )
    if finding.kind is Kind.PADDING:
        return _padding_text(finding, row, output)
    neighbours = _neighbours(finding)
    if finding.kind is Kind.FAILS_TOGETHER:
        return f"{row} is answered alone, but fails beside {neighbours}: {finding.together}"
    return (
        f"{output} depends on the other rows of the batch: {row} gets {shown(finding.alone)} alone "
        f"and {shown(finding.together)} beside {neighbours}"
    )


def _padding_text(finding: Finding, row: str, output: str) -> str:
    beside = f", beside {_neighbours(finding)}" if len(finding.batch) > 1 else ""
    if not finding.output:
        return f"{row} is answered unpadded, but fails {finding.trial}{beside}: {finding.together}"
    return (
        f"{output} changes with padding: {row} gets {shown(finding.alone)} unpadded and "
        f"{shown(finding.together)} {finding.trial}{beside}"
    )


def _neighbours(finding: Finding) -> str:
    others = [row for place, row in enumerate(finding.batch) if place != finding.place]
    names = [finding.probe.names[row] for row in others[:NAMES_MAX]]
    more = len(others) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")
