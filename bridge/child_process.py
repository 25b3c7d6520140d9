"""One child process: in its own process group, ended with its parent, ready when it says so."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from bridge.readiness import READY_FD_VARIABLE

# ChildNotReady    the child ended, fell silent or took too long before it was ready

START_LIMIT_S: Final = 240.0
"""From the start of a child to its readiness; a worker loads and warms its models in this time."""

OUTPUT_LINES_KEPT: Final = 30
"""Of a child whose output is read: how many last lines are kept for an error."""

OUTPUT_LIMIT_S: Final = 1.0
"""How long the rest of an ended child's output is waited for; its own children may hold it open."""

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


class ChildNotReady(Exception):
    """A child did not become ready. The text names the child, the reason and its last lines."""


@dataclass(frozen=True)
class ChildSpec:
    """What to start, and its place in the order of starting and stopping.

    `argv` is started without a shell with exactly the environment `env`, to which only the
    readiness variable is added. Children are started in ascending `start_order`, each group when
    the one before is ready, and stopped in ascending `stop_order`, each group when the one before
    has ended. Without `ready_line` the child reports through `bridge.readiness` and writes to the
    terminal of its parent; with it, its output is read, and a line that contains these bytes
    means that it is ready.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    stop_order: int
    start_order: int = 1
    ready_line: bytes | None = None
    start_limit_s: float = START_LIMIT_S


def _ignore_line(line: str) -> None:
    del line


class ChildProcess:
    """A started child. Whoever starts it awaits `wait()`, on every path."""

    def __init__(
        self,
        spec: ChildSpec,
        process: asyncio.subprocess.Process,
        pipe: asyncio.StreamReader,
        pipe_transport: asyncio.ReadTransport,
        on_line: Callable[[str], None],
    ) -> None:
        """For `spawn` only: takes over a running process and the pipe that it writes to."""
        self._spec = spec
        self._process = process
        self._pipe = pipe
        self._pipe_transport = pipe_transport
        self._on_line = on_line
        self._last_lines: deque[str] = deque(maxlen=OUTPUT_LINES_KEPT)
        self._became_ready: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._listener = asyncio.create_task(self._listen(), name=f"listen to {spec.name}")

    @classmethod
    async def spawn(
        cls, spec: ChildSpec, on_line: Callable[[str], None] = _ignore_line
    ) -> ChildProcess:
        """Start the child. `on_line` receives each line that it writes after it became ready.

        Call it on the main thread only: Linux ends the child when the *thread* that started it
        ends. Needs asyncio's own event loop; uvloop has no `process_group`.
        Raises OSError if the program cannot be executed.
        """
        read_fd, write_fd = os.pipe()
        pipe = asyncio.StreamReader()
        try:
            transport, _ = await asyncio.get_running_loop().connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(pipe), os.fdopen(read_fd, "rb", buffering=0)
            )
            try:
                process = await _execute(spec, write_fd)
            except BaseException:
                transport.close()
                raise
        finally:
            os.close(write_fd)
        return cls(spec, process, pipe, transport, on_line)

    @property
    def pid(self) -> int:
        """The process id, which is also the id of the child's process group."""
        return self._process.pid

    @property
    def last_lines(self) -> tuple[str, ...]:
        """The last lines of the child's output, oldest first; empty if it is not read."""
        return tuple(self._last_lines)

    async def ready(self) -> None:
        """Return when the child has reported that it is ready.

        Raises ChildNotReady if it ends first or takes longer than `start_limit_s`. The child
        may still be running then: end it.
        """
        limit_s = self._spec.start_limit_s
        done, _ = await asyncio.wait({self._became_ready}, timeout=limit_s)
        if not done:
            raise ChildNotReady(self._not_ready(f"is not ready after {limit_s:g} s"))
        if not self._became_ready.result():
            raise ChildNotReady(self._not_ready("ended before it was ready"))

    async def wait(self) -> int:
        """Return the exit code when the child has ended; −N if signal N ended it."""
        exit_code = await self._process.wait()
        await asyncio.wait({self._listener}, timeout=OUTPUT_LIMIT_S)
        self._pipe_transport.close()
        await self._listener
        return exit_code

    async def end(self, limit_s: float) -> int:
        """Wait up to `limit_s` seconds for the child to end by itself, then kill it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._process.wait()
        self.kill()
        return await self.wait()

    def terminate(self) -> None:
        """Ask the child to drain and end (SIGTERM). It answers for its own children."""
        self._signal(os.kill, signal.SIGTERM)

    def kill(self) -> None:
        """End the child and everything in its process group at once (SIGKILL)."""
        self._signal(os.killpg, signal.SIGKILL)

    def _signal(self, send: Callable[[int, int], None], signal_number: signal.Signals) -> None:
        # Not Process.send_signal: in Python 3.11 that may reap the child itself, and the exit code
        # is lost to us. An ended process that is not yet reaped is EPERM for killpg on macOS.
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                send(self.pid, signal_number)

    async def _listen(self) -> None:
        if self._spec.ready_line is None:
            self._settle(await self._pipe.read(1) != b"")
            self._pipe_transport.close()
        else:
            await self._read_lines(self._spec.ready_line)
            self._settle(False)

    async def _read_lines(self, ready_line: bytes) -> None:
        """Read to the end: a child whose output nobody reads blocks when the pipe is full."""
        while line := await self._next_line():
            text = line.decode(errors="replace").rstrip()
            self._last_lines.append(text)
            if self._became_ready.done():
                self._on_line(text)
            elif ready_line in line:
                self._settle(True)

    async def _next_line(self) -> bytes:
        while True:
            # A line above the reader's limit (64 KiB) raises and is dropped.
            with contextlib.suppress(ValueError):
                return await self._pipe.readline()

    def _settle(self, is_ready: bool) -> None:
        if not self._became_ready.done():
            self._became_ready.set_result(is_ready)

    def _not_ready(self, reason: str) -> str:
        return "\n  ".join([f"{self._spec.name} {reason}", *self._last_lines])


async def _execute(spec: ChildSpec, write_fd: int) -> asyncio.subprocess.Process:
    reads_output = spec.ready_line is not None
    output = write_fd if reads_output else None
    ready = {} if reads_output else {READY_FD_VARIABLE: str(write_fd)}
    return await asyncio.create_subprocess_exec(
        *spec.argv,
        env={**spec.env, **ready},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        pass_fds=() if reads_output else (write_fd,),
        # Ctrl-C in a terminal goes to the foreground group: only to the parent, which drains the
        # children in order.
        process_group=0,
        preexec_fn=_end_with_parent(),
    )


def _end_with_parent() -> Callable[[], None] | None:
    """A function for the child, between fork and exec: SIGTERM when its parent ends, however.

    Linux only; elsewhere children outlive a parent that is killed with kill -9. The kernel drops
    the wish when the program that is executed is set-uid or has file capabilities, and does not
    hand it on to the child's own children; and a child that ignores SIGTERM stays.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl  # resolved before the fork, which may not load
    parent_pid = os.getpid()

    def ask_the_kernel() -> None:
        if prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
        if os.getppid() != parent_pid:  # it ended before the call above
            os.kill(os.getpid(), signal.SIGKILL)

    return ask_the_kernel
