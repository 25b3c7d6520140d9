from __future__ import annotations

import pytest

from bridge.plan.answer import Plan
from bridge.plan.planner import make_plan
from bridge.plan.request_costs import (
    BUSY_FROM_PER_S,
    MACHINE_SHARE_MAX,
    ProcessCosts,
    RequestCosts,
)
from tests.unit.plan.models import REQUESTS, measured, question

COSTS = ProcessCosts(request_s=20e-6, turns=0.4)


def test_a_process_without_requests_costs_nothing() -> None:
    assert COSTS.cores(0.0) == 0.0


def test_turns_are_in_proportion_to_a_low_rate() -> None:
    half = BUSY_FROM_PER_S / 2
    assert COSTS.cores(half) == pytest.approx(20e-6 * half + 0.2)


def test_turns_cost_the_same_at_any_high_rate() -> None:
    more = COSTS.cores(4 * BUSY_FROM_PER_S) - COSTS.cores(2 * BUSY_FROM_PER_S)
    assert more == pytest.approx(20e-6 * 2 * BUSY_FROM_PER_S)


def test_each_busy_process_turns() -> None:
    rate = 4 * BUSY_FROM_PER_S
    assert COSTS.cores(rate, 2) - COSTS.cores(rate, 1) == pytest.approx(0.4)


def test_what_the_cores_hold_keeps_them_as_busy_as_is_allowed() -> None:
    plan = make_plan(question(rate_per_s=500.0), measured(), RequestCosts(), REQUESTS)
    assert isinstance(plan, Plan)
    held = plan.formation.cores_per_s
    run_s = measured().service.typical_s(plan.batch_rows) / plan.batch_rows
    busy = RequestCosts().cores(held, gateways=1, workers=1) + held * run_s
    assert busy == pytest.approx(MACHINE_SHARE_MAX * plan.question.cores, rel=1e-6)
