from __future__ import annotations

from functools import cache

import pytest

from bridge.plan.answer import Impossible, Plan
from bridge.plan.page import impossible_text, plan_text
from bridge.plan.planner import make_plan
from bridge.plan.request_costs import ProcessCosts, RequestCosts
from tests.unit.plan.models import REQUESTS, measured, question

# Nothing but runs, so that what a worker holds can be told from S(b).
RUNS_ALONE = RequestCosts(worker=ProcessCosts(request_s=0.0, turns=0.0))


@cache
def planned(costs: RequestCosts = RUNS_ALONE, **changes: float) -> Plan:
    found = make_plan(question(**changes), measured(), costs, REQUESTS)
    assert isinstance(found, Plan)
    return found


def impossible(target_s: float) -> Impossible:
    found = make_plan(question(target_s=target_s), measured(), requests=REQUESTS)
    assert isinstance(found, Impossible)
    return found


def test_a_target_below_two_runs_of_one_row_cannot_be_kept() -> None:
    assert impossible(0.005).one_row_s == pytest.approx(0.00166)


def test_the_shortest_target_that_is_named_can_be_kept() -> None:
    shortest_s = impossible(0.005).shortest_target_s
    assert planned(target_s=shortest_s * 1.001).batch_rows == 1


def test_the_page_says_plainly_that_a_target_cannot_be_kept() -> None:
    assert "a latency target of 5 ms CANNOT BE KEPT" in impossible_text(impossible(0.005))


def test_one_worker_is_enough_for_what_it_holds() -> None:
    assert planned().formation.workers == 1


def test_a_worker_holds_less_than_its_full_batches_and_more_than_four_fifths_of_them() -> None:
    each = planned().per_worker
    assert 0.8 < each.poisson_per_s / each.rows_per_s < 1


def test_three_times_what_a_worker_holds_needs_three_or_four() -> None:
    rate = 3.05 * planned().per_worker.poisson_per_s
    assert planned(rate_per_s=rate).formation.workers in (3, 4)


def test_what_is_planned_holds_the_asked_rate() -> None:
    plan = planned(rate_per_s=10_000.0)
    assert plan.expected.in_time_share >= 0.99


def test_one_worker_less_does_not_hold_the_asked_rate() -> None:
    plan = planned(rate_per_s=10_000.0)
    fewer = planned(rate_per_s=10_000.0, workers_max=plan.workers_needed - 1)
    assert fewer.expected.in_time_share < 0.99


def test_more_workers_than_allowed_is_not_possible() -> None:
    assert not planned(rate_per_s=10_000.0, workers_max=2).is_possible


def test_a_pool_larger_than_is_simulated_grows_with_the_rate() -> None:
    few, many = planned(rate_per_s=50_000.0), planned(rate_per_s=500_000.0)
    assert many.workers_needed / few.workers_needed == pytest.approx(10, rel=0.1)


def test_bursts_cost_capacity() -> None:
    each = planned(cv=4.0).per_worker
    assert each.asked_per_s < each.poisson_per_s


def test_at_twice_the_capacity_half_is_refused() -> None:
    rate = planned().per_worker.poisson_per_s
    plan = planned(rate_per_s=rate * 0.99)
    assert plan.doubled.refused_share == pytest.approx(0.5, abs=0.08)


def test_the_refused_are_told_when_to_come_back() -> None:
    rate = planned().per_worker.poisson_per_s
    assert planned(rate_per_s=rate * 0.99).doubled.retry_after_s > 0


def test_tighter_targets_have_smaller_batches() -> None:
    rows = [one.batch_rows for one in planned().tighter]
    assert rows == sorted(set(rows), reverse=True)


def test_a_quarter_of_the_target_that_cannot_be_kept_is_said() -> None:
    assert planned(target_s=0.01).tighter[-1].batch_rows == 0


def test_gateways_follow_from_their_cpu_time() -> None:
    plan = planned(RequestCosts(gateway=ProcessCosts(request_s=0.002, turns=0.0)))
    assert plan.formation.gateways == 3


def test_the_slower_side_is_named() -> None:
    slow = RequestCosts(gateway=ProcessCosts(request_s=0.0005, turns=0.0))
    assert planned(slow).formation.bound == "gateways"


def test_a_machine_with_too_few_cores_is_named() -> None:
    assert planned(rate_per_s=20_000.0).formation.bound == "cores"


def test_no_rate_passes_the_ceiling() -> None:
    plan = planned()
    assert plan.per_worker.poisson_per_s < plan.ceiling.worker_rows_per_s


def test_the_batch_lane_gets_less_beside_more_online_requests() -> None:
    low, high = planned(rate_per_s=500.0), planned(rate_per_s=2000.0)
    assert high.batch_lane.rows_per_hour < low.batch_lane.rows_per_hour


def test_more_batch_rows_than_are_left_need_another_worker() -> None:
    left = planned().batch_lane.rows_per_hour
    assert planned(batch_rows_per_hour=left * 1.2).batch_lane.workers == 2


def test_the_same_question_has_the_same_answer() -> None:
    again = make_plan(question(), measured(), RUNS_ALONE, REQUESTS)
    assert again == planned()


def test_the_page_names_what_is_needed() -> None:
    text = plan_text(planned(rate_per_s=10_000.0, cv=2.0, batch_rows_per_hour=1e6))
    headings = [line for line in text.splitlines() if line and line[0] != " "]
    assert headings[:8] == [
        "m@1: 10,000 single-row requests/s (bursty, cv 2), p99 within 50 ms",
        "The model",
        "What it needs",
        "How it behaves (simulated)",
        "What a tighter target costs",
        "What no configuration passes",
        "The batch lane",
        "For an autoscaler of workers (KEDA, HPA)",
    ]
