"""Stored requests and owed webhooks, while gateways, workers and the queue die or stand still."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.answered_later import HOLD, LaterRig, running_later
from tests.gate import HELD, held_run
from tests.system import TestedGateway
from tests.tiny_models import infer_body
from tests.webhook_receiver import SECRET, running_receiver

pytestmark = pytest.mark.asyncio(loop_scope="module")

TAKEN_OVER_S_MAX = 20.0
MANY = 90


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig() -> AsyncIterator[LaterRig]:
    """What a test has broken it replaces: the last gateway and the last worker are there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BATCHBRIDGE_WEBHOOK_SECRET", SECRET)
        patch.setenv("BATCHBRIDGE_WEBHOOK_HOSTS", "127.0.0.1:*")
        async with running_later() as running:
            yield running


async def take_over(rig: LaterRig) -> TestedGateway:
    """Start another gateway, which is talked to from now on; return the one before."""
    before = rig.system.gateways[-1]
    rig.url = (await rig.system.start_gateway()).url
    return before


async def test_a_request_whose_gateway_is_killed_is_answered_by_another(rig: LaterRig) -> None:
    location = await rig.accepted(HOLD, json=infer_body([HELD]))
    async with held_run(rig.gate):
        rig.system.gateways[-1].signal(signal.SIGKILL)
        await take_over(rig)
    async with asyncio.timeout(TAKEN_OVER_S_MAX), held_run(rig.gate):
        pass
    answer = await rig.answer(location)
    assert (answer.status, b'"data":[-1.0]' in answer.body) == (200, True)


async def test_of_many_requests_none_is_lost_or_mixed_up_when_gateways_are_killed(
    rig: LaterRig,
) -> None:
    values = range(MANY)
    locations = [await rig.accepted(HOLD, json=infer_body([float(n)])) for n in values]
    for some in (MANY // 3, MANY // 2):
        (await take_over(rig)).signal(signal.SIGKILL)
        await rig.ended(locations[some])
    answers = [json.loads((await rig.answer(location)).body) for location in locations]
    assert [answer["outputs"][0]["data"] for answer in answers] == [[2.0 * n + 1] for n in values]


async def test_a_gateway_that_ends_gives_back_what_it_has(rig: LaterRig) -> None:
    location = await rig.accepted(HOLD, json=infer_body([HELD]))
    async with held_run(rig.gate):
        assert await (await take_over(rig)).terminate() == 0
    async with held_run(rig.gate):
        pass
    assert (await rig.answer(location)).status == 200


async def test_what_a_gateway_says_after_its_lease_is_refused(rig: LaterRig) -> None:
    location = await rig.accepted(HOLD, json=infer_body([HELD]))
    async with held_run(rig.gate):
        rig.system.gateways[-1].signal(signal.SIGSTOP)
        frozen = await take_over(rig)
    # The answer of the first run waits for the frozen gateway, in its list of results.
    async with asyncio.timeout(TAKEN_OVER_S_MAX), held_run(rig.gate):
        pass
    first = await rig.whole_answer(location)
    frozen.signal(signal.SIGCONT)
    await frozen.logs.wait_for("stored_request_left")
    assert await rig.whole_answer(location) == first
    await frozen.terminate()


async def test_a_webhook_is_owed_over_the_death_of_its_gateway(rig: LaterRig) -> None:
    async with running_receiver() as receiver:
        receiver.refuse(503)
        headers = {"Webhook-URL": receiver.url}
        location = await rig.accepted(HOLD, json=infer_body([1.0]), headers=headers)
        await rig.system.gateways[-1].logs.wait_for("webhook_put_off")
        rig.system.gateways[-1].signal(signal.SIGKILL)
        await take_over(rig)
        first, second = await receiver.wait_for("/hook", 2)
        assert (await rig.ended_webhook(location))["webhook"] == "delivered"
        assert (first.webhook_id, first.document) == (second.webhook_id, second.document)
        assert second.is_signed


async def test_after_the_202_a_queue_that_is_killed_loses_nothing(rig: LaterRig) -> None:
    queue, worker = rig.system.queue, rig.system.workers[-1]
    assert queue is not None
    worker.signal(signal.SIGKILL)
    await worker.end()
    locations = [await rig.accepted(HOLD, json=infer_body([n])) for n in (1.0, 2.0, 3.0)]
    os.kill(queue.pid, signal.SIGKILL)
    await queue.restart()
    await rig.system.start_worker(rig.models)
    bodies = [(await rig.answer(location)).body for location in locations]
    wanted = [b'"data":[3.0]', b'"data":[5.0]', b'"data":[7.0]']
    assert [data in body for data, body in zip(wanted, bodies, strict=True)] == [True] * 3
