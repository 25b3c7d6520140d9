"""The rows of a full batch, worked out by hand."""

from __future__ import annotations

import pytest

from bridge.scheduling.batch_size import (
    BATCH_ROWS_CEILING,
    batch_rows,
    keeps_target,
    shortest_target_s,
)
from bridge.scheduling.service_time import ServiceTime


@pytest.mark.parametrize(
    ("service", "target_s", "overhead_s", "expected"),
    [
        # ((D - o)(1 - m)/2 - a) / c
        (ServiceTime(0.25, 0.0625, jitter=0.0), 2.0, 0.0, 12),
        (ServiceTime(0.25, 0.0625, jitter=0.5), 2.0, 0.0, 4),
        (ServiceTime(0.25, 0.0625, jitter=0.0), 2.0, 0.5, 8),
        (ServiceTime(0.5, 0.0625, jitter=0.0), 2.0, 0.0, 8),
        (ServiceTime(0.25, 0.03125, jitter=0.0), 2.0, 0.0, 24),
    ],
)
def test_the_batch_is_the_largest_of_which_two_fit_into_the_target(
    service: ServiceTime, target_s: float, overhead_s: float, expected: int
) -> None:
    assert batch_rows(service, target_s, overhead_s, None) == expected


def test_a_model_that_misses_its_target_with_one_row_is_served_row_by_row() -> None:
    assert batch_rows(ServiceTime(10.0, 1.0), 0.1, 0.0, None) == 1


def test_a_target_shorter_than_the_overhead_is_served_row_by_row() -> None:
    assert batch_rows(ServiceTime(0.001, 0.001), 0.1, 0.2, None) == 1


def test_the_contracts_cap_holds() -> None:
    assert batch_rows(ServiceTime(0.25, 0.0625, jitter=0.0), 2.0, 0.0, 5) == 5


def test_there_is_a_cap_without_a_contract() -> None:
    assert batch_rows(ServiceTime(1.0, 1e-9), 3600.0, 0.0, None) <= BATCH_ROWS_CEILING


def test_rows_that_cost_nothing_fill_the_cap() -> None:
    assert batch_rows(ServiceTime(0.001, 0.0), 1.0, 0.0, 64) == 64


def test_rows_that_cost_nothing_do_not_help_a_run_that_is_too_long() -> None:
    assert batch_rows(ServiceTime(1.0, 0.0), 1.0, 0.0, 64) == 1


def test_no_more_rows_are_gathered_than_bring_throughput() -> None:
    # Nothing is fixed, so one row at a time is as fast as any batch.
    assert batch_rows(ServiceTime(0.0, 0.001), 100.0, 0.0, None) == 1


def test_the_batch_reaches_98_percent_of_the_peak_and_no_more() -> None:
    service = ServiceTime(0.001, 0.001)
    wanted = 0.98 * service.rows_per_s(BATCH_ROWS_CEILING)
    rows = batch_rows(service, 3600.0, 0.0, None)
    assert service.rows_per_s(rows - 1) < wanted <= service.rows_per_s(rows)


def test_jitter_beyond_all_measure_means_row_by_row() -> None:
    assert batch_rows(ServiceTime(0.001, 0.001, jitter=5.0), 10.0, 0.0, None) == 1


@pytest.mark.parametrize(
    ("longest_run_s", "expected"), [(None, 12), (0.75, 8), (0.25, 1), (9.0, 12)]
)
def test_other_models_bound_how_long_a_run_may_last(
    longest_run_s: float | None, expected: int
) -> None:
    service = ServiceTime(0.25, 0.0625, jitter=0.0)
    assert batch_rows(service, 2.0, 0.0, None, longest_run_s) == expected


@pytest.mark.parametrize(
    ("target_s", "overhead_s", "jitter", "is_kept"),
    [
        (1.0, 0.0, 0.0, True),
        (0.9, 0.0, 0.0, False),
        (1.0, 0.1, 0.0, False),
        (1.0, 0.0, 0.5, False),
        (2.0, 0.0, 0.5, True),
    ],
)
def test_a_target_is_kept_if_two_runs_of_one_row_fit_into_it(
    target_s: float, overhead_s: float, jitter: float, is_kept: bool
) -> None:
    assert keeps_target(ServiceTime(0.25, 0.25, jitter), target_s, overhead_s) is is_kept


def test_the_shortest_possible_target_is_two_runs_of_one_row_and_the_overhead() -> None:
    assert shortest_target_s(ServiceTime(0.25, 0.25, jitter=0.5), 0.5) == 2.5


def test_jitter_beyond_all_measure_allows_no_target() -> None:
    assert shortest_target_s(ServiceTime(0.25, 0.25, jitter=1.0), 0.5) == float("inf")
