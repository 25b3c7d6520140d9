"""Steps, clients that come back, and workers that die."""

from __future__ import annotations

import numpy as np
import pytest

from bridge.scheduling.simulation import Attempts, Death, Verdict
from tests.simulation.systems import Shape, offered

BURST_THEN_QUIET = ((1.0, 8.0), (60.0, 0.2))
BURST_THEN_HALF = ((2.0, 4.0), (60.0, 0.5))
SHAPES = [Shape(), Shape(workers=4), Shape(gateways=2), Shape(workers=4, gateways=2)]


def answered_rows(attempts: Attempts, from_s: float, to_s: float) -> int:
    """The rows answered in time between two instants."""
    at_s = attempts.asked_s + attempts.latency_s
    chosen = (attempts.verdict == Verdict.IN_TIME) & (at_s >= from_s) & (at_s < to_s)
    return int(attempts.rows[chosen].sum())


@pytest.mark.parametrize("shape", SHAPES)
def test_five_targets_after_a_step_from_half_to_double_load_goodput_is_there(shape) -> None:
    attempts = offered(shape, ((30.0, 0.5), (30.0, 2.0))).attempts
    target_s = shape.model.target_s
    from_s, to_s = 35 * target_s, 55 * target_s
    goodput = answered_rows(attempts, from_s, to_s) / (to_s - from_s)
    assert goodput >= 0.95 * shape.rows_per_s


@pytest.mark.parametrize("shape", SHAPES)
def test_a_step_to_double_load_makes_few_late(shape) -> None:
    assert offered(shape, ((30.0, 0.5), (30.0, 2.0))).attempts.tally().late_share <= 0.01


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("loads", "share"), [(BURST_THEN_QUIET, 0.9), (BURST_THEN_HALF, 0.9)])
def test_who_comes_back_after_exactly_the_hint_is_let_in(shape, loads, share) -> None:
    attempts = offered(shape, loads, returns=1).attempts
    again = attempts.number == 1
    admitted = again & (attempts.verdict != Verdict.REFUSED)
    assert admitted.sum() >= share * again.sum() > 0


@pytest.mark.parametrize("shape", [Shape()])
def test_hints_stay_bounded_in_a_lasting_overload(shape) -> None:
    hints_s = offered(shape, ((50.0, 10.0),)).attempts.retry_after_s
    assert np.nanmax(hints_s) <= 5.0


DYING = [
    (Shape(workers=2), 0.4),
    (Shape(workers=4, gateways=2), 0.6),
    (Shape(workers=4, gateways=2), 1.5),
]
DEATH_S, BACK_S, LONG_TARGETS = 1.0, 3.5, 90.0


def with_a_death(shape: Shape, load: float) -> Attempts:
    deaths = (Death(0, DEATH_S, BACK_S),)
    return offered(shape, ((LONG_TARGETS, load),), deaths=deaths).attempts


@pytest.mark.parametrize(("shape", "load"), DYING)
def test_when_a_worker_dies_everyone_is_answered_once_or_expires(shape, load) -> None:
    attempts = with_a_death(shape, load)
    admitted = attempts.verdict != Verdict.REFUSED
    expired = attempts.verdict == Verdict.EXPIRED
    assert np.all(attempts.answers[admitted] == 1 - expired[admitted])


@pytest.mark.parametrize(("shape", "load"), DYING)
def test_nothing_of_a_dead_worker_starts_after_its_deadline(shape, load) -> None:
    deaths = (Death(0, DEATH_S, BACK_S),)
    assert offered(shape, ((LONG_TARGETS, load),), deaths=deaths).runs.late_starts.sum() == 0


@pytest.mark.parametrize(
    ("shape", "load"), [*DYING, (Shape(workers=2), 0.8), (Shape(workers=2), 1.5)]
)
def test_few_are_late_until_a_death_is_noticed(shape, load) -> None:
    assert with_a_death(shape, load).tally(DEATH_S, DEATH_S + 1.0).late_share <= 0.1


@pytest.mark.parametrize(("shape", "load"), DYING)
def test_those_that_stay_keep_the_promise_once_the_death_is_noticed(shape, load) -> None:
    # A second of silence, its backlog, and after 1.5 s the frames that the dead worker held.
    assert with_a_death(shape, load).tally(DEATH_S + 1.6, BACK_S).late_share <= 0.01


@pytest.mark.parametrize(("shape", "load"), DYING)
def test_the_promise_holds_when_a_new_worker_has_come(shape, load) -> None:
    assert with_a_death(shape, load).tally(BACK_S + 0.2).late_share <= 0.01
