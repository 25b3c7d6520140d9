"""A report as plain text."""

from __future__ import annotations

from collections.abc import Iterator

from bridge.contract.invalid import shown
from workers.check.agreement import Agreement
from workers.check.finding import Finding, OutputVerdict
from workers.check.finding_text import finding_text
from workers.check.report import Report, Verdict, example_rows_of

ROWS_SHOWN_MAX = 4

_SAID = {
    Verdict.INDEPENDENT: "an answer does not depend on the other rows of its batch.",
    Verdict.SINGLE: "no two rows ever share a batch.",
    Verdict.DEPENDENT: "an answer depends on the other rows of its batch.",
    Verdict.UNREPEATABLE: "the same row alone does not always get the same answer.",
    Verdict.PADDING: "an answer depends on how far its row was padded.",
    Verdict.FAILS_TOGETHER: "rows that are answered alone make a batch fail.",
    Verdict.UNPROVEN: "too few rows were answered to say anything.",
}
_ADVICE = {
    Verdict.DEPENDENT: (
        "Use statistics of the training data in place of the batch's. Or serve each row alone:",
        'on_row_dependence = "serve-alone" under [serving] in contract.toml. The answers are then',
        "those of a batch of one row, which may not be those of the nightly batch.",
    ),
    Verdict.UNREPEATABLE: (
        "Export the model for inference (no dropout, no batch statistics), take chance and memory",
        "out of pipeline.py. Serving rows alone does not help.",
    ),
    Verdict.PADDING: (
        "Name the mask or the length that the model needs (inputs.<name>.mask, .length), or",
        "another pad value; if it has them, its graph mixes values with padding somewhere. Serving",
        "rows alone does not help: a lone row is padded to its bucket too.",
    ),
    Verdict.FAILS_TOGETHER: (
        "A worker runs such a batch again by halves: the answers stay right, and cost more. If it",
        "is a matter of how many rows there are, state max_batch_rows under [serving].",
    ),
    Verdict.UNPROVEN: (
        "Rows were made up from contract.toml. Give rows of your own with --data, or state ranges",
        "and categories there.",
    ),
}
_BY_POLICY = {
    "serve-alone": 'The contract says on_row_dependence = "serve-alone": each row runs by itself.',
    "allow": 'The contract says on_row_dependence = "allow": served as it is.',
}


def report_text(report: Report) -> str:
    """Return the page for a person: the verdict, what was tried, findings, what to do."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    word = "passed" if report.is_passed else "FAILED"
    yield f"{report.contract.key}: {word}: {_SAID[report.verdict]}"
    yield from (f"  {line}" for line in _tried(report))
    for verdict in report.independence.outputs:
        yield f"  output {shown(verdict.output)}: {_agreement(verdict)}"
    yield from (f"  {line}" for line in _padding(report))
    for finding in report.independence.findings:
        yield f"  {finding_text(finding)}"
        if finding is report.independence.findings[0]:
            yield from (f"  {line}" for line in _batch(finding))
    for suspect in report.suspects:
        yield f"  {suspect.where}: {shown(suspect.name)} {suspect.reason}"
    if report.verdict in _ADVICE:
        advice = _ADVICE[report.verdict]
        if report.is_passed:
            advice = (_BY_POLICY[report.policy],)
        yield from (f"  {line}" for line in advice)
    for part in report.parts:
        yield from part.lines()


def _tried(report: Report) -> Iterator[str]:
    found = report.independence
    if found.is_single:
        return
    yield (
        f"{found.rows_compared} of {found.rows_tried} rows ({report.source}) compared, in "
        f"{found.batches} batches of up to {found.largest_batch} rows"
    )
    if found.reason_unanswered:
        yield f"not answered alone: {found.reason_unanswered}"


def _padding(report: Report) -> Iterator[str]:
    parity = report.independence.padding
    if parity is None:
        return
    yield (
        f"{parity.rows} rows padded, in {parity.batches} batches of one length and of several, "
        "against each unpadded"
    )
    yield from (
        f"output {shown(item.output)}, padded: {_agreement(item)}" for item in parity.outputs
    )
    yield (
        f"{parity.padding_share:.0%} of the places in their buckets are padding ({report.source})"
    )


def _agreement(verdict: OutputVerdict) -> str:
    if verdict.agreement is Agreement.EXACT:
        return "exact, to the bit"
    if verdict.agreement is Agreement.ROUNDING:
        return f"equal up to rounding, {verdict.relative:.1e} at most"
    return "DIFFERENT"


def _batch(finding: Finding) -> Iterator[str]:
    rows = example_rows_of(finding)
    for place, row in enumerate(rows[:ROWS_SHOWN_MAX]):
        mark = ">" if place == finding.place else " "
        values = "  ".join(
            f"{shown(name)} = {shown(_one_or_all(given))}" for name, given in row["inputs"].items()
        )
        yield f"{mark} row {place} of the batch, {row['name']}: {values}"
    if len(rows) > ROWS_SHOWN_MAX:
        yield f"  and {len(rows) - ROWS_SHOWN_MAX} more, see --json"


def _one_or_all(values: list[object]) -> object:
    return values[0] if len(values) == 1 else values
