"""How a stream ends: with its gateway, or because its client takes nothing."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import aiohttp
import msgpack
import numpy as np
import pytest

from bridge.gateway.connection import DEFAULT_LIMITS
from bridge.gateway.stream.limits import DEFAULT_STREAM_LIMITS
from tests.faults.rig import running_rig
from tests.gate import HELD
from tests.raw_http import ask, request, resident_bytes
from tests.streaming import (
    Closed,
    StreamClient,
    frame,
    handshake,
    row_request,
    tensors_request,
    value_of,
)
from tests.system import running_system
from tests.tiny_models import PATIENT, affine, tensors, write_version

pytestmark = pytest.mark.asyncio(loop_scope="module")

GOING_AWAY = {"going_away": True}
GONE = Closed(1001, "going away")
# What the machine may be late.
SLACK_S = 8.0
WIDTH = 1_024
ROWS = 64
GROWTH_BYTES_MAX = 250 * 2**20


async def test_a_gateway_that_leaves_answers_what_has_begun_and_begins_no_more(
    http: aiohttp.ClientSession,
) -> None:
    async with (
        running_rig() as rig,
        StreamClient.open(http, rig.url, "hold") as stream,
    ):
        gateway = rig.system.gateways[0]
        await stream.send(row_request("held", HELD))
        run = await rig.held()
        ending = asyncio.create_task(gateway.terminate())
        await gateway.logs.wait_for("draining")
        # Sent before the client was told: served like a request over an open HTTP connection.
        await stream.send(row_request("late", 1.0))
        assert await stream.receive()
        await gateway.logs.wait_for("closing_idle_connections")
        await stream.send(row_request("too late", 2.0))
        run.let_go()
        closed = await stream.end()
        exit_code = await ending
    values = {answer["id"]: value_of(answer) for answer in stream.answers[1:]}
    assert (stream.answers[0], values) == (GOING_AWAY, {"held": 2 * HELD + 1, "late": 3.0})
    assert (closed, exit_code) == (GONE, 0)


async def test_an_idle_stream_is_told_and_closed(http: aiohttp.ClientSession) -> None:
    async with (
        running_rig() as rig,
        StreamClient.open(http, rig.url, "mirror") as stream,
    ):
        ending = asyncio.create_task(rig.system.gateways[0].terminate())
        closed = await stream.end()
        assert (stream.answers, closed, await ending) == ([GOING_AWAY], GONE, 0)


async def test_a_gateway_that_is_cut_off_closes_without_saying_that_it_was_done(
    http: aiohttp.ClientSession,
) -> None:
    async with (
        running_rig() as rig,
        StreamClient.open(http, rig.url, "hold") as stream,
    ):
        await stream.send(row_request("held", HELD))
        run = await rig.held()
        rig.system.gateways[0].child.kill()
        closed = await stream.end()
        run.let_go()
    assert (stream.answers, closed.code) == ([], 1006)


async def test_a_client_that_takes_no_answers_is_cut_off_and_costs_little_memory(
    tmp_path: Path,
) -> None:
    write_version(
        tmp_path,
        "wide",
        graph=affine(2, 1, width=WIDTH),
        contract=PATIENT + tensors(width=WIDTH),
    )
    wide = tensors_request("0", {"x": np.zeros((ROWS, WIDTH))})
    loop = asyncio.get_running_loop()
    async with running_system(tmp_path) as system:
        url, pid = system.url, system.gateways[0].pid
        before = resident_bytes(pid)
        reader, writer = await asyncio.open_connection("127.0.0.1", system.gateways[0].port)
        writer.write(handshake(url, "wide"))
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        started_s = loop.time()
        try:
            with pytest.raises(ConnectionError):
                # While the gateway waits for its answers to be taken it reads nothing more.
                for number in itertools.count():
                    writer.write(frame(msgpack.packb({**wide, "id": str(number)})))
                    await writer.drain()
        finally:
            writer.transport.abort()
        took_s = loop.time() - started_s
        assert took_s < DEFAULT_LIMITS.send_s + SLACK_S + DEFAULT_STREAM_LIMITS.close_s
        assert resident_bytes(pid) - before < GROWTH_BYTES_MAX
        alive = await ask(url, request(path="/v2/health/ready"))
    assert alive is not None
    assert alive.status == 200
