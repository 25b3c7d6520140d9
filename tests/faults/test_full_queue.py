"""The queue is at maxmemory: new requests are refused, accepted ones keep their results."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import pytest
import pytest_asyncio

from tests.conftest import FindServer
from tests.faults.connection import Answer, Ask, held_request
from tests.faults.rig import Rig, eventually, is_running, running_rig

pytestmark = pytest.mark.asyncio(loop_scope="module")

BACK_S_MAX = 2.0
ACCEPTED = [Ask(nonce, timeout_ms=20_000) for nonce in range(1, 11)]


@dataclass
class Full:
    """What was seen while the queue took no writes, and afterwards."""

    refused: list[Answer] = field(default_factory=list)
    not_ready: Answer | None = None
    unacknowledged: int = 0
    back_s: float = 0.0
    accepted: list[Answer] = field(default_factory=list)
    survivors: list[bool] = field(default_factory=list)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def full(find_server: FindServer) -> Full:
    """Memory ends while requests are in the worker's hand, and is given back when they have run."""
    seen = Full()
    async with running_rig(find_server=find_server) as rig, AsyncExitStack() as stack:
        holder = await stack.enter_async_context(await rig.connect())
        await holder.send(held_request(timeout_ms=20_000))
        run = await rig.held()
        callers = [await stack.enter_async_context(await rig.connect()) for _ in ACCEPTED]
        for caller, ask in zip(callers, ACCEPTED, strict=True):
            await caller.send(ask.encode())
        await rig.wait_in_hand(len(ACCEPTED) + 1)
        worker = rig.system.workers[0]
        async with _no_memory(rig):
            seen.refused = [await rig.ask(Ask(nonce=99)) for _ in range(5)]
            seen.not_ready = await rig.get("/v2/health/ready")
            pending = await rig.pending_of(worker)
            run.let_go()
            await worker.logs.wait_for("results_refused")
            seen.unacknowledged = await rig.pending_of(worker) - pending
        seen.back_s = await eventually(rig.answers_right, within_s=10.0)
        # The held request runs a second time: its first result was refused.
        (await rig.held()).let_go()
        seen.accepted = [await caller.receive() for caller in callers]
        seen.survivors = [is_running(item) for item in (worker, rig.system.gateways[0])]
        await eventually(rig.is_drained, within_s=5.0)
    return seen


@asynccontextmanager
async def _no_memory(rig: Rig) -> AsyncIterator[None]:
    async with rig.system.redis() as client:
        before = (await client.config_get("maxmemory"))["maxmemory"]
        await client.config_set("maxmemory", 1)
        try:
            yield
        finally:
            await client.config_set("maxmemory", before)


async def test_new_requests_are_refused_503_when_the_queue_is_full(full: Full) -> None:
    assert {answer.code for answer in full.refused} == {"503 queue_unavailable"}


async def test_the_gateway_is_not_ready_when_the_queue_is_full(full: Full) -> None:
    assert full.not_ready is not None
    assert full.not_ready.status == 503


async def test_nothing_is_acknowledged_whose_result_was_refused(full: Full) -> None:
    assert full.unacknowledged == 0


async def test_accepted_requests_are_answered_right_when_there_is_room_again(full: Full) -> None:
    assert [
        answer.status == 200 and answer.is_for(ask)
        for answer, ask in zip(full.accepted, ACCEPTED, strict=True)
    ] == [True] * len(ACCEPTED)


async def test_service_is_back_within_2_s_of_room_in_the_queue(full: Full) -> None:
    assert full.back_s <= BACK_S_MAX


async def test_no_process_ends_because_the_queue_is_full(full: Full) -> None:
    assert full.survivors == [True, True]
