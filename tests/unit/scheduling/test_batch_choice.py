"""The batch size in use: by the fit, by the other models of the worker, by trial."""

from __future__ import annotations

import pytest

from bridge.scheduling.aimd import BAD_FITS, GOOD_FITS
from bridge.scheduling.batch_choice import BatchBounds, BatchChoice
from bridge.scheduling.service_time import ServiceTime

ALONE = BatchBounds(target_s=2.0, overhead_s=0.0)
SHARED = BatchBounds(target_s=2.0, overhead_s=0.0, tightest_target_s=1.0)
GOOD = ServiceTime(0.25, 0.0625, jitter=0.0)
BAD = ServiceTime(0.25, 0.0625, jitter=0.0, residual=0.5)


def test_a_model_alone_uses_its_own_target() -> None:
    assert ALONE.rows(GOOD) == 12


def test_a_model_that_shares_a_worker_runs_no_longer_than_the_tightest_target_allows() -> None:
    assert SHARED.rows(GOOD) == 4


def test_a_measured_overhead_leaves_less_time_for_runs() -> None:
    # ((2 - 0.25) / 2 - 0.25) / 0.0625
    assert ALONE.with_overhead(0.25).rows(GOOD) == 10


@pytest.mark.parametrize(("bounds", "most_s"), [(ALONE, 0.5), (SHARED, 0.25)])
def test_a_measured_overhead_takes_at_most_a_quarter_of_the_tightest_target(
    bounds: BatchBounds, most_s: float
) -> None:
    assert bounds.with_overhead(1.5).overhead_s == most_s


@pytest.mark.parametrize(
    ("bounds", "fixed_s", "delays"),
    [(SHARED, 0.25, False), (SHARED, 0.5, True), (ALONE, 0.5, False), (SHARED, 5.0, False)],
)
def test_a_model_delays_others_if_one_row_of_it_does(
    bounds: BatchBounds, fixed_s: float, delays: bool
) -> None:
    assert bounds.delays_others(ServiceTime(fixed_s, 0.0625, jitter=0.0)) is delays


def test_a_model_that_delays_others_is_served_row_by_row() -> None:
    assert SHARED.rows(ServiceTime(0.5, 0.0625, jitter=0.0)) == 1


def test_a_good_fit_chooses() -> None:
    assert BatchChoice(ALONE).choose(GOOD) == 12


def distrustful() -> BatchChoice:
    choice = BatchChoice(ALONE)
    for _ in range(BAD_FITS):
        choice.choose(BAD)
    return choice


def test_a_bad_fit_leaves_the_choice_to_the_runs() -> None:
    assert not distrustful().follows_fit


def test_a_bad_fit_of_runs_far_shorter_than_the_target_allows_still_chooses() -> None:
    choice = BatchChoice(BatchBounds(target_s=2.0, overhead_s=0.0, rows_cap=2))
    sizes = [choice.choose(BAD) for _ in range(2 * BAD_FITS)]
    assert (sizes[-1], choice.follows_fit) == (2, True)


def test_trial_starts_from_what_the_fit_says() -> None:
    assert distrustful().choose(BAD) == 12


def test_a_run_that_was_too_long_makes_the_batch_smaller() -> None:
    choice = distrustful()
    choice.observe(12, 1.5)
    assert choice.choose(BAD) == 9


def test_trial_respects_the_tightest_target_too() -> None:
    choice = BatchChoice(SHARED)
    for _ in range(BAD_FITS):
        choice.choose(BAD)
    choice.observe(4, 0.75)
    assert choice.choose(BAD) == 3


def test_the_cap_holds_for_trial_too() -> None:
    choice = BatchChoice(BatchBounds(target_s=2.0, overhead_s=0.0, rows_cap=8))
    for _ in range(BAD_FITS):
        choice.choose(BAD)
    choice.observe(8, 0.1)
    assert choice.choose(BAD) == 8


def test_a_fit_that_is_good_again_chooses_again() -> None:
    choice = distrustful()
    choice.observe(12, 1.5)
    sizes = [choice.choose(GOOD) for _ in range(GOOD_FITS)]
    assert sizes == [9] * (GOOD_FITS - 1) + [12]
