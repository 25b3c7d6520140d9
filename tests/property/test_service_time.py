"""What the model of time promises, for any model that runs and any noise."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.scheduling.aimd import AimdBatchRows
from bridge.scheduling.service_time import (
    JITTER_MAX,
    JITTER_MIN,
    WINDOW_BATCHES,
    ServiceTime,
    ServiceTimeFit,
)

SIZES = (128, 64, 32, 16, 8, 4, 2, 1)
HICCUP_S = 0.012

# Seeds, not hypothesis's own random numbers: nothing is gained by shrinking the noise of a run.
randoms = st.integers(0, 2**32).map(Random)
a_few = settings(max_examples=25)
lines = st.builds(ServiceTime, fixed_s=st.floats(1e-5, 0.1), per_row_s=st.floats(1e-6, 0.01))
# What a batch may hold under low, middling and high load.
loads = st.sampled_from([(1, 1), (1, 4), (1, 128), (100, 128), (128, 128)])


def noisy_s(line: ServiceTime, rows: int, random: Random, noise: float) -> float:
    """A run on the line with normal noise."""
    return line.batch_s(rows) * max(0.1, random.gauss(1.0, noise))


def profiled(line: ServiceTime, random: Random, noise: float) -> ServiceTimeFit:
    fit = ServiceTimeFit()
    for rows in SIZES:
        for _ in range(5):
            fit.profile(rows, noisy_s(line, rows, random, noise))
    return fit


def run(
    fit: ServiceTimeFit, line: ServiceTime, load: tuple[int, int], random: Random, noise: float
) -> ServiceTime:
    """The estimate after a window of runs, one of fifty with a hiccup of the machine."""
    for number in range(WINDOW_BATCHES):
        rows = random.randint(*load)
        hiccup_s = HICCUP_S if number % 50 == 25 else 0.0
        fit.observe(rows, noisy_s(line, rows, random, noise) + hiccup_s)
        if number % 5 == 0:
            fit.estimate()
    return fit.estimate()


@a_few
@given(lines, loads, randoms)
def test_the_planted_line_is_found_under_noise_and_hiccups(
    line: ServiceTime, load: tuple[int, int], random: Random
) -> None:
    service = run(profiled(line, random, 0.02), line, load, random, 0.02)
    assert service.typical_s(load[1]) == pytest.approx(line.batch_s(load[1]), rel=0.05)


@a_few
@given(lines, loads, randoms)
def test_sizes_that_do_not_run_are_known_from_the_profile(
    line: ServiceTime, load: tuple[int, int], random: Random
) -> None:
    service = run(profiled(line, random, 0.02), line, load, random, 0.02)
    for rows in (32, 128):
        assert service.typical_s(rows) == pytest.approx(line.batch_s(rows), rel=0.1)


@a_few
@given(lines, randoms)
def test_both_parts_of_the_planted_line_are_found(line: ServiceTime, random: Random) -> None:
    # Where one part is a twentieth of every run, noise of the runs hides it.
    fixed_s = max(line.fixed_s, 4 * line.per_row_s)
    planted = ServiceTime(min(fixed_s, 32 * line.per_row_s), line.per_row_s)
    service = run(profiled(planted, random, 0.01), planted, (1, 128), random, 0.01)
    found = (service.fixed_s * service.typical, service.per_row_s * service.typical)
    assert found == pytest.approx((planted.fixed_s, planted.per_row_s), rel=0.05)


@a_few
@given(lines, loads, st.sampled_from([0.5, 1.5, 2.0, 4.0]), randoms)
def test_a_step_is_followed_within_fifty_runs(
    line: ServiceTime, load: tuple[int, int], factor: float, random: Random
) -> None:
    fit = profiled(line, random, 0.02)
    run(fit, line, load, random, 0.02)
    for _ in range(50):
        rows = random.randint(*load)
        fit.observe(rows, noisy_s(line, rows, random, 0.02) * factor)
        fit.estimate()
    assert fit.estimate().typical_s(load[1]) == pytest.approx(
        factor * line.batch_s(load[1]), rel=0.15
    )


@a_few
@given(lines, loads, st.floats(0.0, 0.1), randoms)
def test_no_more_than_a_tenth_of_the_runs_exceeds_the_promise(
    line: ServiceTime, load: tuple[int, int], noise: float, random: Random
) -> None:
    service = run(profiled(line, random, noise), line, load, random, noise)
    runs = [random.randint(*load) for _ in range(300)]
    late = sum(noisy_s(line, rows, random, noise) > service.batch_s(rows) * 1.1 for rows in runs)
    assert late <= 30


junk = st.lists(st.tuples(st.integers(1, 1024), st.floats(0.0, 60.0)), max_size=60)


@given(junk, junk)
def test_time_is_positive_and_no_shorter_for_more_rows_whatever_was_measured(
    profile: list[tuple[int, float]], runs: list[tuple[int, float]]
) -> None:
    fit = ServiceTimeFit()
    for rows, run_s in profile:
        fit.profile(rows, run_s)
    for rows, run_s in runs:
        fit.observe(rows, run_s)
        service = fit.estimate()
        assert service.fixed_s > 0
        assert service.per_row_s >= 0
        assert math.isfinite(service.batch_s(1024))
        assert JITTER_MIN <= service.jitter <= JITTER_MAX
        assert 0 < service.typical <= 1
        assert service.residual >= 0


@given(lines, st.integers(1, 128), st.integers(1, 200))
def test_one_size_only_is_promised_exactly_even_without_a_profile(
    line: ServiceTime, rows: int, count: int
) -> None:
    fit = ServiceTimeFit()
    for _ in range(count):
        fit.observe(rows, line.batch_s(rows))
    assert fit.estimate().batch_s(rows) == pytest.approx(line.batch_s(rows))


@given(lines, st.integers(1, 200), st.integers(1, 256))
def test_trial_converges_to_the_largest_batch_that_keeps_the_budget(
    line: ServiceTime, wanted: int, start: int
) -> None:
    budget_s = line.batch_s(wanted) * (1 + 1e-9)
    trial = AimdBatchRows(start, rows_cap=256)
    sizes = [trial.observe(trial.rows, line.batch_s(trial.rows), budget_s) for _ in range(2 * 256)]
    lowest = max(1, int((wanted + 1) * 0.75))
    assert all(lowest <= rows <= wanted + 1 for rows in sizes[256:])
