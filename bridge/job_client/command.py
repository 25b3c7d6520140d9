"""`batchbridge jobs`: list, show, cancel, retry-dead, submit, results, rejected.

| code | meaning |
|------|---------|
| 0    | done |
| 1    | the server refuses, or a file cannot be used |
| 2    | the options cannot be understood |
| 75   | the server cannot be reached, or cannot take it now; the same command goes on later |
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence

import msgspec

from bridge.job_client.errors import JobCommandError, Refused, Unreachable
from bridge.job_client.options import parsed_options
from bridge.job_client.server import Job, JobServer, NewUpload

FINAL_STATES = ("finished", "failed", "cancelled")
_COLUMNS = ("ID", "STATE", "MODEL", "TENANT", "DONE", "ROWS", "REJECTED", "CREATED")


def run_jobs(words: Sequence[str], environment: Mapping[str, str]) -> int:
    """Do what the words say; return the exit code."""
    options = parsed_options(words, environment)
    actions: dict[str, Callable[[JobServer, argparse.Namespace], None]] = {
        "list": _list,
        "show": _show,
        "cancel": _cancel,
        "retry-dead": _retry_dead,
        "submit": _submit,
        "results": _fetch,
        "rejected": _fetch,
    }
    try:
        actions[options.action](JobServer(options.url, options.tenant), options)
    except Unreachable as error:
        sys.stderr.write(f"batchbridge: {error}\n")
        return os.EX_TEMPFAIL
    except JobCommandError as error:
        sys.stderr.write(f"batchbridge: {error}\n")
        return 1
    return 0


def _list(server: JobServer, options: argparse.Namespace) -> None:
    jobs = server.page(limit=options.limit, state=options.state).jobs
    if options.json:
        _print_json(jobs)
        return
    rows = [_COLUMNS, *(_cells(job) for job in jobs)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(_COLUMNS))]
    for row in rows:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )


def _show(server: JobServer, options: argparse.Namespace) -> None:
    _print(server.job(options.job), options)


def _cancel(server: JobServer, options: argparse.Namespace) -> None:
    # What DELETE does to a job that has ended is to remove its results.
    if server.job(options.job).state in FINAL_STATES:
        raise Refused("job_state", "the job has ended already")
    _print(server.cancel(options.job), options)


def _retry_dead(server: JobServer, options: argparse.Namespace) -> None:
    _print(server.retry_dead(options.job), options)


def _submit(server: JobServer, options: argparse.Namespace) -> None:
    new = NewUpload(
        model=options.model,
        input=options.input,
        output=options.output_format,
        key=options.key,
        columns=options.columns,
        max_rejected=options.max_rejected,
        idempotency_key=options.idempotency_key,
        webhook=options.webhook,
    )
    _print(server.submit(new), options)


def _fetch(server: JobServer, options: argparse.Namespace) -> None:
    server.download(options.job, options.action, options.output)
    print(f"{options.output}: {options.output.stat().st_size:,} bytes")


def _print(job: Job, options: argparse.Namespace) -> None:
    if options.json:
        _print_json(job)
        return
    for name, value in msgspec.structs.asdict(job).items():
        if value not in (None, "", 0):
            print(f"{name.replace('_', ' '):14} {_text(value)}")


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ": ".join(str(part) for part in value.values())
    return f"{value:,}" if isinstance(value, int | float) else str(value)


def _cells(job: Job) -> tuple[str, ...]:
    return (
        job.id,
        job.state,
        job.model,
        job.tenant or "-",
        f"{job.share_done:.0%}",
        f"{job.rows_done:,}",
        f"{job.rows_rejected:,}",
        job.created,
    )


def _print_json(value: object) -> None:
    print(msgspec.json.encode(value).decode())
