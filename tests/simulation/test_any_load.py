"""Any model, any load: what is let in is answered once and in time, and little capacity is lost."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from bridge.scheduling.simulation import Attempts, Outcome, Verdict
from tests.simulation.systems import KEY, WARM_TARGETS, Shape, offered

TARGETS = 30
MODELS = [(ac, ds) for ac in (2, 8, 32) for ds in (5, 10, 20)]
ONE_WORKER = [
    *((Shape(ac, ds), load) for (ac, ds), load in itertools.product(MODELS, (0.5, 0.8, 1.5, 4))),
    *((Shape(8, ds), 10) for ds in (5, 10, 20)),
]
FOUR_WORKERS = [
    (Shape(ac, ds, workers=4, gateways=2), load)
    for (ac, ds), load in itertools.product(MODELS, (0.8, 3))
]
MIXED = [
    (Shape(gateways=2), 4.0),
    (Shape(gateways=3), 4.0),
    (Shape(workers=4), 1.5),
    (Shape(workers=4), 6.0),
]
# A target of five runs leaves one way's time for what several gateways do not know of each other.
# Known limit: with four workers up to 3 % of those let in are late then.
TIGHT_AND_SHARED = 0.03
# Where the load jumps from 0.2 to 4 every eight targets. Known limit: at each jump some are let in
# by what smaller batches took, so that up to 2 % are late.
JUMPS = 0.02
STEADY = [*ONE_WORKER, *FOUR_WORKERS, *MIXED]
OVERLOADED = [(shape, load) for shape, load in STEADY if load > 1]
# Gamma gaps with a coefficient of variation of 4, and callers that come and go.
BURSTY = [
    (Shape(workers=workers), loads, cv)
    for workers in (1, 4)
    for loads, cv in (
        (((TARGETS, 0.5),), 4.0),
        (((TARGETS, 2.0),), 4.0),
        (((2.0, 4.0), (6.0, 0.2)) * 6, 1.0),
        (((4.0, 2.0), (4.0, 0.0)) * 6, 1.0),
    )
]
ALL = [(shape, ((TARGETS, load),), 1.0) for shape, load in STEADY] + BURSTY


def steady(shape: Shape, load: float) -> Outcome:
    return offered(shape, ((TARGETS, load),))


def window_s(shape: Shape) -> tuple[float, float]:
    """What is counted: after the start, and with time left for the answers."""
    target_s = shape.model.target_s
    return WARM_TARGETS * target_s, (TARGETS - 1) * target_s


def errors_s(attempts: Attempts, from_s: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    chosen = (attempts.asked_s >= from_s) & ~np.isnan(attempts.error_s)
    return np.abs(attempts.error_s[chosen])


@pytest.mark.parametrize(("shape", "loads", "cv"), ALL)
def test_every_admitted_request_is_answered_exactly_once(shape, loads, cv) -> None:
    attempts = offered(shape, loads, cv).attempts
    admitted = attempts.verdict != Verdict.REFUSED
    assert set(attempts.answers[admitted]) == {1}


@pytest.mark.parametrize(("shape", "loads", "cv"), ALL)
def test_nothing_is_left_in_flight(shape, loads, cv) -> None:
    outcome = offered(shape, loads, cv)
    assert (outcome.left_in_flight, outcome.strays) == (0, 0)


@pytest.mark.parametrize(("shape", "loads", "cv"), ALL)
def test_nothing_starts_after_its_deadline(shape, loads, cv) -> None:
    assert offered(shape, loads, cv).runs.late_starts.sum() == 0


@pytest.mark.parametrize(("shape", "loads", "cv"), ALL)
def test_a_worker_holds_at_most_a_batch_and_the_rest_of_a_frame(shape, loads, cv) -> None:
    outcome = offered(shape, loads, cv)
    rows = outcome.batch_rows[KEY]
    # The last frame was taken while there was room; a batch size is learned anew meanwhile.
    assert outcome.most_in_hand <= 2 - 1 / rows + 0.1


@pytest.mark.parametrize(("shape", "loads", "cv"), ALL)
def test_what_is_in_flight_is_bounded_by_what_can_be_answered_in_time(shape, loads, cv) -> None:
    outcome = offered(shape, loads, cv)
    rows = outcome.batch_rows[KEY]
    model = shape.model
    runs = model.target_s / model.mean_s(rows) + 1
    assert outcome.most_in_flight[KEY] <= runs * 1.1 * shape.workers * rows


@pytest.mark.parametrize(("shape", "load"), STEADY)
def test_few_that_are_let_in_are_late(shape, load) -> None:
    tally = steady(shape, load).attempts.tally(*window_s(shape))
    bound = 0.01 if load > 0.8 else 0.001
    if load > 0.8 and shape.workers * shape.gateways > 4 and shape.target_per_run <= 5:
        bound = TIGHT_AND_SHARED
    assert tally.late_share <= bound


@pytest.mark.parametrize(("shape", "loads", "cv"), BURSTY)
def test_few_that_are_let_in_from_bursts_are_late(shape, loads, cv) -> None:
    late_share = offered(shape, loads, cv).attempts.tally(*window_s(shape)).late_share
    assert late_share <= (0.01 if len(loads) == 1 else JUMPS)


@pytest.mark.parametrize(("shape", "load"), OVERLOADED)
def test_overload_costs_little_of_what_the_workers_can_do(shape, load) -> None:
    outcome = steady(shape, load)
    from_s, to_s = window_s(shape)
    tally = outcome.attempts.tally(from_s, to_s)
    assert tally.in_time_rows / (to_s - from_s) >= 0.95 * shape.rows_per_s


@pytest.mark.parametrize(
    ("shape", "load"), [(shape, load) for shape, load in STEADY if load <= 0.8]
)
def test_nearly_all_is_answered_in_time_below_capacity(shape, load) -> None:
    share = steady(shape, load).attempts.tally(*window_s(shape)).in_time_share
    # Batches of three rows leave no room for the chance that five come at once.
    assert share >= (0.99 if shape.batch_rows >= 10 or load <= 0.5 else 0.97)


@pytest.mark.parametrize("shape", [Shape(ac, ds) for ac, ds in MODELS if ds >= 10])
def test_at_nine_tenths_of_the_capacity_of_a_full_batch_nearly_all_is_in_time(shape) -> None:
    share = steady(shape, 0.9).attempts.tally(*window_s(shape)).in_time_share
    assert share >= (0.99 if shape.batch_rows > 10 else 0.98)


@pytest.mark.parametrize(
    ("shape", "load"),
    [(Shape(ac, 20), load) for ac in (2, 8) for load in (0.5, 0.8, 4)],
)
def test_the_time_of_an_answer_is_predicted_within_a_tenth_of_the_target(shape, load) -> None:
    attempts = steady(shape, load).attempts
    errors = errors_s(attempts, window_s(shape)[0])
    assert np.percentile(errors, 95) <= 0.1 * shape.model.target_s


@pytest.mark.parametrize("shape", [Shape(), Shape(workers=4), Shape(gateways=2)])
def test_workers_do_not_idle_under_load(shape) -> None:
    from_s, to_s = window_s(shape)
    busy_s = steady(shape, 4).runs.busy_s(from_s, to_s)
    assert busy_s >= 0.97 * shape.workers * (to_s - from_s)


def test_the_same_setup_gives_the_same_outcome() -> None:
    shape = Shape(workers=2, gateways=2)
    first = offered(shape, ((5, 2.0),))
    second = offered.__wrapped__(shape, ((5, 2.0),))
    np.testing.assert_array_equal(first.attempts.latency_s, second.attempts.latency_s)
