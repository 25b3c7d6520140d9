"""A bad link: a proxy in front of the queue that loses replies or cuts bytes apart."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum
from urllib.parse import unquote, urlsplit

READ_BYTES = 2**16


class Loss(Enum):
    """What becomes of the reply to an XADD."""

    SWALLOWED = "swallowed"
    CUT_OFF = "cut off"


class Proxy:
    """Passes bytes between clients and the queue, faithfully until told otherwise."""

    def __init__(self, url: str, upstream: str, *, slices: bool) -> None:
        self.url = url
        self._upstream = upstream
        self._slices = slices
        self._loss: Loss | None = None

    def lose_next_reply(self, loss: Loss) -> None:
        """Let the next XADD reach the queue, and lose its reply."""
        self._loss = loss

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Join one client with the queue until one of them goes."""
        below, above = await asyncio.open_unix_connection(self._upstream)
        link = _Link()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._requests(link, reader, above))
                tasks.create_task(self._replies(link, below, writer))
        except* OSError:
            pass  # one side has gone, and the other follows
        finally:
            writer.transport.abort()
            above.transport.abort()

    async def _requests(
        self, link: _Link, reader: asyncio.StreamReader, above: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(READ_BYTES):
            if self._loss is not None and b"XADD" in data:
                link.loss, self._loss = self._loss, None
            await self._pass_on(data, above)
        raise ConnectionResetError

    async def _replies(
        self, link: _Link, below: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while data := await below.read(READ_BYTES):
            if link.loss is None:
                await self._pass_on(data, writer)
                continue
            # The queue has answered: what was asked for is done.
            if link.loss is Loss.CUT_OFF:
                break
        raise ConnectionResetError

    async def _pass_on(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        step = 1 if self._slices else len(data)
        for start in range(0, len(data), step):
            writer.write(data[start : start + step])
            await writer.drain()
            if self._slices:
                # Each byte is sent in a turn of the loop of its own.
                await asyncio.sleep(0)


class _Link:
    """One client's way through the proxy."""

    def __init__(self) -> None:
        self.loss: Loss | None = None


@asynccontextmanager
async def bad_link(queue_url: str, *, slices: bool = False) -> AsyncIterator[Proxy]:
    """A proxy in front of the queue at a `unix://` address."""
    with tempfile.TemporaryDirectory(prefix="bb-link-") as folder:
        path = f"{folder}/link.sock"
        upstream = unquote(urlsplit(queue_url).path)
        proxy = Proxy(f"unix://{path}", upstream, slices=slices)
        async with await asyncio.start_unix_server(proxy.serve, path):
            yield proxy
