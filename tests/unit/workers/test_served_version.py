"""A model version in service: its batch size from time, target and neighbours; what is logged."""

from __future__ import annotations

from collections.abc import Callable
from itertools import repeat

import pytest
from structlog.testing import capture_logs

from bridge.contract.model import ModelContract, Serving
from bridge.scheduling.batch_choice import BatchBounds
from bridge.scheduling.service_time import ServiceTimeFit
from workers.loading import OVERHEAD_S, LoadedModel
from workers.model import Model
from workers.pipeline import Pipeline
from workers.runner import REFIT_EVERY_S, ServedVersion, served_versions


def loaded(name: str, target_s: float, fixed_s: float, per_row_s: float) -> LoadedModel:
    """A model whose profile found this line."""
    contract = ModelContract(
        name=name,
        version="1",
        platform="python",
        inputs=(),
        outputs=(),
        serving=Serving(latency_target_s=target_s),
    )
    fit = ServiceTimeFit()
    for rows in (64, 32, 16, 8, 4, 2, 1):
        for _ in range(3):
            fit.profile(rows, fixed_s + per_row_s * rows)
    bounds = BatchBounds(target_s=target_s, overhead_s=OVERHEAD_S)
    model = Model(contract, None, Pipeline(predict=lambda inputs: inputs))
    return LoadedModel(model, fit, bounds, has_answered=True)


def logged(act: Callable[[], object]) -> list[str]:
    """The names of the events that were logged meanwhile."""
    with capture_logs() as events:
        act()
    return [event["event"] for event in events]


FAST = ("fast", 0.05, 0.001, 0.0001)
SLOW = ("slow", 1.0, 0.01, 0.001)


def test_the_batch_follows_from_time_and_target() -> None:
    report = ServedVersion(loaded("m", 0.1, 0.001, 0.002)).report
    # ((0.1 - 0.004) * 0.95 / 2 - 0.001) / 0.002
    assert report.batch_rows == 22


def test_a_model_alone_may_run_as_long_as_its_own_target_allows() -> None:
    alone = served_versions([loaded(*SLOW)])["slow@1"]
    assert alone.service.batch_s(alone.report.batch_rows) > 0.05


def test_a_model_with_a_fast_neighbour_runs_no_longer_than_that_one_can_wait() -> None:
    slow = served_versions([loaded(*FAST), loaded(*SLOW)])["slow@1"]
    assert slow.service.batch_s(slow.report.batch_rows) <= (0.05 - OVERHEAD_S) * 0.95 / 2


def test_a_fast_model_does_not_care_for_a_slow_neighbour() -> None:
    alone = served_versions([loaded(*FAST)])["fast@1"]
    beside = served_versions([loaded(*FAST), loaded(*SLOW)])["fast@1"]
    assert beside.report == alone.report


def test_a_target_that_can_be_kept_is_no_news() -> None:
    assert logged(lambda: ServedVersion(loaded(*FAST))) == []


def test_a_target_that_no_batch_can_keep_is_said_at_load() -> None:
    with capture_logs() as events:
        ServedVersion(loaded("m", 0.1, 0.1, 0.0))
    assert events == [
        {
            "event": "target_cannot_be_kept",
            "log_level": "warning",
            "model": "m@1",
            "target_ms": 100.0,
            "one_row_ms": 100.0,
            "possible_target_ms": 215,
        }
    ]


@pytest.mark.parametrize(("fixed_s", "keeps"), [(0.04, True), (0.05, False)])
def test_the_report_says_whether_the_target_can_be_kept(fixed_s: float, keeps: bool) -> None:
    assert ServedVersion(loaded("m", 0.1, fixed_s, 0.0)).report.keeps_target is keeps


def test_a_model_that_delays_its_neighbours_with_one_row_is_named_at_load() -> None:
    heavy = loaded("heavy", 1.0, 0.2, 0.001)
    assert logged(lambda: served_versions([loaded(*FAST), heavy])) == ["run_delays_other_models"]


def test_a_model_that_delays_its_neighbours_with_one_row_is_served_row_by_row() -> None:
    heavy = loaded("heavy", 1.0, 0.2, 0.001)
    assert served_versions([loaded(*FAST), heavy])["heavy@1"].report.batch_rows == 1


def test_the_model_of_time_is_fitted_no_more_often_than_every_tenth_of_a_second() -> None:
    served = ServedVersion(loaded(*FAST))
    times_s = [1.0, 1.0 + REFIT_EVERY_S / 2, 1.0 + REFIT_EVERY_S]
    assert [served.observe(8, 0.0018, now_s) for now_s in times_s] == [True, False, True]


def after_runs(served: ServedVersion, *runs: tuple[int, float]) -> None:
    for number, (rows, seconds) in enumerate(runs, start=1):
        served.observe(rows, seconds, number * REFIT_EVERY_S * 1.01)


def test_a_slower_model_gets_smaller_batches() -> None:
    served = ServedVersion(loaded("m", 0.1, 0.001, 0.001))
    usual = served.report.batch_rows
    after_runs(served, *repeat((32, 2 * 0.033), 50))
    assert served.report.batch_rows < 0.6 * usual


def test_a_longer_overhead_makes_batches_smaller_with_the_next_fit() -> None:
    served = ServedVersion(loaded("m", 0.1, 0.001, 0.002))
    served.set_overhead(0.02)
    after_runs(served, (8, 0.017))
    # ((0.1 - 0.02) * 0.95 / 2 - 0.001) / 0.002
    assert served.report.batch_rows == 18


def test_a_model_whose_time_does_not_follow_its_rows_is_said_to_be_served_by_trial() -> None:
    served = ServedVersion(loaded("m", 0.1, 0.001, 0.001))
    erratic = [(32, 0.033 * (1 + number % 5)) for number in range(100)]
    assert logged(lambda: after_runs(served, *erratic)) == ["batch_size_follows"]


def test_a_neighbours_target_that_cannot_be_kept_anyway_shrinks_no_batch() -> None:
    alone = served_versions([loaded(*SLOW)])["slow@1"]
    hopeless = loaded("hopeless", 1e-6, 0.001, 0.0001)
    beside = served_versions([loaded(*SLOW), hopeless])["slow@1"]
    assert beside.report.batch_rows == alone.report.batch_rows
