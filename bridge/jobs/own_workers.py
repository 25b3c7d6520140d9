"""A queue and workers of a job's own, on this machine, for as long as the job lasts."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from bridge.child_process import ChildSpec
from bridge.embedded_queue import EmbeddedQueueSettings, embedded_queue_plan
from bridge.jobs.errors import QueueAway
from bridge.kept_child import KeptChild
from bridge.restart_policy import RestartPolicy

# A row that kills workers costs five of them: they must come back at once.
RESTART = RestartPolicy(longest_delay_s=1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnWorkers:
    """What the job's own workers serve: `threads` of ONNX Runtime in each of `workers`."""

    models: Path
    workers: int
    threads: int


@asynccontextmanager
async def own_workers(settings: OwnWorkers, environment: Mapping[str, str]) -> AsyncIterator[str]:
    """Start a queue and workers; the block gets the queue's URL when all are ready.

    Workers that die are started again. All have ended after the block.

    Raises:
        QueueUnavailable: this machine has no queue server.
        QueueAway: a worker cannot start; its own message is on standard error.
    """
    with embedded_queue_plan(EmbeddedQueueSettings(env=environment)) as queue:
        async with _kept([queue.child]):
            shared = {**environment, "BATCHBRIDGE_REDIS": queue.url}
            words = ["worker", "--models", str(settings.models)]
            words += ["--threads", str(settings.threads), "--jobs-only"]
            argv = (sys.executable, "-m", "bridge.cli", *words)
            workers = [
                ChildSpec(
                    name=f"worker-{number}",
                    argv=argv,
                    env=shared,
                    stop_order=1,
                    # Its log is read, and shown where it dies.
                    ready_line=b'"event":"ready"',
                )
                for number in range(settings.workers)
            ]
            async with _kept(workers):
                yield queue.url


@asynccontextmanager
async def _kept(specs: list[ChildSpec]) -> AsyncIterator[None]:
    """Keep children running from when all are ready to the end of the block."""
    ready = [asyncio.Event() for _ in specs]
    failed: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    children = [
        KeptChild(
            spec,
            policy=RESTART,
            log=structlog.get_logger(__name__),
            on_first_ready=event.set,
            on_fatal=lambda code: None if failed.done() else failed.set_result(code),
        )
        for spec, event in zip(specs, ready, strict=True)
    ]
    tasks = [asyncio.create_task(child.run(), name=child.spec.name) for child in children]
    try:
        all_ready = asyncio.gather(*(event.wait() for event in ready))
        either: set[asyncio.Future[Any]] = {all_ready, failed}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if failed.done():
            all_ready.cancel()
            raise QueueAway(f"{specs[0].name} cannot start (exit code {failed.result()})")
        yield
    finally:
        # Nothing to drain: what they have in hand is of no use to anybody any more.
        for child in children:
            child.kill()
        await asyncio.wait(tasks)
