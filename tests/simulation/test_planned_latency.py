"""The latencies of a plan, against the simulated system that has what the plan can only measure.

The plan knows a profile at load of a few runs of each size; the system's runs vary as the profile's
did. Every process has a core of its own here: on a machine that is too small the plan is wrong.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bridge.plan.question import MeasuredModel
from bridge.plan.request_costs import ProcessCosts, RequestCosts
from bridge.plan.trials import Trials
from bridge.scheduling.service_time import ServiceTimeFit
from bridge.scheduling.simulation import Phase, Setup, SimulatedModel, Traffic, simulate
from tests.simulation.systems import KEY, OVERHEAD_S, SEED

REQUESTS = 8_000
PROFILED_RUNS = 5
FULL = 64
# What a request costs outside its run is another matter.
NOTHING = ProcessCosts(request_s=0.0, turns=0.0)
FREE = RequestCosts(
    gateway=NOTHING, refusal_s=0.0, queue=NOTHING, worker=NOTHING, generator=NOTHING
)
MODELS = [
    SimulatedModel(KEY, fixed_s=0.0003, per_row_s=0.0003, target_s=0.02),
    SimulatedModel(KEY, fixed_s=0.0011, per_row_s=0.00017, target_s=0.1),
    SimulatedModel(KEY, fixed_s=0.0044, per_row_s=0.00055, target_s=0.05),
    SimulatedModel(KEY, fixed_s=0.0064, per_row_s=0.0002, target_s=0.05),
]
ASKED = [(model, run_cv, load) for model in MODELS for run_cv in (0.03, 0.1) for load in (0.3, 0.7)]


def profiled(model: SimulatedModel) -> MeasuredModel:
    random, fit = np.random.default_rng(SEED), ServiceTimeFit()
    for rows in (256, 128, 64, 32, 16, 8, 4, 2, 1):
        for _ in range(PROFILED_RUNS):
            shape = 1 / model.run_cv**2
            fit.profile(rows, model.mean_s(rows) * random.gamma(shape, 1 / shape))
    return MeasuredModel(
        name="model",
        version="1",
        service=fit.rehearsed(),
        target_s=model.target_s,
        rows_cap=None,
        source="a simulated profile",
    )


def latencies_s(model: SimulatedModel, run_cv: float, load: float) -> tuple[np.ndarray, np.ndarray]:
    """p50 and p99, planned and true."""
    model = replace(model, run_cv=run_cv)
    per_s = load * FULL / model.mean_s(FULL)
    trials = Trials(profiled(model), FREE, OVERHEAD_S, REQUESTS)
    planned = trials.offer(per_s, 1, model.target_s, 1.0)
    traffic = Traffic(KEY, (Phase(1.0, per_s),))
    attempts = simulate(Setup((model,), (traffic,), REQUESTS / per_s, seed=SEED)).attempts
    answered = ~np.isnan(attempts.latency_s)
    true = np.percentile(attempts.latency_s[answered], [50, 99])
    return np.array([planned.p50_s, planned.p99_s]), true


@pytest.mark.parametrize(("model", "run_cv", "load"), ASKED)
def test_p50_and_p99_are_planned_within_a_fifth_from_a_profile_at_load(model, run_cv, load) -> None:
    planned_s, true_s = latencies_s(model, run_cv, load)
    np.testing.assert_allclose(planned_s, true_s, rtol=0.2)
