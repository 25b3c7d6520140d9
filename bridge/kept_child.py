"""Keeps one child running: start, wait until it ends, start again, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from structlog.typing import FilteringBoundLogger

from bridge.child_process import ChildNotReady, ChildProcess, ChildSpec
from bridge.restart_policy import CONFIGURATION_ERROR, RestartPolicy

EXIT_LIMIT_S: Final = 1.0
"""How long a child that gave up its readiness pipe may take to end before it is killed."""

_CLEAN_EXIT_CODES: Final = (0, -signal.SIGTERM)


@dataclass(frozen=True)
class _Life:
    exit_code: int
    ready_s: float | None  # seconds from readiness to the end; None if it never was ready


class KeptChild:
    """One child over all its lives. Single use: `run()` once, in a task of its owner."""

    def __init__(
        self,
        spec: ChildSpec,
        *,
        policy: RestartPolicy,
        log: FilteringBoundLogger,
        on_first_ready: Callable[[], None],
        on_fatal: Callable[[int], None],
    ) -> None:
        """`on_first_ready` is called once; `on_fatal` with the exit code for the whole program."""
        self.spec = spec
        self.drained = True
        self._policy = policy
        self._log = log.bind(child=spec.name)
        self._on_first_ready = on_first_ready
        self._on_fatal = on_fatal
        self._stopping = asyncio.Event()
        self._killed = False
        self._process: ChildProcess | None = None
        self._first_starts: int | None = 0  # None once it was ready
        self._short_lives = 0

    async def run(self) -> None:
        """Keep the child running until `stop()` or `kill()`, or an end that is final."""
        while not self._stopping.is_set():
            life = await self._live()
            if self._stopping.is_set():
                self._note_stop(life)
            elif self._is_final(life):
                return
            else:
                await self._pause(life)

    def stop(self) -> None:
        """Do not start the child again, and ask a running one to drain and end."""
        self._stopping.set()
        if self._process is not None:
            self._process.terminate()

    def kill(self) -> None:
        """Do not start the child again, and end a running one at once."""
        self._stopping.set()
        self._killed = True
        if self._process is not None:
            self._process.kill()

    async def _live(self) -> _Life:
        try:
            process = await ChildProcess.spawn(self.spec, self._log_line)
        except OSError as error:
            self._log.error("child_not_executable", argv=self.spec.argv, error=str(error))
            return _Life(CONFIGURATION_ERROR, None)
        self._log.info("child_started", pid=process.pid)
        self._process = process
        try:
            return await self._live_to_the_end(process)
        except BaseException:
            process.kill()
            await process.wait()
            raise
        finally:
            self._process = None

    async def _live_to_the_end(self, process: ChildProcess) -> _Life:
        # stop() or kill() may have come during the start, when there was nothing to signal.
        if self._killed:
            process.kill()
        elif self._stopping.is_set():
            process.terminate()
        clock = asyncio.get_running_loop().time
        started_at = clock()
        try:
            await process.ready()
        except ChildNotReady as error:
            self._log.warning("child_not_ready", pid=process.pid, error=str(error))
            return _Life(await process.end(EXIT_LIMIT_S), None)
        ready_at = clock()
        self._log.info("child_ready", pid=process.pid, start_s=round(ready_at - started_at, 3))
        self._note_ready()
        exit_code = await process.wait()
        if not self._stopping.is_set():
            lines = process.last_lines
            self._log.error("child_died", pid=process.pid, exit_code=exit_code, last_lines=lines)
        return _Life(exit_code, clock() - ready_at)

    def _note_ready(self) -> None:
        is_first = self._first_starts is not None
        self._first_starts = None
        if is_first:
            self._on_first_ready()

    def _note_stop(self, life: _Life) -> None:
        self.drained = not self._killed and life.exit_code in _CLEAN_EXIT_CODES
        self._log.info("child_stopped", exit_code=life.exit_code, drained=self.drained)

    def _is_final(self, life: _Life) -> bool:
        if self._first_starts is not None:
            self._first_starts += 1
        fatal_exit_code = self._policy.fatal_exit_code(life.exit_code, self._first_starts)
        if fatal_exit_code is None:
            return False
        self._log.error("child_given_up", exit_code=life.exit_code)
        self._on_fatal(fatal_exit_code)
        return True

    async def _pause(self, life: _Life) -> None:
        was_healthy = life.ready_s is not None and life.ready_s >= self._policy.healthy_s
        self._short_lives = 1 if was_healthy else self._short_lives + 1
        delay_s = self._policy.delay_s(self._short_lives)
        self._log.info("child_restart", delay_s=delay_s)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await self._stopping.wait()

    def _log_line(self, line: str) -> None:
        self._log.info("child_output", line=line)
