"""The loop that is the worker: take a batch, run it, hand its results to the writer."""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial

import msgspec
import structlog

from bridge.scheduling.batch_choice import BatchBounds, BatchChoice
from bridge.scheduling.forming import Pace
from bridge.scheduling.reported_overhead import ReportedOverhead
from bridge.scheduling.service_time import ServiceTime
from bridge.wire.clock import MICROSECONDS, ServerClock
from bridge.wire.frame import BatchReport, ResultStatus, ServiceReport
from workers.answers import Answers
from workers.hand import Batch, Hand, Slice
from workers.isolation import Run, run_isolated
from workers.loading import OVERHEAD_S, LoadedModel
from workers.reader import Reader
from workers.run_watch import RunWatch, Watched
from workers.tally import Tally

log = structlog.get_logger(__name__)

REFIT_EVERY_S = 0.1
# Of the thread that runs the model. Reading, writing and the other processes of the machine wait
# for it otherwise, each time some milliseconds, when cores are few: with it the model computes
# whenever nobody else has anything to do.
RUNNER_NICE = 5


class ServedVersion:
    """A loaded model with its current model of time; the writer's thread changes that."""

    def __init__(self, loaded: LoadedModel, tightest_target_s: float | None = None) -> None:
        """`tightest_target_s`: the shortest target of the other models that share the worker."""
        self.model = loaded.model
        self._fit = loaded.fit
        self._choice = BatchChoice(_shared(loaded.bounds, tightest_target_s))
        self._refit_s = 0.0
        self.has_answered = loaded.has_answered
        self.service, self.report = self._estimate()
        self._warn()

    @property
    def pace(self) -> Pace:
        """What batch formation needs."""
        service = self.service
        return Pace(
            batch_rows=self.report.batch_rows,
            batch_us=lambda rows: service.batch_s(rows) * MICROSECONDS,
            target_us=self.model.contract.serving.latency_target_s * MICROSECONDS,
            rows_cap=self._choice.bounds.rows_cap or math.inf,
        )

    def set_overhead(self, measured_s: float) -> None:
        """Say what o is, for the next fit."""
        self._choice.bounds = self._choice.bounds.with_overhead(measured_s)

    def observe(self, rows: int, seconds: float, now_s: float) -> bool:
        """Take in a run; return whether the model of time was fitted anew."""
        self._fit.observe(rows, seconds)
        self._choice.observe(rows, seconds)
        if now_s - self._refit_s < REFIT_EVERY_S:
            return False
        self._refit_s = now_s
        followed_fit = self._choice.follows_fit
        self.service, self.report = self._estimate()
        if self._choice.follows_fit is not followed_fit:
            log.info(
                "batch_size_follows",
                model=self.model.contract.key,
                policy="fit" if self._choice.follows_fit else "aimd",
                residual=round(self.service.residual, 3),
            )
        return True

    def _estimate(self) -> tuple[ServiceTime, ServiceReport]:
        service = self._fit.estimate()
        rows = self._choice.choose(service)
        return service, ServiceReport(
            fixed_s=service.fixed_s,
            per_row_s=service.per_row_s,
            jitter=service.jitter,
            batch_rows=rows,
            online_rows=rows,
            residual=service.residual,
            typical=service.typical,
            keeps_target=self._choice.bounds.keeps_target(service),
        )

    def _warn(self) -> None:
        bounds, service = self._choice.bounds, self.service
        if not self.report.keeps_target:
            log.warning(
                "target_cannot_be_kept",
                model=self.model.contract.key,
                target_ms=round(bounds.target_s * 1e3, 1),
                one_row_ms=round(service.batch_s(1) * 1e3, 1),
                possible_target_ms=math.ceil(bounds.shortest_target_s(service) * 1e3),
            )
        elif bounds.delays_others(service):
            log.warning(
                "run_delays_other_models",
                model=self.model.contract.key,
                one_row_ms=round(service.batch_s(1) * 1e3, 1),
                tightest_target_ms=round((bounds.tightest_target_s or 0.0) * 1e3, 1),
            )


def served_versions(loaded: Iterable[LoadedModel]) -> dict[str, ServedVersion]:
    """Return what one worker serves by `model@version`; batches respect the tightest target."""
    items = list(loaded)
    # A target that cannot be kept anyway must not shrink the batches of the others: one of 1 µs
    # made its neighbour ten times slower (measured 2026-11-24).
    kept = [item.bounds for item in items if item.bounds.keeps_target(item.fit.estimate())]
    tightest_s = min((bounds.target_s for bounds in kept), default=None)
    return {item.model.contract.key: ServedVersion(item, tightest_s) for item in items}


def _shared(bounds: BatchBounds, tightest_target_s: float | None) -> BatchBounds:
    if tightest_target_s is None or tightest_target_s >= bounds.target_s:
        return bounds
    return replace(bounds, tightest_target_s=tightest_target_s)


class Runner:
    """One thread: runs batches, one at a time, until the hand is closed and empty."""

    def __init__(
        self,
        versions: Mapping[str, ServedVersion],
        hand: Hand,
        reader: Reader,
        answers: Answers,
        tally: Tally,
        clock: ServerClock,
    ) -> None:
        self._versions = versions
        self._hand = hand
        self._reader = reader
        self._answers = answers
        self._tally = tally
        self._clock = clock
        self._watch = RunWatch()
        # Of the writer's thread, as the versions are.
        self._overhead = ReportedOverhead(OVERHEAD_S)
        self.progress = 0
        self._began_s: float | None = None

    def stalled_s(self) -> float:
        """Return how long the present run has lasted, 0 between runs; for other threads."""
        began_s = self._began_s
        return 0.0 if began_s is None else max(0.0, time.monotonic() - began_s)

    def run(self) -> None:
        """Take, run, reply, until there is nothing left to do."""
        _give_way()
        while (batch := self._hand.take(self._now)) is not None:
            if batch.was_awaited:
                self._watch.rest()
            self._reader.notice_hungry(batch.model_key)
            self._answer_unrun(batch)
            if batch.slices:
                self._run(batch)
            self.progress += 1

    def _now(self) -> tuple[float, int]:
        now_s = time.monotonic()
        return now_s, self._clock.server_us(now_s)

    def _answer_unrun(self, batch: Batch) -> None:
        if batch.expired:
            # Nothing ran, so nothing is counted.
            self._reply(batch.model_key, [Run(batch.expired, ResultStatus.EXPIRED, {})], 0.0)
        if batch.cancelled:
            self._answers.drop(batch.cancelled)

    def _run(self, batch: Batch) -> None:
        version = self._versions[batch.model_key]
        model = Watched(version.model, self._watch)
        started_s = time.monotonic()
        self._began_s = started_s
        runs = list(run_isolated(model, batch.slices, self._is_late))
        self._began_s = None
        run_s = time.monotonic() - started_s
        is_whole = len(runs) == 1 and runs[0].status is ResultStatus.OK
        learn = partial(self._learn, version, batch, run_s) if is_whole else None
        self._reply(batch.model_key, [self._judged(version, run) for run in runs], run_s, learn)
        self._tally.add_run_time(*self._watch.take_us())

    def _learn(self, version: ServedVersion, batch: Batch, run_s: float) -> None:
        now_s, before_s = time.monotonic(), self._overhead.in_use_s
        for taken in {piece.taken for piece in batch.slices}:
            frame = taken.frame
            self._overhead.observe(frame.gateway, frame.overhead_us / MICROSECONDS, now_s)
        if self._overhead.in_use_s != before_s:
            for served in self._versions.values():
                served.set_overhead(self._overhead.in_use_s)
        if version.observe(batch.rows, run_s, now_s):
            self._hand.set_pace(version.model.contract.key, version.pace)

    def _judged(self, version: ServedVersion, run: Run) -> Run:
        """Say whose fault a failure is: the rows', if the model has ever answered others."""
        if run.status is ResultStatus.OK:
            version.has_answered = True
            return run
        log.warning(
            "rows_failed",
            model=version.model.contract.key,
            status=run.status.value,
            requests=[piece.entry.request_id.hex() for piece in run.slices[:8]],
            reason=run.reason[:300],
        )
        if run.outputs:
            version.has_answered = True  # to the other rows of a chunk
        if run.status is ResultStatus.ROWS_FAILED and not version.has_answered:
            return Run(run.slices, ResultStatus.MODEL_FAILED, {}, run.reason)
        return run

    def _reply(
        self,
        model_key: str,
        runs: list[Run],
        run_s: float,
        afterwards: Callable[[], None] | None = None,
    ) -> None:
        report = BatchReport(
            rows=sum(piece.entry.rows for run in runs for piece in run.slices),
            run_us=int(run_s * MICROSECONDS),
            counted_here=run_s > 0,
            ended_us=self._clock.server_us(time.monotonic()),
            waiting_rows=self._hand.rows_next(model_key),
        )
        service = self._service(model_key)
        for run in runs:
            self._answers.give(model_key, run, report, service, afterwards)
            report = msgspec.structs.replace(report, counted_here=False)
            afterwards = None

    def _service(self, model_key: str) -> ServiceReport:
        report = self._versions[model_key].report
        online_rows = min(report.online_rows, self._hand.online_rows(model_key))
        return msgspec.structs.replace(report, online_rows=online_rows)

    def _is_late(self, piece: Slice) -> bool:
        is_online = piece.taken.frame.lane == "online"
        return is_online and piece.entry.deadline_us <= self._clock.server_us(time.monotonic())


def _give_way() -> None:
    """Lower the priority of the calling thread, where threads have one of their own."""
    if sys.platform == "linux":
        nice = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice + RUNNER_NICE)
