"""Runs the processes of one machine: starts them in order, keeps them running, drains them."""

from __future__ import annotations

import asyncio
import itertools
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from structlog.typing import FilteringBoundLogger

from bridge.child_process import ChildSpec
from bridge.kept_child import KeptChild
from bridge.restart_policy import RestartPolicy

DRAIN_LIMIT_S: Final = 30.0
"""From the first SIGTERM to the end of the last child, which is what an orchestrator allows."""

GROUP_RESERVE_S: Final = 1.0
"""Of that time, what each later group keeps for itself when an earlier one uses all it can."""

NOT_DRAINED: Final = 1
"""Exit code when a child had to be killed, or ended with an error, while it drained."""

FORCED: Final = 128 + signal.SIGINT
"""Exit code after a second Ctrl-C, by the shell's convention."""


@dataclass(frozen=True)
class SupervisorLimits:
    """The bounds in time of a supervisor, in seconds."""

    drain_s: float = DRAIN_LIMIT_S
    group_reserve_s: float = GROUP_RESERVE_S
    restart: RestartPolicy = field(default_factory=RestartPolicy)


class Supervisor:
    """Runs `children` until SIGTERM, SIGINT or an error of configuration. Single use.

    Invariants: a child starts only when all children of lower `start_order` have been ready; it is
    asked to stop only when all children of lower `stop_order` have ended, and until then it is
    started again whenever it dies, so that a drain does not wait for a queue that is gone; when
    `run()` returns, none is left.

    From the signal to the end it takes at most `limits.drain_s`: a group that uses its time is
    killed, and `group_reserve_s` of the whole stays for each group after it.
    """

    def __init__(
        self,
        children: Sequence[ChildSpec],
        *,
        log: FilteringBoundLogger,
        on_ready: Callable[[], None],
        limits: SupervisorLimits | None = None,
    ) -> None:
        """`on_ready` is called once, when every child has been ready.

        Raises ValueError if two children share a name.
        """
        names = [child.name for child in children]
        if len(set(names)) != len(names):
            raise ValueError(f"children need different names, got {names}")
        self._log = log
        self._on_ready = on_ready
        self._limits = limits if limits is not None else SupervisorLimits()
        self._children = [self._keep(child) for child in children]
        self._groups_to_start = _grouped(self._children, lambda child: child.spec.start_order)
        self._not_yet_ready = 0  # in the group that is starting
        self._tasks: dict[KeptChild, asyncio.Task[None]] = {}
        self._task_group = asyncio.TaskGroup()
        self._stopping = asyncio.Event()
        self._exit_code = 0

    async def run(self) -> int:
        """Run until told to stop; return the exit code for the process.

        0 after a clean drain; 2 when a child has an error of configuration, cannot be executed;
        the code of a child that never became ready; 1 (`NOT_DRAINED`) or 130 (`FORCED`) otherwise.
        Must run on the main thread, which alone receives signals.
        """
        with self._signals():
            async with self._task_group:
                self._start_next_group()
                await self._stopping.wait()
                await self._stop_all()
        if self._exit_code == 0 and not all(child.drained for child in self._children):
            self._exit_code = NOT_DRAINED
        self._log.info("stopped", exit_code=self._exit_code)
        return self._exit_code

    def _keep(self, child: ChildSpec) -> KeptChild:
        return KeptChild(
            child,
            policy=self._limits.restart,
            log=self._log,
            on_first_ready=self._child_ready,
            on_fatal=self._child_failed,
        )

    def _start_next_group(self) -> None:
        if self._stopping.is_set():
            return
        if not self._groups_to_start:
            self._log.info("all_ready")
            self._on_ready()
            return
        group = self._groups_to_start.pop(0)
        self._not_yet_ready = len(group)
        for child in group:
            task = self._task_group.create_task(child.run(), name=f"keep {child.spec.name}")
            self._tasks[child] = task

    def _child_ready(self) -> None:
        self._not_yet_ready -= 1
        if self._not_yet_ready == 0:
            self._start_next_group()

    def _child_failed(self, exit_code: int) -> None:
        self._stop("a child cannot run", exit_code)

    def _stop(self, reason: str, exit_code: int) -> None:
        if not self._stopping.is_set():
            self._exit_code = exit_code
            self._log.info("stopping", reason=reason)
            self._stopping.set()

    async def _stop_all(self) -> None:
        clock = asyncio.get_running_loop().time
        groups = _grouped(list(self._tasks), lambda child: child.spec.stop_order)
        ends_at = clock() + self._limits.drain_s
        for index, group in enumerate(groups, start=1):
            reserved_s = (len(groups) - index) * self._limits.group_reserve_s
            await self._stop_group(group, max(0.0, ends_at - reserved_s - clock()))

    async def _stop_group(self, group: list[KeptChild], limit_s: float) -> None:
        for child in group:
            child.stop()
        tasks = [self._tasks[child] for child in group]
        await asyncio.wait(tasks, timeout=limit_s)
        for child in group:
            if not self._tasks[child].done():
                self._log.warning("child_killed", child=child.spec.name, drain_s=round(limit_s, 3))
                child.kill()
        await asyncio.wait(tasks)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stop, "SIGTERM", 0)
        loop.add_signal_handler(signal.SIGINT, self._interrupted)
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGTERM)
            loop.remove_signal_handler(signal.SIGINT)

    def _interrupted(self) -> None:
        if not self._stopping.is_set():
            self._stop("SIGINT", 0)
            return
        # Only a second Ctrl-C forces. A second SIGTERM does not: make and systemd may each send
        # one to the same process for the same stop.
        self._log.warning("killing_all", reason="second SIGINT")
        self._exit_code = FORCED
        for child in self._children:
            child.kill()


def _grouped(
    children: Sequence[KeptChild], order: Callable[[KeptChild], int]
) -> list[list[KeptChild]]:
    in_order = sorted(children, key=order)
    return [list(group) for _, group in itertools.groupby(in_order, key=order)]
