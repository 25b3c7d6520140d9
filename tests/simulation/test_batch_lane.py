"""Both lanes: the batch lane always has work, and online requests keep their promise beside it."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from bridge.scheduling.lanes import FLOOR, request_rows
from bridge.scheduling.simulation import Outcome, Phase, Setup, Traffic, simulate
from tests.simulation.systems import KEY, SEED, Shape

TARGETS, WARM = 60, 10
SHAPES = [Shape(2, 5), Shape(2, 10), Shape(8, 5), Shape(8, 10), Shape(32, 5), Shape(8, 20)]
OVERLOAD = 1.5
ROOMY = [shape for shape in SHAPES if shape.batch_rows >= 10]


@cache
def beside(shape: Shape, load: float) -> Outcome:
    rows = request_rows(shape.batch_rows)
    model = replace(shape.model, batch_lane_rows_per_s=math.inf, batch_request_rows=rows)
    duration_s = TARGETS * model.target_s
    traffic = Traffic(KEY, (Phase(duration_s, load * shape.requests_per_s),), rows=shape.rows)
    return simulate(Setup((model,), (traffic,), duration_s, seed=SEED))


def window_s(shape: Shape) -> tuple[float, float]:
    return WARM * shape.model.target_s, (TARGETS - 1) * shape.model.target_s


def batch_lane_rows(shape: Shape, load: float) -> int:
    """What the batch lane got in the window."""
    runs, (from_s, to_s) = beside(shape, load).runs, window_s(shape)
    counted = (runs.ended_s > from_s) & (runs.ended_s <= to_s)
    return int(np.sum((runs.rows - runs.online_rows)[counted]))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("load", [0.3, 0.8, OVERLOAD])
def test_the_batch_lane_makes_few_online_requests_late(shape, load) -> None:
    assert beside(shape, load).attempts.tally(*window_s(shape)).late_share <= 0.01


@pytest.mark.parametrize("shape", SHAPES)
def test_the_batch_lane_gets_its_floor_beside_an_online_overload(shape) -> None:
    from_s, to_s = window_s(shape)
    floor_rows = FLOOR * shape.rows_per_s * (to_s - from_s)
    assert batch_lane_rows(shape, OVERLOAD) >= 0.9 * floor_rows


@pytest.mark.parametrize("shape", ROOMY)
@pytest.mark.parametrize("load", [0.3, 0.8, OVERLOAD])
def test_both_lanes_together_use_what_the_worker_can_do(shape, load) -> None:
    from_s, to_s = window_s(shape)
    online_rows = beside(shape, load).attempts.tally(from_s, to_s).in_time_rows
    rows = online_rows + batch_lane_rows(shape, load)
    assert rows >= 0.95 * shape.rows_per_s * (to_s - from_s)
