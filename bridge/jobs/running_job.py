"""One job in a thread of its own, and how it ends there."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import structlog

from bridge.job_store.errors import ClaimLost, JobCancelled, StorageFull, StoreAway
from bridge.job_store.manifest import JobFault, JobManifest, JobState
from bridge.jobs.errors import (
    BadInput,
    BadResult,
    JobError,
    NoWorker,
    OtherJob,
    OutputFailed,
    QueueAway,
    RunnersLost,
    Stopped,
    TooManyRejected,
)
from bridge.jobs.held_job import HeldJob
from bridge.jobs.shared_lane import SharedLanes
from bridge.jobs.stored_job import JobPlace, StoredJob

CODES: Mapping[type[JobError], str] = {
    BadInput: "bad_input",
    OtherJob: "input_changed",
    TooManyRejected: "too_many_rejected",
    NoWorker: "no_worker",
    QueueAway: "queue_unavailable",
    BadResult: "bad_result",
    OutputFailed: "output_failed",
    RunnersLost: "runner_died",
}
STORAGE_FULL = "storage_full"
INTERNAL = "internal_error"

log = structlog.get_logger(__name__)


class JobStarter:
    """Starts the jobs of one process, which share the batch lanes of their models."""

    def __init__(self, redis_url: str, files: Path | None, spool: Path) -> None:
        """`files`: the folder whose files jobs may name; `spool`: this process's own."""
        self._redis_url = redis_url
        self._files = files
        self._spool = spool
        self._lanes = SharedLanes()

    def prepare(self) -> None:
        """Do nothing: everything is loaded."""

    def start(
        self,
        manifest: JobManifest,
        held: HeldJob,
        stopping: threading.Event,
        on_end: Callable[[], None],
    ) -> RunningJob:
        """Start a job that was claimed; `on_end` is called, in its thread, when it has ended."""
        folder = self._spool / f"{manifest.id}-{manifest.attempts}"
        place = JobPlace(folder, self._files)
        job = StoredJob(manifest, held, place, self._redis_url, stopping)
        return RunningJob(job, held, manifest.tenant, stopping, self._lanes, on_end)


class RunningJob:
    """Starts at once. The methods are the runner's; the job's own thread runs `_run`."""

    def __init__(
        self,
        job: StoredJob,
        held: HeldJob,
        tenant: str,
        stopping: threading.Event,
        lanes: SharedLanes,
        on_end: Callable[[], None],
    ) -> None:
        """For `JobStarter`."""
        self.tenant = tenant
        self.began_s = time.monotonic()
        self._job = job
        self._held = held
        self._stopping = stopping
        self._is_cancelled = threading.Event()
        self._lanes = lanes
        self._on_end = on_end
        self._has_ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"job {held.job}")
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether it still works on the job."""
        return not self._has_ended.is_set()

    @property
    def is_put_down(self) -> bool:
        """Whether it has been told to stop."""
        return self._stopping.is_set()

    def put_down(self) -> None:
        """Let another turn, or another runner, go on with it."""
        self._stopping.set()
        self._job.nudge()

    def cancel(self) -> None:
        """Nobody wants it any more."""
        self._is_cancelled.set()
        self.put_down()

    def renew(self, lease_ms: int) -> None:
        """Hold it for so much longer; without a store it is held as long as the store thinks."""
        try:
            self._held.renew(lease_ms)
        except JobCancelled:
            self.cancel()
        except ClaimLost:
            self.put_down()
        except StoreAway as error:
            log.warning("lease_not_renewed", job=self._held.job, reason=str(error))

    def join(self) -> None:
        """Return when the thread has ended."""
        self._thread.join()

    def _run(self) -> None:
        try:
            self._end()
        except (ClaimLost, JobError) as error:
            # It ended while its end was being stored.
            log.info("job_left", job=self._held.job, reason=str(error))
        finally:
            self._job.close()
            self._has_ended.set()
            self._on_end()

    def _end(self) -> None:
        """Run it, and say in the store how that ended."""
        name = self._held.job
        try:
            dead_rows = self._job.run(self._lanes)
        except Stopped:
            self._stopped()
        except JobCancelled:
            self._job.withdraw()
            log.info("job_cancelled", job=name)
        except ClaimLost as error:
            log.warning("job_lost", job=name, reason=str(error))
        except (JobError, StorageFull) as error:
            self._fail(
                STORAGE_FULL if isinstance(error, StorageFull) else CODES[type(error)], error
            )
        except Exception:
            # A job that brings our own code down must not do so again and again.
            log.exception("job_broke", job=name)
            self._fail(INTERNAL, "an error in Batchbridge; its log says more")
        else:
            self._held.finish(JobState.FINISHED, dead_rows=dead_rows)
            log.info("job_finished", job=name)

    def _stopped(self) -> None:
        if self._is_cancelled.is_set():
            self._job.withdraw()
            log.info("job_cancelled", job=self._held.job)
        else:
            self._held.release()

    def _fail(self, code: str, reason: object) -> None:
        message = self._job.public(reason)
        # The results of a job whose retry fails come out of its progress when it is retried again.
        self._held.finish(
            JobState.FAILED, error=JobFault(code, message), dead_rows=self._job.dead_rows_before
        )
        log.info("job_failed", job=self._held.job, code=code, reason=message)
        self._job.withdraw()
