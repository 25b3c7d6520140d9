"""Models with different targets on the same workers, and callers of different priority."""

from __future__ import annotations

from functools import cache

import pytest

from bridge.scheduling.ask import Priority
from bridge.scheduling.simulation import Outcome, Phase, Setup, SimulatedModel, Traffic, simulate
from tests.simulation.systems import KEY, SEED, Shape

FAST = SimulatedModel("fast@1", fixed_s=0.001, per_row_s=0.0001, target_s=0.03)
SLOW = SimulatedModel("slow@1", fixed_s=0.004, per_row_s=0.001, target_s=0.2)
FAST_ROWS, SLOW_ROWS = 50, 10
WINDOW_S = (0.6, 1.9)


@cache
def shared(fast_load: float, slow_load: float, workers: int = 1) -> Outcome:
    """Loads are shares of what a model alone would get in batches of 50 and 10."""
    fast_per_s = fast_load * workers * FAST_ROWS / FAST.mean_s(FAST_ROWS)
    slow_per_s = slow_load * workers * SLOW_ROWS / SLOW.mean_s(SLOW_ROWS)
    return simulate(
        Setup(
            models=(FAST, SLOW),
            traffic=(
                Traffic(FAST.key, (Phase(1.0, fast_per_s),)),
                Traffic(SLOW.key, (Phase(1.0, slow_per_s),)),
            ),
            duration_s=2.1,
            workers=workers,
            seed=SEED,
        )
    )


@cache
def prioritized(critical: float, default: float, sheddable: float) -> Outcome:
    shape = Shape()
    loads = zip(Priority, (critical, default, sheddable), strict=True)
    return simulate(
        Setup(
            models=(shape.model,),
            traffic=tuple(
                Traffic(KEY, (Phase(1.0, load * shape.requests_per_s),), priority=priority)
                for priority, load in loads
            ),
            duration_s=2.1,
            seed=SEED,
        )
    )


SLOW_OVERLOADED = [(0.2, 2.0, 1), (0.2, 6.0, 1), (0.5, 2.0, 1), (0.2, 2.0, 2)]


@pytest.mark.parametrize(("fast", "slow", "workers"), SLOW_OVERLOADED)
def test_an_overloaded_slow_model_makes_no_fast_request_late(fast, slow, workers) -> None:
    tally = shared(fast, slow, workers).attempts.tally(*WINDOW_S, traffic=0)
    assert tally.late_share <= 0.01


@pytest.mark.parametrize(("fast", "slow", "workers"), SLOW_OVERLOADED)
def test_an_overloaded_slow_model_keeps_its_own_promise(fast, slow, workers) -> None:
    tally = shared(fast, slow, workers).attempts.tally(*WINDOW_S, traffic=1)
    assert tally.late_share <= 0.01


@pytest.mark.parametrize(("fast", "slow", "workers"), SLOW_OVERLOADED)
def test_an_overloaded_slow_model_does_not_starve_a_fast_one(fast, slow, workers) -> None:
    tally = shared(fast, slow, workers).attempts.tally(*WINDOW_S, traffic=0)
    assert tally.in_time_share >= 0.6


def test_two_models_below_capacity_are_let_in() -> None:
    tally = shared(0.3, 0.3).attempts.tally(*WINDOW_S)
    # Each is promised an answer even if the other has just begun a run and its own batch fills.
    assert tally.in_time_share >= 0.85


@pytest.mark.parametrize(
    "loads", [(0.3, 0.5, 1.0), (0.3, 1.5, 1.5), (0.6, 0.9, 0.9), (0.05, 0.05, 3.0)]
)
def test_a_critical_request_is_let_in_whatever_others_ask_for(loads) -> None:
    tally = prioritized(*loads).attempts.tally(*WINDOW_S, traffic=Priority.CRITICAL)
    assert tally.in_time_share >= 0.97


@pytest.mark.parametrize(
    "loads", [(0.3, 0.5, 1.0), (0.3, 1.5, 1.5), (0.6, 0.9, 0.9), (0.05, 0.05, 3.0)]
)
def test_requests_are_refused_from_the_bottom(loads) -> None:
    attempts = prioritized(*loads).attempts
    shares = [attempts.tally(*WINDOW_S, traffic=p).in_time_share for p in Priority]
    assert shares == sorted(shares, reverse=True)


@pytest.mark.parametrize(
    "loads", [(0.3, 0.5, 1.0), (0.3, 1.5, 1.5), (0.6, 0.9, 0.9), (0.05, 0.05, 3.0)]
)
def test_keeping_places_for_the_critical_costs_little(loads) -> None:
    tally = prioritized(*loads).attempts.tally(*WINDOW_S)
    goodput = tally.in_time_rows / (WINDOW_S[1] - WINDOW_S[0])
    assert goodput >= 0.95 * Shape().rows_per_s


@pytest.mark.parametrize("priority", Priority)
def test_who_is_alone_gets_everything_whatever_the_priority(priority) -> None:
    loads = [0.0, 0.0, 0.0]
    loads[priority] = 2.0
    tally = prioritized(*loads).attempts.tally(*WINDOW_S)
    goodput = tally.in_time_rows / (WINDOW_S[1] - WINDOW_S[0])
    assert goodput >= 0.95 * Shape().rows_per_s
