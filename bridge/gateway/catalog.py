"""The models that this gateway knows, learned from what workers publish; it holds no files."""

from __future__ import annotations

from dataclasses import dataclass, field

from bridge.contract.model import ModelContract
from bridge.contract.units import Units
from bridge.gateway.dialects.call import InputLimits
from bridge.gateway.dialects.door import Door
from bridge.gateway.framer import FrameRows
from bridge.gateway.problem import Problem, ProblemCode, no_worker
from bridge.scheduling.forecast import Capacity
from bridge.scheduling.lanes import ModelLane, request_rows
from bridge.scheduling.service_time import ServiceTime
from bridge.wire.frame import (
    Heartbeat,
    ResultFrame,
    ResultStatus,
    ServedModel,
    ServiceReport,
)

# A worker beats about three times a second and every result frame counts as a beat.
WORKER_SILENT_S_MAX = 1.0
# A worker whose run lasts longer than this, and than STALL_RUNS full batches, has stalled.
STALLED_S_MIN = 3.0
STALL_RUNS = 3.0
# What one worker takes of the batch lane at a time: as many as a job's chunk has by default.
BATCH_FRAME_ROWS = 1_024
# For so long after its last worker a model is known, and 503; then it is unknown, and 404.
MODEL_REMEMBERED_S = 60.0


@dataclass(slots=True)
class WorkerView:
    """What this gateway knows of one worker: when it was heard last and what it serves."""

    heard_s: float
    stalled_s: float = 0.0
    leaving: bool = False
    services: dict[str, ServiceReport] = field(default_factory=dict)

    def is_alive(self, now_s: float) -> bool:
        """Return whether work sent now would be taken."""
        return not self.leaving and now_s - self.heard_s <= WORKER_SILENT_S_MAX

    def serves(self, model_key: str, now_s: float) -> bool:
        """Return whether the worker is alive, serves the version and makes progress."""
        service = self.services.get(model_key)
        if service is None or not self.is_alive(now_s):
            return False
        return self.stalled_s <= max(
            STALLED_S_MIN, STALL_RUNS * _time_of(service).batch_s(service.batch_rows)
        )


@dataclass(slots=True)
class ModelVersion:
    """One model version: its contract, compiled into a door."""

    contract: ModelContract
    digest: str
    door: Door
    served_s: float = 0.0


class Catalog:
    """Workers and model versions, by what was heard and when.

    Time is passed in: seconds on the gateway's monotonic clock.
    """

    def __init__(self, limits: InputLimits) -> None:
        self._limits = limits
        self.units = Units()
        self._workers: dict[str, WorkerView] = {}
        self._versions: dict[str, ModelVersion] = {}
        self._by_model: dict[str, list[str]] = {}
        # What serves a model version, and until when that is sure unless something is heard.
        self._capacities: dict[str, tuple[Capacity | None, float]] = {}
        self._gateways = 1
        self._has_learned = False

    def observe(self, heartbeat: Heartbeat, now_s: float) -> list[ServedModel]:
        """Take in a heartbeat; return the models whose contract is unknown or has changed."""
        self._capacities.clear()
        services = {model.model_key: model.service for model in heartbeat.models}
        self._workers[heartbeat.worker] = WorkerView(
            now_s, heartbeat.stalled_s, heartbeat.leaving, services
        )
        unknown = []
        for model in heartbeat.models:
            version = self._versions.get(model.model_key)
            if version is None or version.digest != model.contract_digest:
                unknown.append(model)
            else:
                version.served_s = now_s
        return unknown

    def observe_result(
        self, worker: str, model_key: str, service: ServiceReport, now_s: float
    ) -> None:
        """Take in the model of time that came with a result frame."""
        view = self._workers.get(worker)
        if view is None:
            return
        if not view.serves(model_key, now_s) or view.services[model_key] != service:
            self._capacities.pop(model_key, None)
        view.heard_s = now_s
        view.stalled_s = 0.0
        view.services[model_key] = service

    def fits(self, frame: ResultFrame) -> bool:
        """Return whether a result's tensors are the outputs that the contract names, in order.

        Row shapes are the model's own business: a graph may declare them wrongly, or not at all.
        """
        version = self._versions.get(frame.model_key)
        if version is None or all(entry.status is not ResultStatus.OK for entry in frame.results):
            return True
        named = [(spec.name, spec.datatype) for spec in version.contract.outputs]
        return named == [(tensor.name, tensor.datatype) for tensor in frame.tensors]

    def learn(self, contract: ModelContract, digest: str, now_s: float) -> None:
        """Add or replace a model version; requests in flight keep their permits."""
        self._has_learned = True
        door = Door(contract, self._limits, self.units)
        self._versions[contract.key] = ModelVersion(contract, digest, door, served_s=now_s)
        self._capacities.pop(contract.key, None)
        self._index()

    def find(self, model: str, version: str | None) -> ModelVersion:
        """Return a model's version, the highest that is known by default.

        Raises:
            Problem: `unknown_model`; `no_worker` as long as no worker was ever heard of, for then
                the model may well be served.
        """
        if version is None:
            keys = self._by_model.get(model)
            found = self._versions[keys[-1]] if keys else None
        else:
            found = self._versions.get(f"{model}@{version}")
        if found is None and not self._has_learned:
            raise no_worker()
        if found is None:
            raise Problem(ProblemCode.UNKNOWN_MODEL, "Request for unknown model or version")
        return found

    def versions_of(self, model: str) -> list[str]:
        """Return the known versions of a model, lowest first."""
        return [key.rpartition("@")[2] for key in self._by_model.get(model, [])]

    def all_versions(self) -> list[ModelVersion]:
        """Return every known model version, by name, then version."""
        return [self._versions[key] for keys in self._by_model.values() for key in keys]

    def set_gateways(self, count: int) -> None:
        """Share the capacity among so many gateways."""
        if count != self._gateways:
            self._gateways = count
            self._capacities.clear()

    def capacity(self, model_key: str, now_s: float) -> Capacity | None:
        """Return what serves a model version now, None if nothing does."""
        known = self._capacities.get(model_key)
        if known is not None and now_s <= known[1]:
            return known[0]
        serving = {
            name: view for name, view in self._workers.items() if view.serves(model_key, now_s)
        }
        heard_s = min((view.heard_s for view in serving.values()), default=now_s)
        capacity = self._capacity(model_key, serving) if serving else None
        self._capacities[model_key] = (capacity, heard_s + WORKER_SILENT_S_MAX)
        return capacity

    def _capacity(self, model_key: str, serving: dict[str, WorkerView]) -> Capacity | None:
        version = self._versions.get(model_key)
        if version is None:
            return None
        services = [view.services[model_key] for view in serving.values()]
        batch_rows = min(service.batch_rows for service in services)
        slowest = max(services, key=lambda service: _time_of(service).batch_s(batch_rows))
        return Capacity(
            workers=frozenset(serving),
            # What each worker can be counted on for: a request may come to any of them.
            batch_rows=batch_rows,
            online_rows=min(batch_rows, *(service.online_rows for service in services)),
            service=_time_of(slowest),
            target_s=version.contract.serving.latency_target_s,
            gateways=self._gateways,
        )

    def keeps_target(self, model_key: str) -> bool:
        """Return whether any batch size lets the version's workers keep its latency target."""
        return all(
            view.services[model_key].keeps_target
            for view in self._workers.values()
            if model_key in view.services
        )

    def frame_rows(self, lane: ModelLane) -> FrameRows:
        """Return how large the requests and frames of a model version's lane may be.

        Online no larger than the batch of any worker heard of; for several workers see
        `Capacity.frame_rows`. In the batch lane workers look at requests, not at frames.
        """
        online = self._online_frame_rows(lane.model_key)
        if lane.lane == "online":
            return online
        rows = request_rows(online.request)
        return FrameRows(rows, max(rows, BATCH_FRAME_ROWS))

    def _online_frame_rows(self, model_key: str) -> FrameRows:
        known = self._capacities.get(model_key)
        if known is not None and known[0] is not None:
            return FrameRows(known[0].batch_rows, known[0].frame_rows)
        sizes = [
            view.services[model_key].batch_rows
            for view in self._workers.values()
            if model_key in view.services
        ]
        batch_rows = min(sizes, default=1)
        return FrameRows(batch_rows, batch_rows)

    def workers_alive(self, now_s: float) -> int:
        """Return how many workers are alive and make progress on something."""
        return sum(
            any(view.serves(key, now_s) for key in view.services) for view in self._workers.values()
        )

    def forget_workers(self) -> None:
        """Drop everything known of workers: the queue they were heard through is gone."""
        self._workers.clear()
        self._capacities.clear()

    def forget_stale(self, now_s: float) -> None:
        """Drop workers that left or fell silent, and models that nobody has served for long."""
        silent = [
            name
            for name, view in self._workers.items()
            if now_s - view.heard_s > MODEL_REMEMBERED_S or view.leaving
        ]
        for name in silent:
            del self._workers[name]
        gone = [
            key
            for key, version in self._versions.items()
            if now_s - version.served_s > MODEL_REMEMBERED_S
        ]
        for key in gone:
            del self._versions[key]
        if gone:
            self._index()

    def _index(self) -> None:
        self._by_model = {}
        for version in sorted(self._versions.values(), key=_by_name_and_number):
            self._by_model.setdefault(version.contract.name, []).append(version.contract.key)


def _by_name_and_number(version: ModelVersion) -> tuple[str, int]:
    return version.contract.name, int(version.contract.version)


def _time_of(report: ServiceReport) -> ServiceTime:
    return ServiceTime(
        report.fixed_s, report.per_row_s, report.jitter, report.residual, report.typical
    )
