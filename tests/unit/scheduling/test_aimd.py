"""The batch size by trial, and when to resort to it."""

from __future__ import annotations

import pytest

from bridge.scheduling.aimd import BAD_FITS, GOOD_FITS, AimdBatchRows, FitTrust


def test_a_full_run_within_the_budget_adds_a_row() -> None:
    assert AimdBatchRows(8, rows_cap=64).observe(8, 0.1, budget_s=0.2) == 9


def test_a_run_that_was_not_full_adds_nothing() -> None:
    assert AimdBatchRows(8, rows_cap=64).observe(7, 0.1, budget_s=0.2) == 8


def test_a_run_above_the_budget_cuts_a_quarter() -> None:
    assert AimdBatchRows(8, rows_cap=64).observe(8, 0.3, budget_s=0.2) == 6


def test_a_single_large_request_that_took_too_long_cuts_nothing() -> None:
    assert AimdBatchRows(8, rows_cap=64).observe(50, 0.3, budget_s=0.2) == 8


def test_the_cap_holds() -> None:
    assert AimdBatchRows(8, rows_cap=8).observe(8, 0.1, budget_s=0.2) == 8


def test_it_starts_within_the_cap() -> None:
    assert AimdBatchRows(80, rows_cap=8).rows == 8


def test_one_row_is_the_least() -> None:
    assert AimdBatchRows(1, rows_cap=8).observe(1, 1.0, budget_s=0.2) == 1


def judged(*residuals: float) -> bool:
    trust = FitTrust()
    for residual in residuals:
        trust.judge(residual)
    return trust.is_trusted


LOST = (0.3,) * BAD_FITS


@pytest.mark.parametrize(
    ("residuals", "is_trusted"),
    [
        ((), True),
        ((0.3,) * (BAD_FITS - 1), True),
        (LOST, False),
        ((0.3,) * (BAD_FITS - 1) + (0.1, 0.3), True),
        ((0.2,) * 100, True),
        (LOST + (0.1,) * (GOOD_FITS - 1), False),
        (LOST + (0.1,) * GOOD_FITS, True),
        (LOST + (0.18,) * 100, False),
        (LOST + (0.1,) * (GOOD_FITS - 1) + (0.18,) + (0.1,) * (GOOD_FITS - 1), False),
    ],
)
def test_trust_is_lost_quickly_and_regained_slowly(
    residuals: tuple[float, ...], is_trusted: bool
) -> None:
    assert judged(*residuals) is is_trusted
