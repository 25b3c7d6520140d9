"""Runs the jobs that came over HTTP: claims those that wait, several at once, and lets none starve.

Any number of runners may work on one queue. A job is somebody's for the length of a lease, which
is renewed here; whatever is written for it is refused when somebody else has it by then.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import structlog

from bridge.job_store.claims import Claims
from bridge.job_store.errors import StorageFull, StoreAway, UnknownJob
from bridge.job_store.manifest import JobManifest
from bridge.job_store.store import JobStore
from bridge.jobs.held_job import RETRY_S_FIRST, RETRY_S_MAX, HeldJob
from bridge.jobs.job_turns import Running, Waiting, next_turn_s, order, to_put_down

if TYPE_CHECKING:
    from bridge.jobs.running_job import RunningJob

JOBS_AT_ONCE = 8
LEASE_S = 10.0
RENEWALS_PER_LEASE = 4
TURN_CHECK_S_MIN = 0.1

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerSettings:
    """`lease_s`: a runner that is silent for so long has lost its jobs."""

    jobs_at_once: int = JOBS_AT_ONCE
    lease_s: float = LEASE_S


class Starter(Protocol):
    """Starts jobs in threads of their own."""

    def prepare(self) -> None:
        """Do what takes long before the first job, so that no lease runs out meanwhile."""

    def start(
        self,
        manifest: JobManifest,
        held: HeldJob,
        stopping: threading.Event,
        on_end: Callable[[], None],
    ) -> RunningJob:
        """Start a job that was claimed; `on_end` is called, in its thread, when it has ended."""


class JobRunner:
    """One process's. `run` in one thread; `stop` from any."""

    def __init__(
        self, settings: RunnerSettings, store: JobStore, name: str, starter: Starter
    ) -> None:
        """`name`: random, of this process alone."""
        self._settings = settings
        self._store = store
        self._claims: Claims = store.claims
        self._name = name
        self._starter = starter
        self._jobs: dict[str, RunningJob] = {}
        self._stopping = threading.Event()
        self._renewed_s = time.monotonic()

    def stop(self) -> None:
        """Let `run` put all jobs down, for another runner to go on, and return."""
        self._stopping.set()
        self._wake()

    def run(self) -> None:
        """Run jobs until stopped; whatever ends it, the jobs are put down."""
        try:
            self._loop()
        finally:
            for job in self._jobs.values():
                job.put_down()
            for job in self._jobs.values():
                job.join()

    def _loop(self) -> None:
        delay_s = RETRY_S_FIRST
        while not self._stopping.is_set():
            try:
                self._step()
                delay_s = RETRY_S_FIRST
            except (StoreAway, StorageFull) as error:
                log.warning("runner_waits_for_the_store", reason=str(error))
                self._stopping.wait(delay_s)
                delay_s = min(RETRY_S_MAX, delay_s * 2)

    def _step(self) -> None:
        """Look what has ended and what waits, then wait for news."""
        self._renew()
        self._jobs = {name: job for name, job in self._jobs.items() if job.is_alive}
        waiting = self._waiting()
        for item in order(waiting, self._running()):
            if len(self._jobs) >= self._settings.jobs_at_once:
                break
            self._take_up(item)
        is_full = len(self._jobs) >= self._settings.jobs_at_once
        left = [item for item in waiting if item.job not in self._jobs] if is_full else []
        self._end_a_turn(left)
        timeout_s = self._settings.lease_s / RENEWALS_PER_LEASE
        if left:
            turn_s = next_turn_s(self._running(), time.monotonic())
            timeout_s = min(timeout_s, max(TURN_CHECK_S_MIN, turn_s))
        wake = self._claims.wait(self._name, None if is_full else "file", timeout_s)
        if wake is not None and wake.is_cancelled and (job := self._jobs.get(wake.job)):
            job.cancel()

    def _waiting(self) -> list[Waiting]:
        found = []
        for job in self._claims.claimable("file"):
            if job in self._jobs:
                continue
            try:
                manifest = self._store.manifest(job)
            except UnknownJob:
                continue  # gone meanwhile
            found.append(Waiting(job, manifest.tenant, manifest.attempts))
        return found

    def _running(self) -> list[Running]:
        return [
            Running(name, job.tenant, job.began_s)
            for name, job in self._jobs.items()
            if not job.is_put_down
        ]

    def _take_up(self, waiting: Waiting) -> None:
        self._starter.prepare()
        try:
            claim = self._claims.claim(waiting.job, self._name, self._lease_ms)
            manifest = self._store.manifest(waiting.job)
        except UnknownJob:
            return
        if claim is None:
            return
        stopping = threading.Event()
        held = HeldJob(self._claims, claim, stopping)
        self._jobs[waiting.job] = self._starter.start(manifest, held, stopping, self._wake)
        log.info("job_taken_up", job=waiting.job, attempt=manifest.attempts)

    def _end_a_turn(self, waiting: list[Waiting]) -> None:
        over = to_put_down(waiting, self._running(), time.monotonic())
        if over is not None:
            log.info("job_put_down", job=over.job, waiting=len(waiting))
            self._jobs[over.job].put_down()

    def _renew(self) -> None:
        now_s = time.monotonic()
        if now_s - self._renewed_s < self._settings.lease_s / RENEWALS_PER_LEASE / 2:
            return
        self._renewed_s = now_s
        for job in self._jobs.values():
            if job.is_alive:
                job.renew(self._lease_ms)

    @property
    def _lease_ms(self) -> int:
        return round(self._settings.lease_s * 1e3)

    def _wake(self) -> None:
        # Without a store `wait` does not wait for long either.
        with contextlib.suppress(StoreAway, StorageFull):
            self._claims.wake(self._name)
