"""Named points at which a process is killed: a proxy in front of the queue sees them pass.

No process knows of it: what a process asks of the queue, and what it is answered, tells how far
it has come.
"""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

READ_BYTES = 2**20


@dataclass(frozen=True)
class KillPoint:
    """Where to kill: at the `nth` piece of traffic that holds `mark`.

    `in_reply`: of what the queue answers, else of what it is asked. `is_passed_on`: the other side
    still gets it.
    """

    name: str
    mark: bytes
    in_reply: bool = False
    is_passed_on: bool = False


class KillingProxy:
    """Passes everything on, and kills one process when it reaches its point."""

    def __init__(self, url: str, upstream: str) -> None:
        self.url = url
        self._upstream = upstream
        self._point: KillPoint | None = None
        self._left = 0
        self._pid: int | None = None
        self.killed = asyncio.Event()

    def arm(self, point: KillPoint, nth: int = 1) -> None:
        """Kill at the `nth` passing of a point from now on; whom, `aim` says."""
        self._point, self._left = point, nth
        self.killed.clear()

    def aim(self, pid: int) -> None:
        """Say which process it will be."""
        self._pid = pid

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Join one client with the queue until one of them goes."""
        below, above = await asyncio.open_unix_connection(self._upstream)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pass_on(reader, above, is_reply=False))
                tasks.create_task(self._pass_on(below, writer, is_reply=True))
        except* OSError:
            pass  # one side has gone, and the other follows
        finally:
            writer.transport.abort()
            above.transport.abort()

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_reply: bool
    ) -> None:
        while data := await reader.read(READ_BYTES):
            point = self._point
            if point is None or point.in_reply is not is_reply or point.mark not in data:
                writer.write(data)
                await writer.drain()
                continue
            self._left -= 1
            is_now = self._left <= 0
            if not is_now or point.is_passed_on:
                writer.write(data)
                await writer.drain()
            if is_now:
                self._kill()
        raise ConnectionResetError

    def _kill(self) -> None:
        assert self._pid is not None
        self._point = None
        os.kill(self._pid, signal.SIGKILL)
        self.killed.set()


@asynccontextmanager
async def killing_proxy(queue_url: str) -> AsyncIterator[KillingProxy]:
    """A proxy in front of the queue at a `unix://` address."""
    with tempfile.TemporaryDirectory(prefix="bb-kill-") as folder:
        path = f"{folder}/kill.sock"
        proxy = KillingProxy(f"unix://{path}", unquote(urlsplit(queue_url).path))
        async with await asyncio.start_unix_server(proxy.serve, path):
            yield proxy


def told(seed: int, names: list[str]) -> str:
    """What a seed killed, where and how often, for the log of a run."""
    counted = "".join(f"\n  {count:4} {name}" for name, count in sorted(Counter(names).items()))
    return f"seed {seed}: {len(names)} kills{counted}"
