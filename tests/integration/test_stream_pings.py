"""A stream whose client says nothing: pinged, and cut off if it does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, cast

import aiohttp
from aiohttp import web

from bridge.gateway.connection import Connections, GatewayConnection
from bridge.gateway.stream.connection import Streams
from bridge.gateway.stream.limits import StreamLimits
from tests.streaming import handshake
from tests.unit.gateway.stream_rig import Backend

LIMITS = StreamLimits(ping_s=0.2)
PING = b"\x89\x00"
# Pings that a client answers before it is believed to be alive.
PINGS = 3


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[str, Connections]]:
    """The streaming route alone, with short limits, in this process."""
    backend, connections = cast(Any, Backend()), Connections()
    app = web.Application()
    app.router.add_get("/v2/models/{model}/stream", Streams(backend, backend, LIMITS).stream)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    assert runner.server is not None
    protocol = partial(GatewayConnection, runner.server, connections)
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", connections
    finally:
        server.close()
        await runner.cleanup()


async def test_a_client_that_answers_no_ping_is_cut_off() -> None:
    async with listening() as (url, connections):
        host, port = url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(handshake(url, "m"))
        await reader.readuntil(b"\r\n\r\n")
        received = await reader.read()
        await connections.wait_none()
        writer.close()
    assert received == PING


async def test_a_client_that_answers_pings_may_be_silent() -> None:
    async with (
        listening() as (url, connections),
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{url}/v2/models/m/stream", autoping=False) as socket,
    ):
        for _ in range(PINGS):
            message = await socket.receive()
            assert message.type is aiohttp.WSMsgType.PING
            await socket.pong(message.data)
        assert len(connections) == 1
