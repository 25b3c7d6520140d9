"""SIGTERM under load: what was accepted is answered, then the process ends with 0."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import pytest
import pytest_asyncio

from tests.faults.connection import Connection, held_request
from tests.faults.load import Tally, load
from tests.faults.rig import Rig, eventually, running_rig
from tests.faults.served import served

pytestmark = pytest.mark.asyncio(loop_scope="module")

EXIT_S_MAX = 30.0


@dataclass(frozen=True)
class Drained:
    """What was seen when a process was told to end under load."""

    tally: Tally
    exit_code: int
    seconds: float


@pytest_asyncio.fixture(
    scope="module", loop_scope="module", params=["gateway", "one of two workers", "serve"]
)
async def drained(request: pytest.FixtureRequest) -> Drained:
    """A process is sent SIGTERM while clients send over connections that it has accepted."""
    return await DRAINS[request.param]()


async def _gateway() -> Drained:
    async with running_rig() as rig:
        return await _under_load(rig, rig.system.gateways[0].terminate, is_door=True)


async def _worker() -> Drained:
    async with running_rig(workers=2) as rig:
        return await _under_load(rig, rig.system.workers[0].terminate, is_door=False)


async def _serve() -> Drained:
    async with (
        running_rig(workers=0, gateways=0) as rig,
        served(rig.models, "--workers", "2") as running,
    ):
        front = replace(rig, front=running.url)
        return await _under_load(front, running.process.terminate, is_door=True)


DRAINS: dict[str, Callable[[], Awaitable[Drained]]] = {
    "gateway": _gateway,
    "one of two workers": _worker,
    "serve": _serve,
}


async def _under_load(
    rig: Rig, terminate: Callable[[], Awaitable[int]], *, is_door: bool
) -> Drained:
    clock = asyncio.get_running_loop().time
    # A process that listens closes its connections: no others are opened, so that each one that
    # is used has been accepted.
    async with load(rig.url, reconnects=not is_door) as tally:
        await tally.more(60)
        started_s = clock()
        exit_code = await terminate()
        seconds = clock() - started_s
        if not is_door:
            await tally.more(60)
    return Drained(tally, exit_code, seconds)


async def test_no_accepted_request_fails_when_a_process_is_told_to_end(drained: Drained) -> None:
    # 429 is a refusal at the door: nothing was accepted.
    assert (drained.tally.lost, set(drained.tally.outcomes) - {"429 overloaded"}) == ([], {"ok"})


async def test_no_answer_is_crossed_when_a_process_is_told_to_end(drained: Drained) -> None:
    assert drained.tally.crossed == []


async def test_a_process_that_is_told_to_end_exits_with_0(drained: Drained) -> None:
    assert drained.exit_code == 0


async def test_a_process_that_is_told_to_end_is_gone_within_30_s(drained: Drained) -> None:
    assert drained.seconds <= EXIT_S_MAX


@pytest.mark.parametrize("part", ["gateway", "worker"])
async def test_a_request_in_a_run_is_answered_although_its_process_was_told_to_end(
    part: str,
) -> None:
    async with running_rig() as rig, await rig.connect() as caller:
        await caller.send(held_request())
        run = await rig.held()
        process = rig.system.gateways[0] if part == "gateway" else rig.system.workers[0]
        process.child.terminate()
        await process.logs.wait_for("draining")
        run.let_go()
        answer = await caller.receive()
        assert (answer.status, await process.end()) == (200, 0)


async def test_a_draining_gateway_says_that_the_connection_closes() -> None:
    async with running_rig() as rig, await rig.connect() as caller:
        await caller.send(held_request())
        run = await rig.held()
        gateway = rig.system.gateways[0]
        gateway.child.terminate()
        await gateway.logs.wait_for("draining")
        run.let_go()
        answer = await caller.receive()
        assert answer.headers["connection"] == "close"


async def test_a_draining_gateway_takes_no_new_connections() -> None:
    async with running_rig() as rig, await rig.connect() as caller:
        await caller.send(held_request())
        run = await rig.held()
        gateway = rig.system.gateways[0]
        gateway.child.terminate()
        await gateway.logs.wait_for("draining")
        try:
            # The event is logged a moment before the socket is closed.
            await eventually(lambda: _refuses(gateway.url), within_s=2.0)
        finally:
            run.let_go()
        await gateway.end()


async def _refuses(url: str) -> bool:
    try:
        connection = await Connection.open(url)
    except OSError:
        return True
    connection.abort()
    return False
