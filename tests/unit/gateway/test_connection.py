"""GatewayConnection on a real socket, around a handler of the test, with short bounds."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from aiohttp import web

from bridge.gateway.connection import ConnectionLimits, Connections, GatewayConnection
from tests.raw_http import ask, connected, exchange, request

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
# More than the socket buffers of both ends hold.
ANSWER_BYTES = 2**26
STALL_S_MAX = 0.05
SHORT = ConnectionLimits(connections_max=2, keepalive_s=0.2, lingering_s=0.2, send_s=0.2)
LONG = ConnectionLimits()
ONE = ConnectionLimits(connections_max=1)


@dataclass(frozen=True)
class Server:
    """A listening server and its connections."""

    url: str
    connections: Connections
    manager: web.Server


@asynccontextmanager
async def serving(handler: Handler, limits: ConnectionLimits = SHORT) -> AsyncIterator[Server]:
    manager = web.Server(handler, handler_cancellation=True)
    connections = Connections(limits)
    server = await asyncio.get_running_loop().create_server(
        lambda: GatewayConnection(manager, connections), "127.0.0.1", 0
    )
    host, port = server.sockets[0].getsockname()
    async with server:
        yield Server(f"http://{host}:{port}", connections, manager)
        await manager.shutdown(1.0)


async def hello(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text="hello")


async def read_all(request: web.BaseRequest) -> web.StreamResponse:
    try:
        return web.Response(body=await request.read())
    except web.RequestPayloadError:
        return web.Response(status=400)


async def large(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(body=bytes(ANSWER_BYTES))


async def broken(request: web.BaseRequest) -> web.StreamResponse:
    raise RuntimeError("/secret/path at 0x7f0000000000")


async def test_a_connection_beyond_the_cap_is_closed_at_once() -> None:
    async with serving(hello, ONE) as server, connected(server.url) as first:
        await first.send(request())
        await first.answer()
        assert await ask(server.url, request()) is None


async def test_a_connection_within_the_cap_is_kept_when_others_are_refused() -> None:
    async with serving(hello, ONE) as server, connected(server.url) as first:
        await first.send(request())
        await first.answer()
        await ask(server.url, request())
        await first.send(request())
        answer = await first.answer()
    assert answer is not None


async def test_the_place_of_a_connection_that_has_gone_is_free_again() -> None:
    async with serving(hello, ONE) as server:
        for _ in range(3):
            answers = await exchange(server.url, request(headers=["Connection: close"]))
            await server.connections.wait_none()
            assert [answer.status for answer in answers] == [200]


async def test_a_client_that_sends_nothing_is_closed() -> None:
    async with serving(hello) as server:
        assert await exchange(server.url) == []


async def test_headers_that_trickle_in_do_not_extend_the_time_for_them() -> None:
    async with serving(hello) as server, connected(server.url) as connection:
        loop = asyncio.get_running_loop()
        for place, byte in enumerate(request()[:8]):
            loop.call_later(0.05 * place, connection.writer.write, bytes([byte]))
        assert await connection.answers() == []


async def test_a_client_that_stays_after_its_answer_is_closed() -> None:
    async with serving(hello) as server:
        answers = await exchange(server.url, request())
        assert [answer.status for answer in answers] == [200]


async def test_a_client_that_never_takes_its_answer_is_cut_off() -> None:
    async with serving(large) as server, connected(server.url) as connection:
        connection.writer.transport.pause_reading()
        await connection.send(request())
        await wait_for_a_connection(server)
        assert await server.connections.wait_none() is None


async def test_a_client_that_takes_its_answer_slowly_gets_all_of_it() -> None:
    async with serving(large) as server, connected(server.url) as connection:
        transport = connection.writer.transport
        loop = asyncio.get_running_loop()
        # It stops for half of the time after which a client that takes nothing is cut off.
        for pause in range(4):
            loop.call_later(pause * 0.15, transport.pause_reading)
            loop.call_later(pause * 0.15 + 0.1, transport.resume_reading)
        await connection.send(request())
        answer = await connection.answer()
    assert answer is not None and len(answer.body) == ANSWER_BYTES


async def test_a_client_that_pipelines_without_reading_pins_only_so_many_requests() -> None:
    handled = 0

    async def count(request: web.BaseRequest) -> web.StreamResponse:
        nonlocal handled
        handled += 1
        return web.Response(body=bytes(2**20))

    async with serving(count) as server, connected(server.url) as connection:
        connection.writer.transport.pause_reading()
        connection.writer.write(request() * 10_000)
        await wait_for_a_connection(server)
        await server.connections.wait_none()
    assert handled < 64


async def test_idle_connections_are_closed_and_busy_ones_are_not() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def wait(request: web.BaseRequest) -> web.StreamResponse:
        begun.set()
        await go_on.wait()
        return web.Response(text="done")

    async with (
        serving(wait, LONG) as server,
        connected(server.url) as idle,
        connected(server.url) as busy,
    ):
        await busy.send(request(headers=["Connection: close"]))
        await begun.wait()
        server.connections.close_idle()
        closed = await idle.answers()
        go_on.set()
        answers = await busy.answers()
    assert (closed, [answer.body for answer in answers]) == ([], [b"done"])


async def test_a_body_that_turns_out_badly_framed_fails_its_reader_at_once() -> None:
    head = request("POST", headers=["Transfer-Encoding: chunked", "Expect: 100-continue"])
    async with serving(read_all, LONG) as server, connected(server.url) as connection:
        await connection.send(head, b"5\r\nhello\r\n")
        await wait_for_a_connection(server)
        await connection.send(b"ZZ\r\n")
        assert [answer.status for answer in await connection.answers()] == [400]


async def test_a_handler_that_fails_shows_nothing_of_it() -> None:
    async with serving(broken) as server:
        (answer,) = await exchange(server.url, request())
    assert (answer.status, answer.code, b"secret" in answer.body) == (500, "internal", False)


async def test_256_kb_of_one_byte_chunks_hold_the_loop_for_less_than_the_promise() -> None:
    async with serving(hello, LONG) as server:
        connection = GatewayConnection(server.manager, server.connections)
        connection.connection_made(NoTransport())
        connection.data_received(request("POST", headers=["Transfer-Encoding: chunked"]))
        data = b"1\r\na\r\n" * 42_666
        # The processor's time, which other processes on the machine do not lengthen.
        started_s = time.thread_time()
        connection.data_received(data)
        took_s = time.thread_time() - started_s
        connection.connection_lost(None)
    assert took_s <= STALL_S_MAX


class NoTransport(asyncio.Transport):
    """Takes everything and sends it nowhere."""

    def write(self, data: object) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def close(self) -> None:
        pass


async def wait_for_a_connection(server: Server) -> None:
    """Return when the server has taken a connection in: one that came later is answered."""
    with socket.socket() as probe:
        probe.setblocking(False)
        parts = server.url.removeprefix("http://").split(":")
        loop = asyncio.get_running_loop()
        await loop.sock_connect(probe, (parts[0], int(parts[1])))
        await loop.sock_sendall(probe, b"GARBAGE\r\n\r\n")
        await loop.sock_recv(probe, 1)


def test_the_default_limits_are_those_that_are_promised() -> None:
    assert (LONG.connections_max, LONG.keepalive_s) == (10_000, 10.0)


@pytest.mark.parametrize("name", ["keepalive_s", "lingering_s", "send_s"])
def test_every_wait_is_bounded(name: str) -> None:
    assert 0 < getattr(LONG, name) <= 10.0
