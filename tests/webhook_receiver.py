"""A webhook receiver: checks signatures with code of its own, and can be told what to answer."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import ssl
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

SECRET = "whsec_" + base64.b64encode(b"a secret of the tests, 32 bytes!").decode()


@dataclass(frozen=True)
class Received:
    """One attempt, as it came."""

    path: str
    webhook_id: str
    timestamp_s: int
    document: Any
    is_signed: bool


@dataclass
class Receiver:
    """`answers` are given first, each once; then 204. `received` holds every attempt."""

    url: str = ""
    answers: deque[web.Response] = field(default_factory=deque)
    received: list[Received] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def refuse(self, *statuses: int) -> None:
        """Answer the next attempts with these."""
        self.answers.extend(web.Response(status=status) for status in statuses)

    def at(self, path: str) -> list[Received]:
        """The attempts that came to a path."""
        return [attempt for attempt in self.received if attempt.path == path]

    async def wait_for(self, path: str, count: int) -> list[Received]:
        """Return when so many attempts have come to a path."""
        while len(found := self.at(path)) < count:
            self._changed.clear()
            await self._changed.wait()
        return found

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = request.headers
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        key = base64.b64decode(SECRET.removeprefix("whsec_"))
        wanted = "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
        self.received.append(
            Received(
                request.raw_path,
                headers["webhook-id"],
                int(headers["webhook-timestamp"]),
                json.loads(body),
                wanted in headers["webhook-signature"].split(" "),
            )
        )
        self._changed.set()
        return self.answers.popleft() if self.answers else web.Response(status=204)


@asynccontextmanager
async def running_receiver(tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """A receiver on a free port of this machine; over https with `tls`."""
    receiver = Receiver()
    application = web.Application()
    application.router.add_post("/{path:.*}", receiver.handle)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        scheme = "http" if tls is None else "https"
        receiver.url = f"{scheme}://127.0.0.1:{runner.addresses[0][1]}/hook"
        yield receiver
    finally:
        await runner.cleanup()
