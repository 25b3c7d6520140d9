"""The options of the `batchbridge` command, and the environment variables that stand for them."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from bridge.job_store.bounds import STORAGE_AUTO

ENV_PREFIX = "BATCHBRIDGE_"


def build_parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    """Return the parser; `environment` gives the defaults of options that it names."""
    parser = argparse.ArgumentParser(
        prog="batchbridge",
        description="Single answers in milliseconds from models that were built for batches.",
        epilog="Every option can also be set as an environment variable: --redis as "
        "BATCHBRIDGE_REDIS, and so on.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    # Options have one name: a shortened one would change its meaning when another is added.
    add_command = partial(commands.add_parser, allow_abbrev=False)
    serve = add_command("serve", help="everything on this machine, with a queue of its own")
    gateway = add_command("gateway", help="one gateway: HTTP in, frames to the queue")
    worker = add_command("worker", help="one worker: frames from the queue, models run")
    plan = add_command("plan", help="what a model needs to keep a latency target at a rate")
    score = add_command("score", help="a file of rows scored into another, in the batch lane")
    job_runner = add_command("job-runner", help="runs the jobs that came over HTTP")
    add = _Adder(environment)
    _add_plan(add, plan)
    _add_score(add, score)
    # Known here for the list of commands only: its words go to the load tester as they are.
    commands.add_parser("loadtest", help="ask an HTTP model server an honest question")
    commands.add_parser("check", help="is a model safe to serve row by row?")
    commands.add_parser("jobs", help="jobs of a running system: list, show, cancel, submit, ...")
    commands.add_parser("record", help="golden rows beside a model, for check to replay")
    commands.add_parser("describe", help="a contract to edit, from a model and reference data")
    commands.add_parser("synthesize", help="rows like the reference data, and those it lacks")
    for command in (serve, worker):
        add(command, "models", Path("models"), "folder of <model>/<version>/model.onnx")
        add(command, "threads", 0, "ONNX Runtime's threads per worker; 0: from the cores")
        add(command, "batch-fill", 1.0, "up to which share of a batch the batch lane fills it")
        add(command, "batch-floor", 0.02, "share of the run time that the batch lane always gets")
    for command in (serve, gateway):
        add(command, "host", "127.0.0.1", "address to listen on")
        _add_jobs(add, command)
    add(serve, "queue-folder", "", "where the embedded queue keeps jobs when serve has ended")
    add(serve, "port", 8080, "port to listen on")
    add(gateway, "port", 8080, "port to listen on; 0: any free one")
    add(serve, "gateways", 0, "number of gateways on the port; 0: one for every four cores")
    add(serve, "workers", 1, "number of workers")
    add(serve, "redis", "", "URL of a Redis or Valkey >= 7.0; none: an embedded Valkey")
    for command in (gateway, worker):
        add(command, "redis", "", "URL of the Redis or Valkey >= 7.0 (required)")
    for command in (serve, gateway, worker):
        add.flag(command, "allow-open-redis", "accept a TCP server without a password")
    add.flag(worker, "jobs-only", "nobody asks online: no latency target bounds the batches")
    _add_job_runner(add, serve, job_runner)
    add.flag(gateway, "share-port", "let other gateways listen on the same port (SO_REUSEPORT)")
    add.flag(gateway, "no-express", "answer plain inference requests like all others: slower")
    return parser


def _add_jobs(add: _Adder, command: argparse.ArgumentParser) -> None:
    add(
        command, "job-storage-mb", STORAGE_AUTO,
        "MiB that HTTP jobs may occupy in the queue; 0: no jobs; auto: 256 where it is durable",
    )  # fmt: skip
    add(command, "job-files", "", "folder whose files jobs may name; none: uploads only")
    add(command, "job-kept-hours", 24.0, "how long a job is kept after its end")
    add(command, "jobs-per-tenant", 64, "how many jobs a tenant may have that have not ended")
    add(command, "webhook-hosts", "", "hosts that may hear of a job's end: a.example,b.example")


def _add_plan(add: _Adder, plan: argparse.ArgumentParser) -> None:
    plan.add_argument(
        "model", metavar="MODEL", help="a model of --models or --url, or model@version"
    )
    add(plan, "rate", 0.0, "online single-row requests per second (required)")
    add(plan, "cv", 1.0, "coefficient of variation of the gaps between requests; 1: Poisson")
    add(plan, "latency-target-ms", "", "p99 that is wanted; none: the contract's")
    add(plan, "batch-rows-per-hour", 0.0, "rows that the batch lane has to score")
    add(plan, "workers-max", 10_000, "the most workers there can be")
    add(plan, "models", Path("models"), "folder of <model>/<version>/model.onnx, measured here")
    add(plan, "url", "", "a running system that has measured the model, in place of --models")
    add(plan, "threads", 1, "ONNX Runtime's threads per worker")
    add(plan, "json", "", "also write the plan to this file")
    add.flag(plan, "verify", "start it as far as the cores go, and measure it")
    add(plan, "seconds", 10.0, "of each measured rate, with --verify")


def _add_score(add: _Adder, score: argparse.ArgumentParser) -> None:
    formats = ".parquet, .csv, .ndjson or .arrow"
    score.add_argument("model", metavar="MODEL", help="a model, or model@version")
    score.add_argument("input", metavar="INPUT", type=Path, help=f"the rows: {formats}")
    score.add_argument("output", metavar="OUTPUT", type=Path, help=f"the results: {formats}")
    add(score, "key", "", "the input's column that stands beside the outputs; none: row numbers")
    score.add_argument(
        "--columns",
        metavar="NAME=COLUMN",
        nargs="+",
        action="extend",
        default=[],
        help="the input's own names for the model's inputs and columns",
    )
    add(score, "redis", "", "URL of the queue; none: a queue and workers for this job alone")
    add.flag(score, "allow-open-redis", "accept a TCP server without a password")
    add(score, "models", Path("models"), "what workers of its own serve")
    add(score, "workers", 0, "number of workers of its own; 0: one for each core but one")
    add(score, "threads", 1, "ONNX Runtime's threads in each; some models' last bit depends on it")
    score.add_argument(
        "--max-rejected", type=int, help="give up when more rows are rejected (default: never)"
    )
    add(score, "chunk-rows", 1024, "rows that travel together")
    add.flag(score, "restart", "begin anew whatever was done before")


def _add_job_runner(
    add: _Adder, serve: argparse.ArgumentParser, job_runner: argparse.ArgumentParser
) -> None:
    """What runs jobs; where jobs are stored, and how much, is an option of theirs, too."""
    add(job_runner, "redis", "", "URL of the Redis or Valkey >= 7.0 (required)")
    add.flag(job_runner, "allow-open-redis", "accept a TCP server without a password")
    add(job_runner, "job-storage-mb", STORAGE_AUTO, "MiB that HTTP jobs may occupy in the queue")
    add(job_runner, "job-files", "", "folder whose files jobs may name; none: uploads only")
    add(job_runner, "job-lease-s", 10.0, "a runner that is silent for so long has lost its jobs")
    for command in (serve, job_runner):
        add(command, "jobs-at-once", 8, "jobs that a runner works on at once; more take turns")
        add(command, "job-spool", "", "folder for the files under way; none: the system's")


class _Adder:
    """Adds options whose defaults an environment may override."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def __call__(
        self, parser: argparse.ArgumentParser, name: str, default: object, text: str
    ) -> None:
        # A default given as text goes through `type` like an option does, errors included.
        shown = f" (default: {default})" if str(default) else ""
        parser.add_argument(
            f"--{name}",
            type=type(default) if not isinstance(default, Path) else Path,
            default=self._environment.get(_variable(name), default),
            help=text + shown,
        )

    def flag(self, parser: argparse.ArgumentParser, name: str, text: str) -> None:
        is_set = self._environment.get(_variable(name), "") not in ("", "0", "false", "no")
        parser.add_argument(f"--{name}", action="store_true", default=is_set, help=text)


def _variable(name: str) -> str:
    return ENV_PREFIX + name.upper().replace("-", "_")
