"""`batchbridge serve`: the queue, gateways and workers of one machine, started by one command."""

from __future__ import annotations

import asyncio
import shlex
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from bridge.child_process import ChildSpec
from bridge.contract.repository import RepositoryError, VersionFolder, scan
from bridge.cores import usable_cores
from bridge.embedded_queue import EmbeddedQueueSettings, embedded_queue_plan
from bridge.job_store.options import JobOptions
from bridge.queue_server import QueueUnavailable
from bridge.supervisor import Supervisor

GATEWAYS_MAX = 64
WORKERS_MAX = 256
EXIT_CONFIGURATION = 2
EXAMPLE_FILE = "example.json"
_STOP_GATEWAYS = 1
_STOP_WORKERS = 2


class SettingsError(Exception):
    """A setting that cannot be used; the message names it and what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings:
    """What to serve and where; `redis_url` empty means an embedded queue.

    `queue_folder`: where that keeps its data over the end of `serve`, None for nowhere.
    """

    models: Path
    host: str
    port: int
    gateways: int
    workers: int
    threads: int
    redis_url: str
    allow_open_redis: bool
    batch_fill: float = 1.0
    batch_floor: float = 0.02
    jobs: JobOptions = field(default_factory=JobOptions)
    queue_folder: Path | None = None
    jobs_at_once: int = 8
    job_spool: str = ""

    def __post_init__(self) -> None:
        """Check each setting.

        Raises:
            SettingsError: naming the setting.
        """
        if not self.models.is_dir():
            raise SettingsError(f"models: {self.models} is not a folder")
        if not 1 <= self.gateways <= GATEWAYS_MAX:
            raise SettingsError(f"gateways: {self.gateways} is not between 1 and {GATEWAYS_MAX}")
        if not 1 <= self.workers <= WORKERS_MAX:
            raise SettingsError(f"workers: {self.workers} is not between 1 and {WORKERS_MAX}")
        if not 1 <= self.port <= 65_535:
            raise SettingsError(f"port: {self.port} is not between 1 and 65535")
        if self.threads < 0:
            raise SettingsError(f"threads: {self.threads} is below 0")
        if not 0 < self.batch_fill <= 1:
            raise SettingsError(f"batch-fill: {self.batch_fill} is not above 0 and at most 1")
        if not 0 <= self.batch_floor < 1:
            raise SettingsError(f"batch-floor: {self.batch_floor} is not from 0 to below 1")
        if not self.host:
            raise SettingsError("host: is empty")

    def lane_words(self) -> list[str]:
        """Return the workers' options on what the batch lane gets."""
        return ["--batch-fill", str(self.batch_fill), "--batch-floor", str(self.batch_floor)]

    def threads_per_worker(self) -> int:
        """Return ONNX Runtime's threads: the cores that gateways leave, shared by the workers."""
        return self.threads or max(1, (usable_cores() - self.gateways) // self.workers)


def serve(settings: ServeSettings, environment: Mapping[str, str]) -> int:
    """Run until SIGTERM, SIGINT or a configuration error; return the exit code."""
    try:
        folders = scan(settings.models)
    except RepositoryError as error:
        sys.stderr.write(f"batchbridge: {error}\n")
        return EXIT_CONFIGURATION
    with ExitStack() as stack:
        children = []
        url = settings.redis_url
        if not url:
            try:
                queue = stack.enter_context(
                    embedded_queue_plan(
                        EmbeddedQueueSettings(
                            env=environment,
                            data_directory=settings.queue_folder,
                            is_durable=settings.jobs.storage_mb != "0",
                        )
                    )
                )
            except QueueUnavailable as error:
                sys.stderr.write(f"batchbridge: {error}\n")
                return EXIT_CONFIGURATION
            url = queue.url
            children.append(queue.child)
        metrics_dir = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="batchbridge-metrics-")
        )
        shared = {
            **environment,
            "BATCHBRIDGE_REDIS": url,
            "BATCHBRIDGE_ALLOW_OPEN_REDIS": "1" if settings.allow_open_redis else "",
            "PROMETHEUS_MULTIPROC_DIR": metrics_dir,
        }
        children += _gateways(settings, shared) + _workers(settings, shared)
        children += _job_runners(settings, shared)
        supervisor = Supervisor(
            children,
            log=structlog.get_logger(__name__),
            on_ready=lambda: _say_ready(settings, folders),
        )
        return asyncio.run(supervisor.run())


def _gateways(settings: ServeSettings, environment: Mapping[str, str]) -> list[ChildSpec]:
    words = ["gateway", "--host", settings.host, "--port", str(settings.port)]
    words += settings.jobs.words()
    if settings.gateways > 1:
        words.append("--share-port")
    return [
        _child(f"gateway-{number}", words, environment, _STOP_GATEWAYS)
        for number in range(settings.gateways)
    ]


def _workers(settings: ServeSettings, environment: Mapping[str, str]) -> list[ChildSpec]:
    threads = str(settings.threads_per_worker())
    words = ["worker", "--models", str(settings.models), "--threads", threads]
    words += settings.lane_words()
    return [
        _child(f"worker-{number}", words, environment, _STOP_WORKERS)
        for number in range(settings.workers)
    ]


def _job_runners(settings: ServeSettings, environment: Mapping[str, str]) -> list[ChildSpec]:
    jobs = settings.jobs
    if jobs.storage_mb == "0":
        return []
    words = ["job-runner", "--job-storage-mb", jobs.storage_mb, "--job-files", jobs.files]
    words += ["--jobs-at-once", str(settings.jobs_at_once), "--job-spool", settings.job_spool]
    return [_child("job-runner", words, environment, _STOP_GATEWAYS)]


def _child(
    name: str, words: list[str], environment: Mapping[str, str], stop_order: int
) -> ChildSpec:
    argv = (sys.executable, "-m", "bridge.cli", *words)
    return ChildSpec(name=name, argv=argv, env=environment, stop_order=stop_order)


def _say_ready(settings: ServeSettings, folders: list[VersionFolder]) -> None:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{host}:{settings.port}"
    names = ", ".join(sorted({folder.model for folder in folders}))
    print(f"Batchbridge is ready at {url}, serving {names}. Try:")
    print(_curl(url, folders), flush=True)


def _curl(url: str, folders: list[VersionFolder]) -> str:
    """A command that works: a prediction where a version has an example, else its metadata."""
    for folder in folders:
        example = folder.path / EXAMPLE_FILE
        if example.is_file():
            return (
                f"curl -s -H 'Content-Type: application/json' -d @{shlex.quote(str(example))} "
                f"{url}/v2/models/{folder.model}/versions/{folder.version}/infer"
            )
    return f"curl -s {url}/v2/models/{folders[0].model}" if folders else f"curl -s {url}/v2"
