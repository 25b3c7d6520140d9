"""The verdict on a model version, and whether its contract lets it be served."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.contract.repository import scan
from tests.dependent_models import DEPENDENT, NUMBERS, Planted, function
from workers.check.made_values import BOLD
from workers.check.page import report_text
from workers.check.probe_rows import generated
from workers.check.report import Report, Verdict
from workers.check.row_independence import Effort, check_rows
from workers.loading import open_model

RANK = DEPENDENT["rank within the batch"]
NOISE = DEPENDENT["noise"]
CLEAN = Planted("", pipeline=function("return {'y': inputs['x']}"), contract=NUMBERS)
FAILING = Planted(
    "",
    pipeline=function("if len(inputs['x']) > 3:\n    raise MemoryError\nreturn {'y': inputs['x']}"),
    contract=NUMBERS,
)
SILENT = Planted("", pipeline=function("raise ValueError"), contract=NUMBERS)


def report(root: Path, planted: Planted, policy: str = "refuse", more: str = "") -> Report:
    planted.write(root, "m", f'[serving]\non_row_dependence = "{policy}"\n{more}')
    model = open_model(scan(root)[0], threads=1)
    probes = generated(model.contract.inputs, 8, BOLD)
    found = check_rows(model, probes, Effort(20.0, 8))
    return Report(contract=model.contract, folder=str(root), independence=found, source="here")


@pytest.mark.parametrize(
    ("planted", "policy", "verdict", "is_passed"),
    [
        (CLEAN, "refuse", Verdict.INDEPENDENT, True),
        (RANK, "refuse", Verdict.DEPENDENT, False),
        (RANK, "serve-alone", Verdict.DEPENDENT, True),
        (RANK, "allow", Verdict.DEPENDENT, True),
        (NOISE, "refuse", Verdict.UNREPEATABLE, False),
        (NOISE, "serve-alone", Verdict.UNREPEATABLE, False),
        (NOISE, "allow", Verdict.UNREPEATABLE, True),
        (FAILING, "allow", Verdict.FAILS_TOGETHER, False),
        (SILENT, "allow", Verdict.UNPROVEN, False),
    ],
)
def test_a_version_passes_if_it_can_be_served_as_its_contract_says(
    tmp_path: Path, planted: Planted, policy: str, verdict: Verdict, is_passed: bool
) -> None:
    found = report(tmp_path, planted, policy)
    assert (found.verdict, found.is_passed, found.document()["passed"]) == (
        verdict,
        is_passed,
        is_passed,
    )


def test_a_version_whose_rows_never_share_a_batch_passes(tmp_path: Path) -> None:
    found = report(tmp_path, RANK, more="max_batch_rows = 1\n")
    assert (found.verdict, found.is_passed) == (Verdict.SINGLE, True)


def test_the_page_begins_with_the_verdict_and_shows_the_row_and_its_neighbour(
    tmp_path: Path,
) -> None:
    lines = report_text(report(tmp_path, RANK)).splitlines()
    assert lines[0] == "m@1: FAILED: an answer depends on the other rows of its batch."
    shown = [line.split(",")[0] for line in lines if " of the batch, " in line]
    assert shown == ["  > row 0 of the batch", "    row 1 of the batch"]
