"""A queue server of our own, for one machine: Valkey on a Unix socket in a private directory.

Invariants: it listens on no network port; only this user can reach the socket; it never evicts;
unless it is durable or has a data directory it writes nothing to disk; a new start uses the same
socket path, so that clients reconnect by themselves.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from os import fsencode
from pathlib import Path
from typing import Final
from urllib.parse import quote

from bridge.child_process import START_LIMIT_S, ChildNotReady, ChildProcess, ChildSpec
from bridge.queue_server import QueueServer, QueueUnavailable, find_queue_server

SOCKET_PATH_BYTES_MAX: Final = 103
"""The shorter of Linux (sun_path of 108 bytes) and macOS (104), less the terminating zero."""

MEMORY_BYTES_MAX_DEFAULT: Final = 1 << 30

EMPTY_START_LIMIT_S: Final = 10.0
"""From its start to its readiness, for a server that has no data to load."""

AOF_REWRITE_BYTES_MIN: Final = 512 << 20
"""The append-only file is not rewritten before it has this size."""

STOP_LIMIT_S: Final = 10.0
"""From SIGTERM to its end, then SIGKILL."""

STOP_ORDER: Final = 9
"""After every process that uses the queue."""

_SOCKET_NAME: Final = "queue.sock"
_DIRECTORY_PREFIX: Final = "batchbridge-"
_DIRECTORY_RANDOM_BYTES: Final = 8  # what mkdtemp appends

# "Ready to accept connections unix" in Valkey and Redis 7.2, "The server is now ready to accept
# connections at /…" before.
_READY_LINE: Final = b"eady to accept connections"


@dataclass(frozen=True)
class EmbeddedQueueSettings:
    """How the embedded queue runs.

    With `data_directory`, which is made if it is missing, every write is appended to a file there
    (AOF, one sync a second) and read back at the next start. With None nothing is kept over the end
    of whoever started it; with `is_durable` it is kept over the server's own. Above
    `memory_bytes_max` writes are refused, nothing is evicted. `env` is the server's whole
    environment. `root` is where the private directory is made; None is the system's place for
    temporary files.
    """

    memory_bytes_max: int = MEMORY_BYTES_MAX_DEFAULT
    data_directory: Path | None = None
    is_durable: bool = False
    env: Mapping[str, str] = field(default_factory=dict)
    root: Path | None = None


@dataclass(frozen=True)
class QueuePlan:
    """Where the embedded queue listens, and the child process that is it, not yet started."""

    url: str
    directory: Path
    server: QueueServer
    child: ChildSpec


@contextmanager
def embedded_queue_plan(
    settings: EmbeddedQueueSettings | None = None,
    find_server: Callable[[Mapping[str, str]], QueueServer] = find_queue_server,
) -> Iterator[QueuePlan]:
    """Find a server and make its private directory, which is removed at the end.

    For `Supervisor`, which starts `plan.child` and keeps it running.
    Raises QueueUnavailable if this machine has no usable server.
    """
    settings = settings if settings is not None else EmbeddedQueueSettings()
    server = find_server(settings.env)
    if settings.data_directory is not None:
        settings.data_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    # mkdtemp makes the directory with mode 0700.
    directory = Path(tempfile.mkdtemp(prefix=_DIRECTORY_PREFIX, dir=_short_root(settings.root)))
    try:
        yield QueuePlan(
            url=f"unix://{quote(str(directory / _SOCKET_NAME))}",
            directory=directory,
            server=server,
            child=_child(settings, server, directory),
        )
    finally:
        shutil.rmtree(directory, ignore_errors=True)


class EmbeddedQueue:
    """A running embedded queue that nobody supervises: for tests, benchmarks and short scripts."""

    def __init__(self, plan: QueuePlan, process: ChildProcess) -> None:
        """For `start` only."""
        self.plan = plan
        self._process = process

    @classmethod
    @asynccontextmanager
    async def start(
        cls,
        settings: EmbeddedQueueSettings | None = None,
        find_server: Callable[[Mapping[str, str]], QueueServer] = find_queue_server,
    ) -> AsyncIterator[EmbeddedQueue]:
        """Start a queue that answers when the body runs, and is gone, files and all, after it.

        Raises QueueUnavailable if this machine has no usable server, or if it does not start;
        the error then ends with the server's last log lines.
        """
        with embedded_queue_plan(settings, find_server) as plan:
            queue = cls(plan, await _start(plan))
            try:
                yield queue
            finally:
                await queue.stop()

    @property
    def url(self) -> str:
        """Its `unix://` address, as `redis.from_url` takes it. Stays the same over restarts."""
        return self.plan.url

    @property
    def pid(self) -> int:
        """The process id of the running server, or of the last one."""
        return self._process.pid

    async def stop(self) -> None:
        """Ask it to end, wait up to STOP_LIMIT_S, then kill it. Does nothing if it has ended."""
        self._process.terminate()
        await self._process.end(STOP_LIMIT_S)

    async def restart(self) -> None:
        """End it if it runs, and start it at the same address: empty without a data directory.

        Raises QueueUnavailable as `start` does.
        """
        await self.stop()
        self._process = await _start(self.plan)


async def _start(plan: QueuePlan) -> ChildProcess:
    try:
        process = await ChildProcess.spawn(plan.child)
    except OSError as error:
        raise QueueUnavailable(f"{plan.server.path} cannot be executed: {error}") from error
    try:
        await process.ready()
    except BaseException as error:
        process.kill()
        await process.wait()
        if isinstance(error, ChildNotReady):
            raise QueueUnavailable(str(error)) from error
        raise
    return process


def _child(settings: EmbeddedQueueSettings, server: QueueServer, directory: Path) -> ChildSpec:
    is_empty = not _keeps(settings)
    return ChildSpec(
        name="queue",
        argv=(str(server.path), *_options(settings, directory)),
        env=settings.env,
        stop_order=STOP_ORDER,
        start_order=0,
        ready_line=_READY_LINE,
        start_limit_s=EMPTY_START_LIMIT_S if is_empty else START_LIMIT_S,
    )


def _options(settings: EmbeddedQueueSettings, directory: Path) -> list[str]:
    options = {
        "port": "0",
        "unixsocket": str(directory / _SOCKET_NAME),
        "unixsocketperm": "700",
        "protected-mode": "yes",
        "enable-debug-command": "no",
        "enable-module-command": "no",
        "enable-protected-configs": "no",
        "daemonize": "no",
        "logfile": "",  # its standard output, where it says that it is ready
        "dir": str((settings.data_directory or directory).resolve()),
        "save": "",
        "appendonly": "yes" if _keeps(settings) else "no",
        "appendfsync": "everysec",
        # Online frames pass through the file too: at 25,000 requests/s it grows by 64 MB, at which
        # servers rewrite it, every few seconds, and each rewrite is a fork.
        "auto-aof-rewrite-min-size": str(AOF_REWRITE_BYTES_MIN),
        "maxmemory": str(settings.memory_bytes_max),
        "maxmemory-policy": "noeviction",
    }
    return [word for name, value in options.items() for word in (f"--{name}", value)]


def _keeps(settings: EmbeddedQueueSettings) -> bool:
    return settings.is_durable or settings.data_directory is not None


def _short_root(root: Path | None) -> Path:
    """The place for temporary files, or /tmp where the socket's path would be too long for it."""
    wanted = (root if root is not None else Path(tempfile.gettempdir())).resolve()
    name_bytes = len(f"/{_DIRECTORY_PREFIX}/{_SOCKET_NAME}") + _DIRECTORY_RANDOM_BYTES
    fits = len(fsencode(wanted)) + name_bytes <= SOCKET_PATH_BYTES_MAX
    return wanted if fits else Path("/tmp")  # noqa: S108 - a private directory is made inside it
