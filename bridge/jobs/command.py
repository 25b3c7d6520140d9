"""The `score` subcommand: settings, a queue and workers where none are named, exit codes.

| code | meaning |
|------|---------|
| 0    | every row was scored |
| 1    | the output cannot be written (a full disk, say), or a worker's result did not add up |
| 2    | the file, its columns or a setting do not fit, or another job's progress is there |
| 3    | finished; some rows were rejected, see the rejected file |
| 4    | given up: more rejected rows than `--max-rejected` |
| 75   | queue or workers were away for too long; the same command goes on later |
| 130  | stopped by Ctrl-C or SIGTERM; the same command goes on |
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from bridge.jobs.errors import (
    BadInput,
    BadResult,
    JobError,
    OtherJob,
    OutputFailed,
    QueueAway,
    Stopped,
    TooManyRejected,
)
from bridge.jobs.file_job import FileJob, FileJobSettings, JobSummary
from bridge.jobs.output_file import rejected_path
from bridge.jobs.own_workers import OwnWorkers, own_workers
from bridge.jobs.tables import open_table
from bridge.queue_server import QueueUnavailable

EXIT_SCORED = 0
EXIT_REJECTED = 3
EXIT_STOPPED = 128 + signal.SIGINT
EXIT_CODES: Mapping[type[JobError], int] = {
    OutputFailed: 1,
    BadResult: 1,
    BadInput: 2,
    OtherJob: 2,
    TooManyRejected: 4,
    QueueAway: os.EX_TEMPFAIL,
    Stopped: EXIT_STOPPED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreOptions:
    """The command's words; `redis_url` empty: a queue and workers of its own serve `models`."""

    model: str
    input: Path
    output: Path
    key: str
    columns: list[str]
    redis_url: str
    models: Path
    workers: int
    threads: int
    max_rejected: int | None
    chunk_rows: int
    restart: bool


def run_score(options: ScoreOptions, environment: Mapping[str, str]) -> int:
    """Score as the options say; return the exit code. On the main thread, for its signals."""
    # The bar and the last line are for a person; what goes wrong is logged all the same.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    try:
        settings = _settings(options)
        # Before any process is started for it.
        open_table(settings.input)
        summary = asyncio.run(_scored(options, settings, environment))
    except (JobError, QueueUnavailable) as error:
        sys.stderr.write(f"batchbridge: {error}\n")
        return exit_code(error) if isinstance(error, JobError) else 2
    return _said(summary, options)


def exit_code(error: JobError) -> int:
    """Return the code that tells why a job has not finished."""
    return next(EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES)


def renamed_columns(words: list[str]) -> dict[str, str]:
    """Return what `--columns` says: the model's names and, for each, the file's.

    Raises:
        BadInput: a word that is not NAME=COLUMN, or a name that stands twice.
    """
    renamed: dict[str, str] = {}
    for word in words:
        name, equals, column = word.partition("=")
        if not (name and equals and column):
            raise BadInput(f"--columns: {word!r} is not NAME=COLUMN")
        if name in renamed:
            raise BadInput(f"--columns: {name!r} stands twice")
        renamed[name] = column
    return renamed


def _settings(options: ScoreOptions) -> FileJobSettings:
    if options.workers < 1:
        raise BadInput(f"--workers: {options.workers} is below 0")
    if options.threads < 1:
        raise BadInput(f"--threads: {options.threads} is below 1")
    return FileJobSettings(
        model=options.model,
        input=options.input,
        output=options.output,
        key=options.key or None,
        columns=renamed_columns(options.columns),
        rejected_max=options.max_rejected,
        chunk_rows=options.chunk_rows,
        restart=options.restart,
    )


async def _scored(
    options: ScoreOptions, settings: FileJobSettings, environment: Mapping[str, str]
) -> JobSummary:
    stopping = threading.Event()
    loop = asyncio.get_running_loop()
    main = asyncio.current_task()
    assert main is not None
    is_scoring = False

    def stop() -> None:
        stopping.set()
        if not is_scoring:
            main.cancel()  # workers are starting: there is nothing to keep

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        async with _queue_url(options, environment) as url:
            is_scoring = True
            return await asyncio.to_thread(FileJob(settings, stopping).run, url)
    except asyncio.CancelledError:
        raise Stopped("stopped before it began") from None


@asynccontextmanager
async def _queue_url(options: ScoreOptions, environment: Mapping[str, str]) -> AsyncIterator[str]:
    async with AsyncExitStack() as stack:
        url = options.redis_url
        if not url:
            own = OwnWorkers(
                models=options.models, workers=options.workers, threads=options.threads
            )
            url = await stack.enter_async_context(own_workers(own, environment))
        yield url


def _said(summary: JobSummary, options: ScoreOptions) -> int:
    text = f"{summary.scored_rows:,} rows scored in {summary.seconds:.1f} s"
    if summary.resumed_at:
        text += f", gone on at row {summary.resumed_at:,}"
    if summary.rejected_rows:
        text += f"; {summary.rejected_rows:,} rejected, see {rejected_path(options.output)}"
    with contextlib.suppress(BrokenPipeError):
        print(f"{options.output}: {text}", flush=True)
    return EXIT_REJECTED if summary.rejected_rows else EXIT_SCORED
