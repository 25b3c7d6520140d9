"""A gateway that does to a client what the test says: each connection gets the next script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import msgpack
import numpy as np
from aiohttp import WSMsgType, web

from bridge.client.settings import REQUEST_BYTES_MAX

Request = dict[str, Any]


class Connection:
    """One stream, from the gateway's side."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        self.socket = socket
        self._request = request
        self._ahead: list[Request] = []

    async def receive(self) -> Request:
        """The next request of the client."""
        while not self._ahead:
            message = await self.socket.receive()
            if message.type is not WSMsgType.BINARY:
                raise EndOfStream
            found = msgpack.unpackb(message.data)
            self._ahead += found if isinstance(found, list) else [found]
        return self._ahead.pop(0)

    async def send(self, *answers: Any) -> None:
        """Send answers, or whatever else, in one message."""
        await self.socket.send_bytes(msgpack.packb(answers[0] if len(answers) == 1 else answers))

    async def answer_all(self) -> None:
        """Answer every request with twice its value, until the client leaves."""
        while True:
            await self.send(doubled(await self.receive()))

    def cut(self) -> None:
        """Drop the connection, without a word."""
        assert self._request.transport is not None
        self._request.transport.abort()


class EndOfStream(Exception):
    """The client has closed the stream."""


Script = Callable[[Connection], Awaitable[None]]


@dataclass(frozen=True)
class Refuse:
    """A handshake, or an HTTP request, that is answered like this."""

    status: int
    headers: dict[str, str]
    body: bytes = b"{}"


class ScriptedGateway:
    """Plays its scripts in order, the last one again and again; `names` are the model paths."""

    def __init__(self, *scripts: Script | Refuse | bytes) -> None:
        self._scripts = list(scripts)
        self.names: list[str] = []
        self.url = ""
        self._asked = asyncio.Event()

    @property
    def count(self) -> int:
        """How many connections or HTTP requests there were."""
        return len(self.names)

    async def wait_for(self, count: int) -> None:
        """Return when there were so many connections or HTTP requests."""
        while self.count < count:
            self._asked.clear()
            await self._asked.wait()

    @asynccontextmanager
    async def listening(self, port: int = 0) -> AsyncIterator[ScriptedGateway]:
        """The block runs while it listens."""
        app = web.Application(client_max_size=REQUEST_BYTES_MAX)
        app.router.add_get("/v2/models/{model}", self._describe)
        app.router.add_get("/v2/models/{model}/stream", self._stream)
        app.router.add_get("/v2/models/{model}/versions/{version}/stream", self._stream)
        app.router.add_post("/v2/models/{model}/infer", self._infer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", port)
            await site.start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield self
        finally:
            await runner.cleanup()

    async def _describe(self, request: web.Request) -> web.StreamResponse:
        """Say what is doubled: one FP64 tensor x, by version 1."""
        tensor = {"name": "x", "datatype": "FP64", "shape": [-1, 1]}
        return web.json_response({"inputs": [tensor], "parameters": {"version": "1"}})

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        script = self._next(request)
        if isinstance(script, Refuse):
            return _refusal(script)
        assert callable(script)
        socket = web.WebSocketResponse(compress=False, max_msg_size=REQUEST_BYTES_MAX)
        await socket.prepare(request)
        with suppress(EndOfStream, ConnectionError):
            await script(Connection(socket, request))
        return socket

    async def _infer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        script = self._next(request)
        if isinstance(script, Refuse):
            return _refusal(script)
        if script == b"":
            assert request.transport is not None
            request.transport.abort()
        answer = doubled(msgpack.unpackb(body)) if script == b"answer" else script
        data = answer if isinstance(answer, bytes) else msgpack.packb(answer)
        return web.Response(body=data, content_type="application/msgpack")

    def _next(self, request: web.Request) -> Script | Refuse | bytes:
        self.names.append(request.match_info["model"])
        self._asked.set()
        return self._scripts[0] if len(self._scripts) == 1 else self._scripts.pop(0)


def doubled(request: Request) -> Request:
    """The answer to a request of one FP64 tensor: twice its values."""
    tensor = request["inputs"][0]
    data = (np.frombuffer(tensor["data"], "<f8") * 2).tobytes()
    answer: Request = {"outputs": [{**tensor, "name": "y", "data": data}]}
    return {**answer, "id": request["id"]} if "id" in request else answer


def error(request: Request, status: int, code: str, **more: Any) -> Request:
    """The error answer to a request."""
    return {"id": request["id"], "error": "words", "code": code, "status": status, **more}


def _refusal(refuse: Refuse) -> web.Response:
    return web.Response(
        status=refuse.status,
        headers=refuse.headers,
        body=refuse.body,
        content_type="application/json",
    )
