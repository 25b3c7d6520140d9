"""The overhead: percentiles of what was measured."""

from __future__ import annotations

from bridge.scheduling.overhead import OVERHEAD_S_MIN, SAMPLE_AGE_S_MAX, Overhead


def test_before_anything_was_measured_it_is_the_least_that_is_promised() -> None:
    overhead = Overhead()
    overhead.refresh(0.0)
    assert overhead.worst_s == OVERHEAD_S_MIN


def test_it_is_the_lag_and_the_way_there_and_back() -> None:
    overhead = Overhead()
    overhead.observe_lag(0.0, 0.25)
    overhead.observe_return(0.0, 0.5)
    overhead.refresh(0.0)
    assert (overhead.typical_s, overhead.worst_s) == (1.25, 1.25)


def test_the_worst_is_a_p95_and_the_typical_a_p50() -> None:
    overhead = Overhead()
    for number in range(1, 101):
        overhead.observe_lag(0.0, number)
    overhead.refresh(0.0)
    assert (overhead.typical_s, overhead.worst_s) == (50, 95)


def test_a_result_from_the_future_came_at_once() -> None:
    overhead = Overhead()
    overhead.observe_return(0.0, -1.0)
    overhead.refresh(0.0)
    assert overhead.worst_s == OVERHEAD_S_MIN


def test_nothing_changes_before_it_is_refreshed() -> None:
    overhead = Overhead()
    overhead.observe_lag(0.0, 1.0)
    assert overhead.worst_s == OVERHEAD_S_MIN


def test_old_samples_are_forgotten() -> None:
    overhead = Overhead()
    overhead.observe_lag(0.0, 1.0)
    overhead.refresh(SAMPLE_AGE_S_MAX + 0.5)
    assert (overhead.typical_s, overhead.worst_s) == (0.0, OVERHEAD_S_MIN)
