"""S(b) = fixed + per_row * b, fitted from runs."""

from __future__ import annotations

from itertools import repeat

import pytest

from bridge.scheduling.service_time import (
    EXCESS_SHARE_MAX,
    JITTER_MAX,
    JITTER_MIN,
    LATELY_RUNS,
    UNKNOWN,
    WINDOW_BATCHES,
    ServiceTime,
    ServiceTimeFit,
)

SIZES = (64, 32, 16, 8, 4, 2, 1)


def planted_s(rows: int) -> float:
    """S(b) of a model with a = 8 ms and c = 1 ms."""
    return 0.008 + 0.001 * rows


def profiled() -> ServiceTimeFit:
    """A fit that has seen three steady runs of every size at load."""
    fit = ServiceTimeFit()
    for rows in SIZES:
        for _ in range(3):
            fit.profile(rows, planted_s(rows))
    return fit


def after(fit: ServiceTimeFit, *runs: tuple[int, float]) -> ServiceTime:
    """The estimate after further runs, each of so many rows and seconds; fitted after each."""
    for rows, seconds in runs:
        fit.observe(rows, seconds)
        fit.estimate()
    return fit.estimate()


def test_a_batch_takes_the_fixed_time_and_that_of_its_rows() -> None:
    assert ServiceTime(0.5, 0.25).batch_s(4) == 1.5


def test_throughput_is_rows_by_time() -> None:
    assert ServiceTime(0.5, 0.125).rows_per_s(4) == 4.0


def test_a_usual_run_is_a_share_of_the_promised_time() -> None:
    assert ServiceTime(0.5, 0.25, typical=0.5).typical_s(4) == 0.75


def test_before_the_first_run_time_is_unknown() -> None:
    assert ServiceTimeFit().estimate() == UNKNOWN


def test_a_profile_on_a_line_gives_the_line() -> None:
    service = profiled().estimate()
    assert (service.fixed_s, service.per_row_s) == pytest.approx((0.008, 0.001))


def test_a_profile_on_a_line_leaves_the_least_jitter() -> None:
    assert profiled().estimate().jitter == JITTER_MIN


def test_a_profile_on_a_line_leaves_no_residual() -> None:
    assert profiled().estimate().residual == pytest.approx(0.0, abs=1e-9)


def test_runs_of_one_size_keep_the_slope_of_the_profile() -> None:
    service = after(profiled(), *repeat((1, planted_s(1)), WINDOW_BATCHES))
    assert service.batch_s(64) == pytest.approx(planted_s(64))


def test_a_size_that_does_not_run_is_scaled_as_the_others_are() -> None:
    service = after(profiled(), *repeat((64, 3 * planted_s(64)), WINDOW_BATCHES))
    assert service.batch_s(1) == pytest.approx(3 * planted_s(1))


@pytest.mark.parametrize("rows", [1, 48, 64])
def test_one_long_run_changes_nothing(rows: int) -> None:
    fit = profiled()
    steady = after(fit, *repeat((rows, planted_s(rows)), 50))
    hiccup = after(fit, (rows, planted_s(rows) + 0.5))
    assert hiccup.batch_s(64) == pytest.approx(steady.batch_s(64))


def test_a_lasting_slowdown_is_promised_after_three_runs_of_forty() -> None:
    fit = profiled()
    after(fit, *repeat((64, planted_s(64)), 50))
    service = after(fit, *repeat((64, 1.4 * planted_s(64)), 3))
    assert service.batch_s(64) == pytest.approx(1.4 * planted_s(64), rel=0.05)


def test_runs_that_take_several_times_their_usual_time_are_promised_within_a_bound() -> None:
    runs = [(64, planted_s(64) * (9.0 if number % 10 == 0 else 1.0)) for number in range(200)]
    promised_s = after(profiled(), *runs).batch_s(64)
    assert promised_s == pytest.approx((1 + EXCESS_SHARE_MAX) * planted_s(64), rel=0.05)


def test_two_long_runs_of_three_are_promised_at_once() -> None:
    fit = profiled()
    after(fit, *repeat((64, planted_s(64)), 150))
    service = after(fit, (64, 1.3 * planted_s(64)), (64, planted_s(64)), (64, 1.4 * planted_s(64)))
    assert service.batch_s(64) == pytest.approx(1.3 * planted_s(64), rel=0.01)


def test_two_long_runs_of_three_make_no_jitter() -> None:
    fit = profiled()
    after(fit, *repeat((64, planted_s(64)), 150))
    assert after(fit, *repeat((64, 1.4 * planted_s(64)), 2)).jitter == JITTER_MIN


def test_two_long_runs_of_three_are_promised_within_a_bound() -> None:
    fit = profiled()
    after(fit, *repeat((64, planted_s(64)), 150))
    promised_s = after(fit, *repeat((64, 9 * planted_s(64)), 2)).batch_s(64)
    assert promised_s == pytest.approx((1 + EXCESS_SHARE_MAX) * planted_s(64), rel=0.01)


def test_long_runs_of_a_size_that_has_not_run_lately_are_no_news() -> None:
    fit = profiled()
    after(fit, *repeat((64, 1.4 * planted_s(64)), LATELY_RUNS))
    service = after(fit, *repeat((1, planted_s(1)), WINDOW_BATCHES - LATELY_RUNS))
    assert service.batch_s(1) == pytest.approx(planted_s(1), rel=0.01)


def test_what_the_machine_did_while_the_model_was_profiled_does_not_count() -> None:
    fit = ServiceTimeFit()
    for rows in (1, 8, 64):
        for number in range(8):
            fit.profile(rows, planted_s(rows) * (5.0 if number % 2 else 1.0))
    assert fit.estimate().batch_s(64) == pytest.approx(planted_s(64))


def test_a_profile_that_varies_is_rehearsed_with_its_p95() -> None:
    fit = ServiceTimeFit()
    for rows in SIZES:
        for number in range(20):
            fit.profile(rows, planted_s(rows) * (1.4 if number % 7 == 6 else 1.0))
    rehearsed = fit.rehearsed()
    times_s = (rehearsed.batch_s(64), rehearsed.typical_s(64))
    assert times_s == pytest.approx((1.4 * planted_s(64), planted_s(64)), rel=0.1)


def test_a_rehearsal_is_no_run() -> None:
    fit = profiled()
    before = fit.estimate()
    fit.rehearsed()
    assert fit.estimate() == before


def test_without_a_profile_there_is_nothing_to_rehearse() -> None:
    assert ServiceTimeFit().rehearsed() == UNKNOWN


def test_a_lasting_slowdown_is_the_new_truth_after_ten_runs() -> None:
    fit = profiled()
    after(fit, *repeat((64, planted_s(64)), 150))
    service = after(fit, *repeat((64, 2 * planted_s(64)), 10))
    assert service.typical_s(64) == pytest.approx(2 * planted_s(64), rel=0.05)


def test_a_lasting_speedup_is_the_new_truth_after_ten_runs() -> None:
    fit = profiled()
    after(fit, *repeat((64, 2 * planted_s(64)), 150))
    service = after(fit, *repeat((64, planted_s(64)), 10))
    assert service.batch_s(64) == pytest.approx(planted_s(64), rel=0.05)


def test_the_promise_is_the_time_that_95_of_100_runs_keep() -> None:
    runs = [(64, planted_s(64) * (1.5 if number % 10 == 0 else 1.0)) for number in range(200)]
    assert after(profiled(), *runs).batch_s(64) == pytest.approx(1.5 * planted_s(64), rel=0.01)


def test_the_prediction_is_the_middle_of_the_runs() -> None:
    runs = [(64, planted_s(64) * (1.5 if number % 10 == 0 else 1.0)) for number in range(200)]
    assert after(profiled(), *runs).typical_s(64) == pytest.approx(planted_s(64), rel=0.01)


def test_jitter_has_an_upper_bound() -> None:
    runs = [(64, planted_s(64) * (9.0 if number % 10 == 0 else 1.0)) for number in range(200)]
    assert after(profiled(), *runs).jitter == JITTER_MAX


def test_runs_of_one_size_that_differ_widely_are_a_bad_fit() -> None:
    runs = [(64, planted_s(64) * (1 + number % 5 / 2)) for number in range(200)]
    assert after(profiled(), *runs).residual > 0.2


def test_short_runs_that_differ_widely_say_little_of_long_ones() -> None:
    runs = [(1, planted_s(1) * (1 + number % 5 / 2)) for number in range(200)]
    service = after(profiled(), *runs)
    assert service.residual < 0.2


def test_the_hiccups_of_short_runs_are_seconds_to_long_ones_not_a_share() -> None:
    runs = [(1, planted_s(1) + 0.05 * (number % 10 == 0)) for number in range(200)]
    service = after(profiled(), *runs)
    assert service.batch_s(64) < planted_s(64) + 0.06


def test_a_line_is_lifted_to_the_sizes_that_take_the_time() -> None:
    fit = ServiceTimeFit()
    for rows, seconds in ((1, 1.0), (2, 1.1), (4, 1.2), (8, 3.0)):
        for _ in range(3):
            fit.profile(rows, seconds)
    assert after(fit, *repeat((8, 3.0), 100)).batch_s(8) == pytest.approx(3.0, rel=0.01)


def test_without_a_profile_runs_of_several_sizes_give_the_line() -> None:
    runs = [(rows, planted_s(rows)) for _ in range(20) for rows in (3, 11, 21, 60)]
    service = after(ServiceTimeFit(), *runs)
    assert (service.fixed_s, service.per_row_s) == pytest.approx((0.008, 0.001), rel=0.02)


def test_without_a_profile_runs_of_one_size_share_the_time_between_both_parts() -> None:
    service = after(ServiceTimeFit(), (5, 1.0), (5, 1.0))
    assert (service.fixed_s, service.per_row_s) == pytest.approx((0.5, 0.1))


def test_larger_batches_that_were_faster_make_rows_free_not_negative() -> None:
    fit = ServiceTimeFit()
    fit.profile(1, 2.0)
    fit.profile(8, 1.0)
    assert fit.estimate().per_row_s == 0.0


def test_a_line_that_starts_below_zero_is_drawn_through_zero() -> None:
    fit = ServiceTimeFit()
    fit.profile(2, 1.0)
    fit.profile(4, 3.0)
    assert fit.estimate().fixed_s == pytest.approx(0.0, abs=1e-6)


def test_old_runs_are_forgotten() -> None:
    runs = [(1, 100.0)] * 5 + [(1, planted_s(1)), (64, planted_s(64))] * WINDOW_BATCHES
    assert after(profiled(), *runs).batch_s(64) == pytest.approx(planted_s(64))


def test_a_run_of_no_time_is_no_obstacle() -> None:
    assert after(profiled(), *repeat((1, 0.0), 20)).fixed_s > 0
