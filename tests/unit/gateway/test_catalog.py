"""What a gateway believes of workers and models, at times that the test gives."""

from __future__ import annotations

import pytest

from bridge.contract.model import ModelContract, TensorSpec
from bridge.gateway.catalog import (
    BATCH_FRAME_ROWS,
    MODEL_REMEMBERED_S,
    STALLED_S_MIN,
    WORKER_SILENT_S_MAX,
    Catalog,
)
from bridge.gateway.dialects.call import InputLimits
from bridge.gateway.problem import Problem, ProblemCode
from bridge.scheduling.lanes import ModelLane
from bridge.wire.frame import Heartbeat, ResultStatus, ServedModel, ServiceReport
from tests.unit.gateway.flights import entry, result

SERVICE = ServiceReport(fixed_s=0.01, per_row_s=0.01, jitter=0.05, batch_rows=8, online_rows=8)
DIGEST = "digest"
ONLINE, BATCH = ModelLane("m@1", "online"), ModelLane("m@1", "batch")
TENSOR = TensorSpec(name="y", datatype="FP64", shape=(-1, 1))


def contract(key: str) -> ModelContract:
    name, _, version = key.rpartition("@")
    return ModelContract(
        name=name, version=version, platform="python", inputs=(TENSOR,), outputs=(TENSOR,)
    )


def beat(
    *models: str,
    worker: str = "w",
    leaving: bool = False,
    stalled_s: float = 0.0,
    service: ServiceReport = SERVICE,
    digest: str = DIGEST,
) -> Heartbeat:
    return Heartbeat(
        worker=worker,
        leaving=leaving,
        progress=0,
        stalled_s=stalled_s,
        reclaimed=0,
        dead_lettered=0,
        models=[ServedModel(key, digest, service) for key in models],
    )


def catalog(*models: str, now_s: float = 0.0) -> Catalog:
    """A catalog that has heard of one worker with these models and learned them."""
    known = Catalog(InputLimits())
    known.observe(beat(*models), now_s)
    for key in models:
        known.learn(contract(key), DIGEST, now_s)
    return known


def is_served(known: Catalog, key: str, now_s: float) -> bool:
    return known.capacity(key, now_s) is not None


def test_a_worker_is_alive_for_a_while_after_it_was_heard() -> None:
    known = catalog("m@1")
    assert is_served(known, "m@1", WORKER_SILENT_S_MAX)
    assert not is_served(known, "m@1", WORKER_SILENT_S_MAX + 0.01)


def test_a_result_is_a_sign_of_life() -> None:
    known = catalog("m@1")
    known.observe_result("w", "m@1", SERVICE, 5.0)
    assert is_served(known, "m@1", 5.5)


def test_a_result_of_a_worker_never_heard_of_tells_nothing() -> None:
    known = Catalog(InputLimits())
    known.observe_result("w", "m@1", SERVICE, 0.0)
    assert known.workers_alive(0.0) == 0


def test_a_worker_serves_what_it_says_and_nothing_else() -> None:
    assert not is_served(catalog("m@1"), "m@2", 0.0)


def test_a_worker_that_leaves_serves_nothing_more() -> None:
    known = catalog("m@1")
    known.observe(beat("m@1", leaving=True), 0.1)
    assert not is_served(known, "m@1", 0.1)
    assert known.workers_alive(0.1) == 0


def test_a_worker_whose_run_does_not_end_is_not_counted_on() -> None:
    known = catalog("m@1")
    known.observe(beat("m@1", stalled_s=STALLED_S_MIN + 0.1), 0.1)
    assert not is_served(known, "m@1", 0.1)


def test_a_long_run_is_no_stall_for_a_model_with_long_runs() -> None:
    known = catalog("m@1")
    slow = ServiceReport(fixed_s=10.0, per_row_s=1.0, jitter=0.05, batch_rows=8, online_rows=8)
    known.observe(beat("m@1", stalled_s=50.0, service=slow), 0.1)
    assert is_served(known, "m@1", 0.1)
    known.observe(beat("m@1", stalled_s=55.0, service=slow), 0.2)
    assert not is_served(known, "m@1", 0.2)


def test_a_stall_ends_with_a_result() -> None:
    known = catalog("m@1")
    known.observe(beat("m@1", stalled_s=9.0), 0.1)
    known.observe_result("w", "m@1", SERVICE, 0.2)
    assert is_served(known, "m@1", 0.2)


def test_the_highest_version_by_number_is_the_default() -> None:
    known = catalog("m@9", "m@10", "m@1")
    assert known.find("m", None).contract.version == "10"
    assert known.versions_of("m") == ["1", "9", "10"]


def test_a_version_can_be_asked_for_by_name() -> None:
    assert catalog("m@9", "m@10").find("m", "9").contract.version == "9"


@pytest.mark.parametrize(
    ("model", "version"), [("other", None), ("m", "2"), ("m", "01"), ("", None), ("m@1", None)]
)
def test_a_model_or_version_never_heard_of_is_unknown(model: str, version: str | None) -> None:
    with pytest.raises(Problem) as unknown:
        catalog("m@1").find(model, version)
    assert unknown.value.code.value == "unknown_model"


def test_all_versions_are_listed_by_name_and_number() -> None:
    known = catalog("b@2", "a@10", "b@1", "a@9")
    assert [version.contract.key for version in known.all_versions()] == [
        "a@9", "a@10", "b@1", "b@2",
    ]  # fmt: skip


def test_a_model_is_remembered_for_a_while_after_its_last_worker() -> None:
    known = catalog("m@1")
    known.observe(beat(worker="other"), MODEL_REMEMBERED_S)
    assert known.find("m", None).contract.key == "m@1"
    assert not is_served(known, "m@1", MODEL_REMEMBERED_S)


def test_a_model_that_nobody_has_served_for_long_is_unknown() -> None:
    known = catalog("m@1")
    known.forget_stale(MODEL_REMEMBERED_S + 0.1)
    with pytest.raises(Problem):
        known.find("m", None)
    assert known.versions_of("m") == []


def test_a_version_that_is_gone_gives_its_place_to_the_next() -> None:
    known = catalog("m@1", "m@2")
    for second in range(100):
        known.observe(beat("m@1"), float(second))
    known.forget_stale(99.0)
    assert known.find("m", None).contract.version == "1"


def test_a_heartbeat_asks_for_contracts_that_are_not_known() -> None:
    known = catalog("m@1")
    wanted = known.observe(beat("m@1", "m@2"), 0.1)
    assert [model.model_key for model in wanted] == ["m@2"]


def test_a_heartbeat_asks_again_for_a_contract_that_has_changed() -> None:
    known = catalog("m@1")
    wanted = known.observe(beat("m@1", digest="another"), 0.1)
    assert [model.contract_digest for model in wanted] == ["another"]


def test_a_contract_learned_again_replaces_the_first() -> None:
    known = catalog("m@1")
    known.learn(contract("m@1"), "another", 0.1)
    assert known.find("m", None).digest == "another"


def test_capacity_is_that_of_the_workers_that_serve_now() -> None:
    known = catalog("m@1")
    known.observe(beat("m@1", worker="second"), 0.5)
    known.observe(beat("other@1", worker="third"), 0.5)
    now = known.capacity("m@1", 0.5)
    later = known.capacity("m@1", 1.25)
    assert now is not None
    assert later is not None
    assert (len(now.workers), later.workers) == (2, {"second"})


def test_capacity_goes_by_the_slowest_worker() -> None:
    known = catalog("m@1")
    slow = ServiceReport(fixed_s=1.0, per_row_s=0.5, jitter=0.25, batch_rows=2, online_rows=2)
    known.observe(beat("m@1", worker="slow", service=slow), 0.0)
    capacity = known.capacity("m@1", 0.0)
    assert capacity is not None
    assert (capacity.batch_rows, capacity.service.batch_s(2)) == (2, 2.0)


def test_capacity_takes_the_smallest_batch_and_the_worker_that_is_slowest_at_it() -> None:
    known = catalog("m@1")
    large = ServiceReport(fixed_s=0.02, per_row_s=0.001, jitter=0.05, batch_rows=64, online_rows=60)
    known.observe(beat("m@1", worker="large", service=large), 0.0)
    capacity = known.capacity("m@1", 0.0)
    assert capacity is not None
    slowest_s = max(0.01 + 0.01 * 8, 0.02 + 0.001 * 8)
    assert (capacity.batch_rows, capacity.online_rows) == (8, 8)
    assert capacity.service.batch_s(8) == pytest.approx(slowest_s)


def test_frames_for_several_workers_are_small() -> None:
    known = catalog("m@1")
    assert known.capacity("m@1", 0.0) is not None
    alone = known.frame_rows(ONLINE)
    known.observe(beat("m@1", worker="second"), 0.0)
    assert known.capacity("m@1", 0.0) is not None
    assert (alone, known.frame_rows(ONLINE)) == ((8, 8), (8, 1))


def test_capacity_is_shared_with_the_other_gateways() -> None:
    known = catalog("m@1")
    known.set_gateways(3)
    capacity = known.capacity("m@1", 0.0)
    assert capacity is not None
    assert capacity.gateways == 3


def test_a_worker_that_is_heard_again_counts_again() -> None:
    known = catalog("m@1")
    assert known.capacity("m@1", 2.0) is None
    known.observe(beat("m@1"), 2.0)
    assert known.capacity("m@1", 2.0) is not None


def test_a_result_frame_brings_the_newest_times() -> None:
    known = catalog("m@1")
    known.capacity("m@1", 0.0)
    slower = ServiceReport(fixed_s=1.0, per_row_s=0.5, jitter=0.25, batch_rows=2, online_rows=1)
    known.observe_result("w", "m@1", slower, 0.5)
    capacity = known.capacity("m@1", 0.5)
    assert capacity is not None
    assert (capacity.batch_rows, capacity.online_rows) == (2, 1)


def test_a_batch_is_no_larger_than_any_worker_runs() -> None:
    known = catalog("m@1")
    small = ServiceReport(fixed_s=0.01, per_row_s=0.01, jitter=0.05, batch_rows=3, online_rows=3)
    known.observe(beat("m@1", worker="small", service=small), 0.0)
    assert known.frame_rows(ONLINE).request == 3


def test_the_batch_of_a_model_without_workers_is_one_row() -> None:
    assert Catalog(InputLimits()).frame_rows(ONLINE) == (1, 1)


def test_a_worker_counts_once_however_many_models_it_serves() -> None:
    assert catalog("a@1", "b@1").workers_alive(0.0) == 1


def test_workers_are_forgotten_with_their_queue_and_models_are_not() -> None:
    known = catalog("m@1")
    known.forget_workers()
    assert known.workers_alive(0.0) == 0
    assert known.find("m", None).contract.key == "m@1"


def test_a_result_with_the_contracts_outputs_fits() -> None:
    assert catalog("m@1").fits(result(entry(b"A" * 16, 1)))


def test_a_result_with_other_outputs_does_not_fit() -> None:
    assert not catalog("m@1").fits(result(entry(b"A" * 16, 1), name="z"))


def test_a_failure_needs_no_outputs_to_fit() -> None:
    failed = result(entry(b"A" * 16, 1, status=ResultStatus.ROWS_FAILED))
    assert catalog("m@1").fits(failed)


def test_before_any_model_is_known_none_is_said_to_be_unknown() -> None:
    with pytest.raises(Problem) as refused:
        Catalog(InputLimits()).find("m", None)
    assert refused.value.code is ProblemCode.NO_WORKER


@pytest.mark.parametrize(("batch_rows", "request_rows"), [(8, 1), (64, 4), (2_048, 128)])
def test_batch_lane_requests_are_small_enough_to_fill_batches_and_their_frames_large(
    batch_rows: int, request_rows: int
) -> None:
    known = catalog("m@1")
    service = ServiceReport(0.01, 0.01, 0.05, batch_rows=batch_rows, online_rows=batch_rows)
    known.observe(beat("m@1", service=service), 0.0)
    known.capacity("m@1", 0.0)
    assert known.frame_rows(BATCH) == (request_rows, BATCH_FRAME_ROWS)
