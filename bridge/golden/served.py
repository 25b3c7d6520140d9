"""One model version, served for a while by a queue, a worker and a gateway of its own."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bridge.child_process import ChildNotReady, ChildProcess, ChildSpec
from bridge.contract.repository import VersionFolder
from bridge.jobs.errors import QueueAway
from bridge.jobs.own_workers import OwnWorkers, own_workers

HOST = "127.0.0.1"
_READY = b'"event":"ready"'


class NotServed(Exception):
    """The system cannot be started; the message says why."""


@dataclass(frozen=True, slots=True)
class Served:
    """Where the gateway listens, and the queue behind it."""

    host: str
    port: int
    queue_url: str

    @property
    def url(self) -> str:
        """The gateway's."""
        return f"http://{self.host}:{self.port}"


@asynccontextmanager
async def served(
    folder: VersionFolder, threads: int, environment: Mapping[str, str]
) -> AsyncIterator[Served]:
    """Serve a copy of the version's folder alone; all processes have ended after the block.

    Raises:
        NotServed: worker or gateway do not start.
        QueueUnavailable: this machine has no queue server.
    """
    with tempfile.TemporaryDirectory(prefix="batchbridge-golden-") as temporary:
        root = Path(temporary)
        shutil.copytree(folder.path, root / folder.model / folder.version)
        settings = OwnWorkers(models=root, workers=1, threads=threads)
        try:
            async with own_workers(settings, environment) as url:
                shared = {**environment, "BATCHBRIDGE_REDIS": url}
                async with _gateway(shared) as port:
                    yield Served(HOST, port, url)
        except QueueAway as error:
            raise NotServed(str(error)) from error


@asynccontextmanager
async def _gateway(environment: Mapping[str, str]) -> AsyncIterator[int]:
    """Start a gateway on a free port, which the block gets when it knows the model."""
    words = ["gateway", "--host", HOST, "--port", "0"]
    spec = ChildSpec(
        name="gateway",
        argv=(sys.executable, "-m", "bridge.cli", *words),
        env=environment,
        stop_order=1,
        ready_line=_READY,
    )
    child = await ChildProcess.spawn(spec)
    try:
        await child.ready()
        yield _port(child.last_lines)
    except ChildNotReady as error:
        raise NotServed(str(error)) from error
    finally:
        child.kill()
        await child.wait()


def _port(lines: tuple[str, ...]) -> int:
    ready = next(line for line in reversed(lines) if _READY.decode() in line)
    return int(json.loads(ready)["port"])
