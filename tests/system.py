"""The real system for tests: a real queue server, real gateway and worker processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import redis.asyncio as aioredis

from bridge.child_process import ChildProcess, ChildSpec
from bridge.embedded_queue import EmbeddedQueue, EmbeddedQueueSettings

SAMPLE_MODELS = Path(__file__).parent.parent / "models"
START_S_MAX = 30.0
END_S_MAX = 35.0
_READY = b'"event":"ready"'


@dataclass
class LogLines:
    """What a process has logged; a test can wait for an event."""

    lines: list[str] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, line: str) -> None:
        self.lines.append(line)
        self._changed.set()

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the logged events of this name, oldest first."""
        parsed = [json.loads(line) for line in self.lines if line.startswith("{")]
        return [event for event in parsed if event.get("event") == name]

    async def wait_for(self, name: str, count: int = 1) -> list[dict[str, Any]]:
        """Return when at least `count` events of this name have been logged."""
        while len(found := self.events(name)) < count:
            self._changed.clear()
            await self._changed.wait()
        return found


class TestedProcess:
    """A gateway or worker process under test."""

    __test__ = False

    def __init__(self, child: ChildProcess, logs: LogLines) -> None:
        self.child = child
        self.logs = logs

    @property
    def pid(self) -> int:
        return self.child.pid

    def signal(self, number: signal.Signals) -> None:
        """Send a signal: SIGKILL, SIGSTOP, SIGCONT, SIGTERM."""
        os.kill(self.pid, number)

    async def end(self) -> int:
        """Return the exit code when the process has ended by itself, or after it was killed."""
        return await self.child.end(END_S_MAX)

    async def terminate(self) -> int:
        """SIGTERM, then the exit code."""
        self.child.terminate()
        return await self.end()


class TestedGateway(TestedProcess):
    """A gateway process, listening at `url`."""

    @property
    def url(self) -> str:
        ready = self.logs.events("ready")[0]
        return f"http://{ready['host']}:{ready['port']}"

    @property
    def port(self) -> int:
        return int(self.logs.events("ready")[0]["port"])


class System:
    """One queue and the processes that a test starts on it; all are ended with it."""

    def __init__(self, queue_url: str, stack: AsyncExitStack, queue: EmbeddedQueue | None) -> None:
        self.queue_url = queue_url
        self.queue = queue
        self._stack = stack
        self.gateways: list[TestedGateway] = []
        self.workers: list[TestedProcess] = []

    async def start_worker(self, models: Path = SAMPLE_MODELS, *options: str) -> TestedProcess:
        """Start a worker and return when gateways can learn of its models."""
        words = ["worker", "--models", str(models), "--threads", "1", *options]
        child, logs = await self._start(f"worker-{len(self.workers)}", words)
        worker = TestedProcess(child, logs)
        self.workers.append(worker)
        return worker

    async def start_gateway(self, *options: str) -> TestedGateway:
        """Start a gateway on a free port and return when it knows a model."""
        words = ["gateway", "--port", "0", *options]
        child, logs = await self._start(f"gateway-{len(self.gateways)}", words)
        gateway = TestedGateway(child, logs)
        self.gateways.append(gateway)
        return gateway

    async def start_job_runner(self, *options: str) -> TestedProcess:
        """Start a runner of jobs; it works when this returns."""
        child, logs = await self._start("job-runner", ["job-runner", *options])
        return TestedProcess(child, logs)

    @property
    def url(self) -> str:
        """The first gateway's."""
        return self.gateways[0].url

    @asynccontextmanager
    async def redis(self) -> AsyncIterator[aioredis.Redis]:
        """A client of the queue."""
        async with aioredis.Redis.from_url(self.queue_url) as client:
            yield client

    async def _start(self, name: str, words: list[str]) -> tuple[ChildProcess, LogLines]:
        environment = {
            **os.environ,
            "BATCHBRIDGE_REDIS": self.queue_url,
            "BATCHBRIDGE_ALLOW_OPEN_REDIS": "1",
        }
        spec = ChildSpec(
            name=name,
            argv=(sys.executable, "-m", "bridge.cli", *words),
            env=environment,
            stop_order=1,
            ready_line=_READY,
            start_limit_s=START_S_MAX,
        )
        logs = LogLines()
        child = await ChildProcess.spawn(spec, logs.add)
        self._stack.push_async_callback(_end, child)
        await child.ready()
        for line in child.last_lines:
            logs.add(line)
        return child, logs


async def _end(child: ChildProcess) -> None:
    child.kill()
    await child.wait()


@asynccontextmanager
async def running_system(
    models: Path = SAMPLE_MODELS,
    *,
    gateways: int = 1,
    workers: int = 1,
    find_server: Callable[..., Any] | None = None,
    queue_settings: EmbeddedQueueSettings | None = None,
    gateway_options: tuple[str, ...] = (),
) -> AsyncIterator[System]:
    """A system of one queue, gateways and workers, ready to answer; ended with the block."""
    async with AsyncExitStack() as stack:
        options = {} if find_server is None else {"find_server": find_server}
        queue = await stack.enter_async_context(EmbeddedQueue.start(queue_settings, **options))
        system = System(queue.url, stack, queue)
        for _ in range(workers):
            await system.start_worker(models)
        for _ in range(gateways):
            await system.start_gateway(*gateway_options)
        yield system


async def post(
    session: aiohttp.ClientSession, url: str, body: Any, **options: Any
) -> tuple[int, Any, Any]:
    """POST JSON; return status, decoded JSON and headers."""
    async with session.post(url, json=body, **options) as response:
        return response.status, await response.json(), response.headers
