"""The `batchbridge` command: the composition root of each process.

Settings come from options, then from environment variables `BATCHBRIDGE_<OPTION>`, then from
defaults. Exit codes: 0 after a clean end, 2 for a setting or a model that cannot be used, 1 for
any other failure.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from bridge.cli_options import build_parser
from bridge.contract.repository import GOLDEN_FILE, VersionFolder
from bridge.cores import gateways_for, usable_cores
from bridge.logs import configure_logs
from bridge.queue_check import UnsafeQueueError, check_queue, without_password
from bridge.readiness import notify_ready, ready_fd

if TYPE_CHECKING:
    from bridge.gateway.jobs.settings import JobSettings
    from bridge.plan.question import MeasuredModel
    from workers.check.command import CheckOptions
    from workers.check.report import Part
    from workers.model import Model

METRICS_DIR_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
EXIT_CONFIGURATION = 2
# One profile may meet a busy moment of the machine: the middle one of so many is used.
PROFILES = 3


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return the exit code."""
    words = sys.argv[1:] if argv is None else list(argv)
    with_options_of_their_own = {
        "loadtest": _loadtest,
        "check": _check,
        "record": _record,
        "jobs": _jobs,
        "describe": _describe,
        "synthesize": _synthesize,
    }
    if words and words[0] in with_options_of_their_own:
        return with_options_of_their_own[words[0]](words[1:])
    options = build_parser(os.environ).parse_args(words)
    configure_logs(options.command)
    # Until a command has put its own in place: there is nothing to drain yet.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    commands = {
        "serve": _serve,
        "gateway": _gateway,
        "worker": _worker,
        "job-runner": _job_runner,
        "plan": _plan,
        "score": _score,
    }
    return commands[options.command](options)


def _serve(options: argparse.Namespace) -> int:
    from bridge.job_store.options import JobOptions
    from bridge.serve import ServeSettings, serve
    from bridge.serve import SettingsError as ServeError

    try:
        settings = ServeSettings(
            models=options.models,
            host=options.host,
            port=options.port,
            gateways=options.gateways or gateways_for(usable_cores()),
            workers=options.workers,
            threads=options.threads,
            batch_fill=options.batch_fill,
            batch_floor=options.batch_floor,
            redis_url=options.redis,
            allow_open_redis=options.allow_open_redis,
            jobs=JobOptions.of(options),
            jobs_at_once=options.jobs_at_once,
            job_spool=options.job_spool,
            queue_folder=Path(options.queue_folder) if options.queue_folder else None,
        )
    except ServeError as error:
        return _refused(error)
    return serve(settings, dict(os.environ))


def _gateway(options: argparse.Namespace) -> int:
    if not _queue_is_fit(options):
        return EXIT_CONFIGURATION
    # Imported only now: prometheus_client chooses its mode when it is imported.
    import uvloop

    from bridge.gateway.jobs.settings import JobSettingsError
    from bridge.gateway.process import run_gateway
    from bridge.gateway.settings import GatewaySettings, SettingsError
    from bridge.gateway.webhooks.settings import WebhookSettingsError

    try:
        jobs = _job_settings(options)
        settings = GatewaySettings(
            host=options.host,
            port=options.port,
            redis_url=options.redis,
            is_port_shared=options.share_port,
            metrics_dir=os.environ.get(METRICS_DIR_VARIABLE),
            has_express_lane=not options.no_express,
            jobs=jobs,
        )
    except (SettingsError, JobSettingsError, WebhookSettingsError) as error:
        return _refused(error)
    descriptor = ready_fd(os.environ)

    def on_ready(host: str, port: int) -> None:
        structlog.get_logger(__name__).info("ready", host=host, port=port)
        notify_ready(descriptor)

    try:
        uvloop.run(run_gateway(settings, on_ready))
    except OSError as error:
        return _refused(f"{settings.host}:{settings.port} cannot be listened on: {error.strerror}")
    return 0


def _job_settings(options: argparse.Namespace) -> JobSettings | None:
    """What HTTP jobs may have; None where there are none, or the queue cannot keep them."""
    from bridge.gateway.jobs.settings import JobSettings, JobSettingsError
    from bridge.gateway.webhooks.settings import SECRET_VARIABLE, WebhookSettings
    from bridge.job_store.bounds import STORAGE_AUTO, StoreBounds, storage_bytes
    from bridge.job_store.errors import JobStoreError
    from bridge.job_store.store import JobStore

    try:
        stored_bytes_max = storage_bytes(options.job_storage_mb)
    except ValueError as error:
        raise JobSettingsError(str(error)) from error
    if not stored_bytes_max:
        return None
    settings = JobSettings(
        bounds=StoreBounds(
            stored_bytes_max=stored_bytes_max, jobs_per_tenant_max=options.jobs_per_tenant
        ),
        files=Path(options.job_files) if options.job_files else None,
        kept_hours=options.job_kept_hours,
        webhooks=WebhookSettings.parsed(options.webhook_hosts, os.environ.get(SECRET_VARIABLE, "")),
    )
    store = JobStore(options.redis)
    try:
        store.check_durable()
    except JobStoreError as error:
        if options.job_storage_mb != STORAGE_AUTO:
            raise JobSettingsError(f"job-storage-mb: {error}") from error
        structlog.get_logger(__name__).info("jobs_off", reason=str(error))
        return None
    finally:
        store.close()
    return settings


def _worker(options: argparse.Namespace) -> int:
    if not _queue_is_fit(options):
        return EXIT_CONFIGURATION
    from workers.loading import LoadError
    from workers.process import WorkerFailedError, run_worker
    from workers.settings import SettingsError, WorkerSettings

    descriptor = ready_fd(os.environ)

    def on_ready() -> None:
        structlog.get_logger(__name__).info("ready")
        notify_ready(descriptor)

    try:
        settings = WorkerSettings(
            models=options.models,
            redis_url=options.redis,
            threads=options.threads or usable_cores(),
            batch_fill=options.batch_fill,
            batch_floor=options.batch_floor,
            jobs_only=options.jobs_only,
        )
        run_worker(settings, on_ready)
    except (SettingsError, LoadError) as error:
        return _refused(error)
    except WorkerFailedError:
        return 1
    return 0


def _job_runner(options: argparse.Namespace) -> int:
    if not _queue_is_fit(options):
        return EXIT_CONFIGURATION
    from bridge.job_store.bounds import StoreBounds, storage_bytes
    from bridge.jobs.runner_process import (
        RunnerFailedError,
        RunnerOptions,
        RunnerSettingsError,
        run_job_runner,
    )

    descriptor = ready_fd(os.environ)

    def on_ready() -> None:
        structlog.get_logger(__name__).info("ready")
        notify_ready(descriptor)

    try:
        stored_bytes_max = storage_bytes(options.job_storage_mb)
    except ValueError as error:
        return _refused(error)
    try:
        runner = RunnerOptions(
            redis_url=options.redis,
            bounds=StoreBounds(stored_bytes_max=stored_bytes_max),
            files=Path(options.job_files) if options.job_files else None,
            spool=Path(options.job_spool) if options.job_spool else None,
            jobs_at_once=options.jobs_at_once,
            lease_s=options.job_lease_s,
        )
        run_job_runner(runner, on_ready)
    except RunnerSettingsError as error:
        return _refused(error)
    except RunnerFailedError:
        return 1
    return 0


def _plan(options: argparse.Namespace) -> int:
    from bridge.plan.command import PlanOptions, run_plan

    return run_plan(
        PlanOptions(
            model=options.model,
            rate=options.rate,
            cv=options.cv,
            latency_target_ms=options.latency_target_ms,
            batch_rows_per_hour=options.batch_rows_per_hour,
            workers_max=options.workers_max,
            models=options.models,
            url=options.url,
            threads=options.threads,
            cores=usable_cores(),
            json=options.json,
            verify=options.verify,
            seconds=options.seconds,
        ),
        _profile,
    )


def _score(options: argparse.Namespace) -> int:
    if options.redis and not _queue_is_fit(options):
        return EXIT_CONFIGURATION
    from bridge.jobs.command import ScoreOptions, run_score

    return run_score(
        ScoreOptions(
            model=options.model,
            input=options.input,
            output=options.output,
            key=options.key,
            columns=options.columns,
            redis_url=options.redis,
            models=options.models,
            workers=options.workers or max(1, usable_cores() - 1),
            threads=options.threads,
            max_rejected=options.max_rejected,
            chunk_rows=options.chunk_rows,
            restart=options.restart,
        ),
        os.environ,
    )


def _profile(models: Path, threads: int) -> MeasuredModel:
    """Load the only model under `models` as a worker would, and return what its profile says."""
    from bridge.plan.errors import PlanError
    from bridge.plan.question import MeasuredModel
    from workers.loading import LoadError, load_models

    try:
        loaded = [load_models(models, threads)[0] for _ in range(PROFILES)]
    except LoadError as error:
        raise PlanError(f"MODEL: {error}") from error
    if not loaded[0].has_answered:
        raise PlanError("MODEL: it does not answer made-up rows, so it cannot be timed here")
    services = [one.fit.rehearsed() for one in loaded]
    rows = loaded[0].bounds.rows(services[0])
    contract = loaded[0].model.contract
    return MeasuredModel(
        name=contract.name,
        version=contract.version,
        service=sorted(services, key=lambda service: service.typical_s(rows))[PROFILES // 2],
        target_s=contract.serving.latency_target_s,
        rows_cap=loaded[0].model.rows_max,
        source=f"profiled on this machine with {threads} ONNX Runtime threads",
    )


def _check(words: Sequence[str]) -> int:
    from bridge.check.options import parsed_options
    from bridge.jobs.errors import JobError
    from workers.check.command import ReadRows, run_check

    options = parsed_options(words)
    configure_logs("check")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    read_rows: ReadRows | None = None
    if options.data:  # without a file pyarrow is not needed, and takes long to load
        from bridge.check.reference_rows import reference_rows

        read_rows = reference_rows
    try:
        return run_check(options, read_rows, partial(_further_parts, options))
    except JobError as error:
        return _refused(f"data: {error}")


def _further_parts(
    options: CheckOptions, folder: VersionFolder, model: Model, is_served: bool
) -> tuple[Part, ...]:
    """What more `check` reports of a version; without such files nothing is loaded for it."""
    has_golden = (folder.path / GOLDEN_FILE).exists()
    if model.contract.decision is None and not has_golden and not options.data:
        return ()
    from bridge.check.further_parts import further_parts

    return further_parts(folder, model, options, os.environ, is_served=is_served)


def _record(words: Sequence[str]) -> int:
    from bridge.golden.options import parsed_options
    from bridge.golden.record import run_record

    return run_record(parsed_options(words))


def _describe(words: Sequence[str]) -> int:
    from bridge.describe.command import run_describe
    from bridge.describe.options import parsed_options

    return run_describe(parsed_options(words))


def _synthesize(words: Sequence[str]) -> int:
    from bridge.synthesize.command import run_synthesize
    from bridge.synthesize.options import parsed_options

    return run_synthesize(parsed_options(words))


def _jobs(words: Sequence[str]) -> int:
    from bridge.job_client.command import run_jobs

    return run_jobs(words, os.environ)


def _loadtest(words: Sequence[str]) -> int:
    from loadtest.cli import main as loadtest

    return loadtest(words)


def _queue_is_fit(options: argparse.Namespace) -> bool:
    if not options.redis:
        _refused("redis: give the queue's URL with --redis or BATCHBRIDGE_REDIS")
        return False
    try:
        warnings = check_queue(options.redis, allow_open=options.allow_open_redis)
    except UnsafeQueueError as error:
        _refused(error)
        return False
    log = structlog.get_logger(__name__)
    for warning in warnings:
        log.warning("queue_warning", text=warning, url=without_password(options.redis))
    return True


def _refused(reason: object) -> int:
    """Say what is wrong, for a person, and return the exit code."""
    sys.stderr.write(f"batchbridge: {reason}\n")
    return EXIT_CONFIGURATION


if __name__ == "__main__":
    sys.exit(main())
