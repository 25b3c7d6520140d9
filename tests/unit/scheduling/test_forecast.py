"""The forecast: when a request will be answered, counted on the fingers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bridge.scheduling.forecast import Forecast
from tests.unit.scheduling.capacities import capacity, no_overhead

FAR_S = 1000.0


def bound_s(forecast: Forecast, now_s: float, rows: int = 1, reserved: int = 0) -> float:
    return forecast.bound_s(now_s, rows, reserved, no_overhead())


def test_an_idle_worker_starts_at_once_and_the_batch_may_fill() -> None:
    assert bound_s(Forecast(capacity()), 0.0) == 1.0


def test_a_lone_request_is_expected_to_run_alone() -> None:
    assert Forecast(capacity()).expected_s(0.0, 1, 0.0, no_overhead()) == 0.625


def test_a_reserved_place_counts_as_taken() -> None:
    forecast = Forecast(capacity())
    assert (bound_s(forecast, 0.0, 2, 2), bound_s(forecast, 0.0, 2, 3)) == (1.0, 2.0)


def test_a_run_whose_end_is_known_counts_from_its_start() -> None:
    forecast = Forecast(capacity())
    forecast.enter(0.0, 8, FAR_S, 0.0)
    forecast.leave(forecast.enter(0.0, 4, FAR_S, 0.0), 4)
    forecast.observe_run("worker 0", 0.5, 4)
    # Four run from 0.5 s to 1.5 s, four wait and run then, this one after them.
    assert bound_s(forecast, 1.0) == 3.5


def test_rows_that_wait_run_on_the_worker_that_is_free_first() -> None:
    forecast = Forecast(capacity(workers=2))
    forecast.enter(0.0, 8, FAR_S, 0.0)
    forecast.observe_run("worker 0", 0.0, 4)
    forecast.observe_run("worker 1", 0.5, 4)
    assert (bound_s(forecast, 0.5, 4), bound_s(forecast, 0.5, 5)) == (2.0, 2.5)


def test_what_a_worker_ran_that_is_gone_waits_again() -> None:
    forecast = Forecast(capacity(workers=2))
    forecast.enter(0.0, 8, FAR_S, 0.0)
    forecast.observe_run("worker 0", 0.0, 4)
    forecast.observe_run("worker 1", 0.0, 4)
    forecast.set_capacity(capacity(workers=1))
    assert forecast.running_rows() == 4


def test_a_run_of_a_worker_that_does_not_serve_is_not_believed() -> None:
    forecast = Forecast(capacity())
    forecast.enter(0.0, 8, FAR_S, 0.0)
    forecast.forget_runs()
    forecast.observe_run("stranger", 0.0, 4)
    assert forecast.running_rows() == 0


def test_rows_of_the_batch_lane_are_not_taken_for_rows_in_flight() -> None:
    forecast = Forecast(replace(capacity(), online_rows=3))
    forecast.enter(0.0, 8, FAR_S, 0.0)
    forecast.observe_run("worker 0", 0.0, 4)
    assert forecast.running_rows() == 3


@pytest.mark.parametrize(("gateways", "rows"), [(1, 3), (2, 6), (3, 9)])
def test_other_gateways_that_were_not_heard_are_taken_to_have_as_much(
    gateways: int, rows: int
) -> None:
    forecast = Forecast(capacity(gateways=gateways))
    forecast.enter(0.0, 3, FAR_S, 0.0)
    assert forecast.rows_in_flight(5.0) == rows


def test_other_gateways_grow_as_this_one_does() -> None:
    forecast = Forecast(capacity(gateways=2))
    forecast.enter(0.0, 10, FAR_S, 0.0)
    forecast.observe_others(0.0, 10)
    forecast.enter(0.0, 4, FAR_S, 0.0)
    assert forecast.rows_in_flight(0.0) == 14 + 14


def test_gateways_without_rows_are_not_taken_to_grow() -> None:
    forecast = Forecast(capacity(gateways=2))
    forecast.enter(0.0, 10, FAR_S, 0.0)
    forecast.observe_others(0.0, 0)
    forecast.enter(0.0, 4, FAR_S, 0.0)
    assert forecast.rows_in_flight(0.0) == 14


def test_a_full_batch_holds_whole_requests() -> None:
    forecast = Forecast(capacity())
    for _ in range(100):
        forecast.leave(forecast.enter(0.0, 3, FAR_S, 0.0), 3)
    forecast.forget_runs()
    forecast.enter(0.0, 3, FAR_S, 0.0)
    forecast.forget_runs()
    # Three wait; with one more a batch of four would be full, had it no requests of three rows.
    assert bound_s(forecast, 0.0, 1) == 2.0


def test_requests_due_at_nearly_the_same_time_are_counted_together() -> None:
    forecast = Forecast(capacity(target_s=16.0))
    for now_s in (0.0, 0.5, 1.0, 1.5):
        forecast.enter(now_s, 1, FAR_S, 0.0)
    assert [(group.due_s, group.rows) for group in forecast.groups()] == [(16.0, 3), (17.5, 1)]


def test_groups_without_rows_are_forgotten() -> None:
    forecast = Forecast(capacity())
    group = forecast.enter(0.0, 2, FAR_S, 0.0)
    forecast.leave(group, 2)
    assert list(forecast.groups()) == []


def test_work_counts_in_seconds_of_full_batches() -> None:
    assert Forecast(capacity()).work_s(9) == 2.625


def test_one_worker_takes_frames_of_a_whole_batch() -> None:
    assert (capacity().frame_rows, capacity().longest_rows) == (4, 4)


def test_several_workers_take_frames_of_an_eighth_of_a_batch() -> None:
    shared = replace(capacity(workers=2), batch_rows=64)
    assert (shared.frame_rows, shared.longest_rows) == (8, 71)
