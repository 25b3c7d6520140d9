"""The loop that is the worker: take a batch, run it, hand its results to the writer."""

from __future__ import annotations

import time
from collections.abc import Mapping

import structlog

from bridge.scheduling.batch_size import batch_rows
from bridge.scheduling.service_time import ServiceTime
from bridge.wire.clock import MICROSECONDS, ServerClock
from bridge.wire.frame import BatchReport, ResultStatus, ServiceReport
from workers.hand import Batch, Hand, Pace, Slice
from workers.isolation import Run, run_isolated
from workers.loading import LoadedModel
from workers.reader import Reader
from workers.replies import result_frames
from workers.writer import Finished, Writer

log = structlog.get_logger(__name__)

OVERHEAD_S = 0.004
REFIT_EVERY_S = 0.1


class ServedVersion:
    """A loaded model with its current model of time; the runner's thread changes it."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.model = loaded.model
        self._fit = loaded.fit
        self._refit_s = 0.0
        self.has_answered = loaded.has_answered
        self.service, self.report = self._estimate()

    @property
    def pace(self) -> Pace:
        """What batch formation needs."""
        service = self.service
        return Pace(self.report.batch_rows, lambda rows: service.batch_s(rows) * MICROSECONDS)

    def observe(self, rows: int, seconds: float, now_s: float) -> bool:
        """Take in a run; return whether the model of time was fitted anew."""
        self._fit.observe(rows, seconds)
        if now_s - self._refit_s < REFIT_EVERY_S:
            return False
        self._refit_s = now_s
        self.service, self.report = self._estimate()
        return True

    def _estimate(self) -> tuple[ServiceTime, ServiceReport]:
        service = self._fit.estimate()
        serving = self.model.contract.serving
        cap = serving.max_batch_rows
        if self.model.fixed_rows is not None:
            cap = min(cap or self.model.fixed_rows, self.model.fixed_rows)
        rows = batch_rows(service, serving.latency_target_s, OVERHEAD_S, cap)
        return service, ServiceReport(
            service.fixed_s, service.per_row_s, service.jitter, rows, rows
        )


class Runner:
    """One thread: runs batches, one at a time, until the hand is closed and empty."""

    def __init__(
        self,
        worker: str,
        versions: Mapping[str, ServedVersion],
        hand: Hand,
        reader: Reader,
        writer: Writer,
        clock: ServerClock,
    ) -> None:
        self._worker = worker
        self._versions = versions
        self._hand = hand
        self._reader = reader
        self._writer = writer
        self._clock = clock
        self.progress = 0
        self._began_s: float | None = None

    def stalled_s(self) -> float:
        """Return how long the present run has lasted, 0 between runs; for other threads."""
        began_s = self._began_s
        return 0.0 if began_s is None else max(0.0, time.monotonic() - began_s)

    def run(self) -> None:
        """Take, run, reply, until there is nothing left to do."""
        while (batch := self._hand.take(self._now)) is not None:
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
            self._writer.put(Finished([], self._acknowledged(batch.cancelled)))

    def _run(self, batch: Batch) -> None:
        version = self._versions[batch.model_key]
        started_s = time.monotonic()
        self._began_s = started_s
        runs = list(run_isolated(version.model, batch.slices, self._is_late))
        self._began_s = None
        run_s = time.monotonic() - started_s
        if len(runs) == 1 and runs[0].status is ResultStatus.OK:
            version.has_answered = True
            if version.observe(batch.rows, run_s, started_s):
                self._hand.set_pace(batch.model_key, version.pace)
        else:
            runs = [self._judged(version, run) for run in runs]
        self._reply(batch.model_key, runs, run_s)

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
        if run.status is ResultStatus.ROWS_FAILED and not version.has_answered:
            return Run(run.slices, ResultStatus.MODEL_FAILED, {}, run.reason)
        return run

    def _reply(self, model_key: str, runs: list[Run], run_s: float) -> None:
        version = self._versions[model_key]
        began_us = self._clock.server_us(time.monotonic() - run_s)
        rows = sum(piece.entry.rows for run in runs for piece in run.slices)
        for index, run in enumerate(runs):
            report = BatchReport(rows, int(run_s * MICROSECONDS), run_s > 0 and index == 0)
            frames = result_frames(self._worker, model_key, run, report, version.report, began_us)
            self._writer.put(Finished(frames, self._acknowledged(run.slices)))

    def _acknowledged(self, slices: list[Slice]) -> list[tuple[str, bytes]]:
        taken = [self._hand.finish(piece) for piece in slices]
        return [(frame.model_key, frame.entry_id) for frame in taken if frame is not None]

    def _is_late(self, piece: Slice) -> bool:
        return piece.entry.deadline_us <= self._clock.server_us(time.monotonic())
