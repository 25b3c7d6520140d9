"""Several models on one worker: S(4) = 1 s for each, and different targets."""

from __future__ import annotations

from bridge.scheduling.ask import Ask
from bridge.scheduling.forecast import Forecast
from bridge.scheduling.shared_workers import Demand, SharedWorkers
from tests.unit.scheduling.capacities import capacity

QUICK_S, SLOW_S = 8.0, 100.0


def forecast(target_s: float, rows: int = 0, now_s: float = 0.0) -> Forecast:
    """What waits is not yet known to run."""
    found = Forecast(capacity(target_s=target_s))
    if rows:
        found.enter(now_s, rows, now_s + target_s, 0.0)
        found.forget_runs()
    return found


def shared(mine: Forecast, *others: Forecast, asked_per_s: float = 0.0) -> SharedWorkers:
    return SharedWorkers(
        Demand(mine, 0.0), [Demand(other, asked_per_s) for other in others], 0.0, 0.0
    )


def test_what_is_due_before_goes_first() -> None:
    waits_s = shared(forecast(SLOW_S), forecast(QUICK_S, rows=8)).wait_s(SLOW_S)
    assert waits_s == 2.0 + 1.0  # two batches, and a run that may just have begun


def test_what_is_due_later_costs_one_run_that_may_have_begun() -> None:
    assert shared(forecast(QUICK_S), forecast(SLOW_S, rows=80)).wait_s(QUICK_S) == 1.0


def test_a_run_that_is_known_costs_its_rest() -> None:
    slow = forecast(SLOW_S, rows=8)
    slow.observe_run("worker 0", -0.75, 4)
    assert shared(forecast(QUICK_S), slow).wait_s(QUICK_S) == 0.25


def test_requests_to_come_with_a_shorter_target_get_their_share_and_a_head_start() -> None:
    quick = forecast(QUICK_S)
    # One row a second, each run by itself: 0.625 s of each second, and an equal share is 0.5.
    waits_s = shared(forecast(SLOW_S, rows=1), quick, asked_per_s=0.25).wait_s(SLOW_S)
    assert waits_s == 0.25 * 0.625 * SLOW_S + QUICK_S


def test_who_asks_for_more_than_its_share_gets_no_head_start() -> None:
    quick = forecast(QUICK_S)
    # Nobody else asks, so all of the time is its share.
    waits_s = shared(forecast(SLOW_S, rows=1), quick, asked_per_s=100.0).wait_s(SLOW_S)
    assert waits_s == SLOW_S


def test_requests_to_come_with_a_longer_target_get_none() -> None:
    waits_s = shared(forecast(QUICK_S), forecast(SLOW_S), asked_per_s=100.0).wait_s(QUICK_S)
    assert waits_s == 0.0


def test_nobody_is_made_late_who_has_time() -> None:
    both = shared(forecast(QUICK_S), forecast(SLOW_S, rows=8))
    assert both.lateness_caused_s(Ask("quick@1", 4, QUICK_S), 0.0) == 0.0


def test_who_has_no_time_left_is_made_late_by_what_goes_before() -> None:
    slow = forecast(SLOW_S)
    slow.enter(-SLOW_S + 9.0, 36, 9.0, 0.0)
    slow.forget_runs()
    both = shared(forecast(QUICK_S), slow)
    # Nine batches of a second and a run that may have begun; this one makes it eleven.
    assert both.lateness_caused_s(Ask("quick@1", 4, QUICK_S), 0.0) == 2.0


def test_who_is_past_helping_refuses_nobody() -> None:
    slow = forecast(SLOW_S)
    slow.enter(-SLOW_S + 9.0, 80, 9.0, 0.0)
    slow.forget_runs()
    both = shared(forecast(QUICK_S), slow)
    assert both.lateness_caused_s(Ask("quick@1", 4, QUICK_S), 0.0) == 0.0
