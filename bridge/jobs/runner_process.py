"""The `job-runner` process: a runner, its folder, and its end on SIGTERM."""

from __future__ import annotations

import secrets
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

import structlog

from bridge.job_store.bounds import StoreBounds
from bridge.job_store.manifest import JobManifest
from bridge.job_store.store import JobStore
from bridge.jobs.held_job import HeldJob
from bridge.jobs.runner import JOBS_AT_ONCE, LEASE_S, JobRunner, RunnerSettings, Starter
from bridge.jobs.spool import spool_folder

if TYPE_CHECKING:
    from bridge.jobs.running_job import RunningJob

RUNNER_ID_BYTES = 6
# Each has a connection of the store's pool to itself, which holds 64.
JOBS_AT_ONCE_MAX = 48
LEASE_S_MIN = 1.0
LEASE_S_MAX = 600.0

log = structlog.get_logger(__name__)


class RunnerSettingsError(Exception):
    """A setting that cannot be used; the message names it and what was expected."""


class RunnerFailedError(Exception):
    """The runner's loop ended with an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerOptions:
    """The command's words. `spool` None: the system's place for temporary files."""

    redis_url: str
    bounds: StoreBounds
    files: Path | None = None
    spool: Path | None = None
    jobs_at_once: int = JOBS_AT_ONCE
    lease_s: float = LEASE_S

    def __post_init__(self) -> None:
        """Check each setting.

        Raises:
            RunnerSettingsError: naming the setting.
        """
        if self.files is not None and not self.files.is_dir():
            raise RunnerSettingsError(f"job-files: {self.files} is not a folder")
        if not 1 <= self.jobs_at_once <= JOBS_AT_ONCE_MAX:
            raise RunnerSettingsError(
                f"jobs-at-once: {self.jobs_at_once} is not between 1 and {JOBS_AT_ONCE_MAX}"
            )
        if not LEASE_S_MIN <= self.lease_s <= LEASE_S_MAX:
            raise RunnerSettingsError(
                f"job-lease-s: {self.lease_s:g} is not between {LEASE_S_MIN:g} and {LEASE_S_MAX:g}"
            )


def run_job_runner(options: RunnerOptions, on_ready: Callable[[], None]) -> None:
    """Run jobs until SIGTERM or SIGINT; put those under way down for another runner.

    `on_ready` is called once. On the main thread, for its signals.

    Raises:
        RunnerSettingsError: the folder for the inputs cannot be made.
        RunnerFailedError: the loop ended with an error.
    """
    # Signal handlers may run while a thread holds a lock; putting into this takes none.
    ends: SimpleQueue[BaseException | None] = SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ends.put(None))
    name = secrets.token_hex(RUNNER_ID_BYTES)
    store = JobStore(options.redis_url, options.bounds)
    try:
        with spool_folder(options.spool) as spool:
            settings = RunnerSettings(jobs_at_once=options.jobs_at_once, lease_s=options.lease_s)
            starter = _LateStarter(options, spool)
            _run(JobRunner(settings, store, name, starter), ends, on_ready)
    except OSError as error:
        raise RunnerSettingsError(f"job-spool: {error}") from error
    finally:
        store.close()
    log.info("stopped", runner=name)


class _LateStarter:
    """Starts jobs; pyarrow, which takes memory and time, is loaded before the first one only."""

    def __init__(self, options: RunnerOptions, spool: Path) -> None:
        self._options = options
        self._spool = spool
        self._starter: Starter | None = None

    def prepare(self) -> None:
        self._loaded()

    def start(
        self,
        manifest: JobManifest,
        held: HeldJob,
        stopping: threading.Event,
        on_end: Callable[[], None],
    ) -> RunningJob:
        return self._loaded().start(manifest, held, stopping, on_end)

    def _loaded(self) -> Starter:
        if self._starter is None:
            from bridge.jobs.running_job import JobStarter  # noqa: PLC0415 - see above

            options = self._options
            self._starter = JobStarter(options.redis_url, options.files, self._spool)
        return self._starter


def _run(
    runner: JobRunner, ends: SimpleQueue[BaseException | None], on_ready: Callable[[], None]
) -> None:
    def guarded() -> None:
        try:
            runner.run()
        except BaseException as error:
            log.exception("runner_failed")
            ends.put(error)

    thread = threading.Thread(target=guarded, name="runner")
    thread.start()
    on_ready()
    error = ends.get()
    runner.stop()
    thread.join()
    if error is not None:
        raise RunnerFailedError(repr(error)) from error
