"""The runs before a model serves: which sizes, how often, for how long."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from bridge.contract.model import ModelContract, Padding, TensorSpec
from bridge.scheduling.batch_choice import BatchBounds
from bridge.scheduling.service_time import ServiceTimeFit
from workers.model import Model
from workers.pipeline import Pipeline
from workers.warm_up import PROFILE_RUNS_MAX, PROFILE_RUNS_MIN, PROFILE_S_MAX, warm_up

Array = np.ndarray[Any, np.dtype[Any]]
X = TensorSpec(name="x", datatype="FP64", shape=(-1, 1))
Y = TensorSpec(name="y", datatype="FP64", shape=(-1, 1))


class TimedModel:
    """A model whose runs take fixed_s + per_row_s * rows on its own clock."""

    def __init__(self, fixed_s: float, per_row_s: float) -> None:
        self.fixed_s, self.per_row_s = fixed_s, per_row_s
        self.now_s = 0.0
        self.sizes: list[int] = []
        contract = ModelContract(
            name="m", version="1", platform="python", inputs=(X,), outputs=(Y,)
        )
        self.model = Model(contract, None, Pipeline(predict=self._predict))

    def _predict(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        rows = len(inputs["x"])
        self.sizes.append(rows)
        self.now_s += self.fixed_s + self.per_row_s * rows
        return {"y": inputs["x"]}

    def warm(self, *, target_s: float = 0.1, rows_cap: int | None = None) -> ServiceTimeFit:
        """Warm up; return what was learned of time."""
        fit = ServiceTimeFit()
        bounds = BatchBounds(target_s=target_s, overhead_s=0.0, rows_cap=rows_cap)
        warm_up(self.model, fit, bounds, clock=lambda: self.now_s)
        return fit


def test_every_power_of_two_up_to_the_batch_size_runs_and_the_batch_size_too() -> None:
    timed = TimedModel(0.001, 0.001)
    timed.warm()
    # (0.1 * 0.95 / 2 - 0.001) / 0.001
    assert sorted(set(timed.sizes)) == [1, 2, 4, 8, 16, 32, 46]


def test_after_the_first_look_the_largest_batch_runs_first() -> None:
    timed = TimedModel(0.001, 0.001)
    timed.warm()
    assert list(dict.fromkeys(timed.sizes))[2:] == [46, 32, 8, 4, 2]


def test_no_batch_is_larger_than_the_cap() -> None:
    timed = TimedModel(0.001, 0.001)
    timed.warm(rows_cap=5)
    assert max(timed.sizes) == 5


def test_the_time_is_learned() -> None:
    service = TimedModel(0.004, 0.001).warm().estimate()
    assert (service.fixed_s, service.per_row_s) == pytest.approx((0.004, 0.001))


def test_the_first_run_of_a_size_only_warms_it() -> None:
    timed = TimedModel(0.01, 0.01)
    timed.warm(target_s=0.11, rows_cap=3)
    # 2 was the first look, so it comes twice; 3 is the batch size in use.
    assert timed.sizes.count(2) == 2 * (1 + PROFILE_RUNS_MIN)


def test_short_runs_are_repeated_often() -> None:
    timed = TimedModel(1e-6, 1e-6)
    timed.warm(rows_cap=8)
    assert timed.sizes.count(4) == 1 + PROFILE_RUNS_MAX


@pytest.mark.parametrize("per_row_s", [0.1, 0.3, 0.7, 1.5])
def test_a_slow_model_is_warm_after_a_few_runs(per_row_s: float) -> None:
    timed = TimedModel(0.0, per_row_s)
    timed.warm(target_s=60.0)
    assert timed.now_s <= 2 * PROFILE_S_MAX


def test_the_longest_bucket_is_timed_and_the_shortest_only_warmed() -> None:
    shapes: list[tuple[int, ...]] = []

    def predict(inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        shapes.append(inputs["x"].shape)
        return {"y": inputs["x"][:, :1]}

    padding = Padding(buckets=(4, 8, 16), values={"x": 0.0})
    varying = TensorSpec(name="x", datatype="FP64", shape=(-1, -1))
    contract = ModelContract(
        name="m", version="1", platform="python", inputs=(varying,), outputs=(Y,), padding=padding
    )
    model = Model(contract, None, Pipeline(predict=predict))
    bounds = BatchBounds(target_s=0.1, overhead_s=0.0, rows_cap=2)
    warm_up(model, ServiceTimeFit(), bounds)
    assert {size for _, size in shapes[:-1]} == {16}
    assert shapes[-1] == (2, 4)


def test_a_model_slower_than_the_bound_runs_once() -> None:
    timed = TimedModel(10.0, 0.0)
    timed.warm(target_s=60.0)
    assert timed.sizes == [1]
