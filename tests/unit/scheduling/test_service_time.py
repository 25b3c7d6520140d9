"""S(b) = fixed + per_row * b, fitted from runs."""

from __future__ import annotations

import pytest

from bridge.scheduling.service_time import (
    JITTER_MIN,
    UNKNOWN,
    WINDOW_BATCHES,
    ServiceTime,
    ServiceTimeFit,
)


def fitted(*runs: tuple[int, float]) -> ServiceTime:
    fit = ServiceTimeFit()
    for rows, seconds in runs:
        fit.observe(rows, seconds)
    return fit.estimate()


def test_a_batch_takes_the_fixed_time_and_that_of_its_rows() -> None:
    assert ServiceTime(0.5, 0.25).batch_s(4) == 1.5


def test_throughput_is_rows_by_time() -> None:
    assert ServiceTime(0.5, 0.125).rows_per_s(4) == 4.0


def test_before_the_first_run_time_is_unknown() -> None:
    assert fitted() == UNKNOWN


def test_runs_on_a_line_give_the_line() -> None:
    service = fitted((1, 0.75), (4, 1.5), (8, 2.5))
    assert (service.fixed_s, service.per_row_s) == pytest.approx((0.5, 0.25))


def test_runs_on_a_line_leave_the_least_jitter() -> None:
    assert fitted((1, 0.75), (4, 1.5), (8, 2.5)).jitter == pytest.approx(JITTER_MIN)


def test_jitter_is_twice_the_variation_of_the_residuals() -> None:
    # Residuals of 0.1 s around a mean of 1 s at every size: the line is flat.
    service = fitted((1, 0.9), (1, 1.1), (2, 0.9), (2, 1.1))
    assert service.jitter == pytest.approx(0.2)


def test_runs_of_one_size_share_the_time_between_both_parts() -> None:
    service = fitted((4, 1.0), (4, 1.0))
    assert (service.fixed_s, service.per_row_s) == pytest.approx((0.5, 0.125))


def test_larger_batches_that_were_faster_make_rows_free_not_negative() -> None:
    service = fitted((1, 2.0), (8, 1.0))
    assert (service.fixed_s, service.per_row_s) == pytest.approx((1.5, 0.0))


def test_a_line_that_starts_below_zero_is_drawn_through_zero() -> None:
    service = fitted((2, 1.0), (4, 3.0))
    assert service.fixed_s == pytest.approx(0.0, abs=1e-6)
    assert service.per_row_s == pytest.approx(2 / 3)


def test_old_runs_are_forgotten() -> None:
    runs = [(1, 100.0)] * WINDOW_BATCHES + [(1, 0.75), (4, 1.5)] * (WINDOW_BATCHES // 2)
    assert fitted(*runs).batch_s(4) == pytest.approx(1.5)
