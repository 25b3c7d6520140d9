"""A key of ours overwritten with another type: no hot loop, and back when it is gone."""

from __future__ import annotations

import asyncio

from bridge.gateway.queue_link import RECONNECT_S_MAX
from bridge.wire.keys import results_key
from tests.faults.connection import Ask
from tests.faults.rig import eventually, running_rig


async def test_a_results_key_of_another_type_is_retried_slowly_and_survived() -> None:
    async with running_rig() as rig, rig.system.redis() as client:
        gateway = rig.system.gateways[0]
        key = results_key(gateway.logs.events("listening")[0]["gateway"])
        clock = asyncio.get_running_loop().time
        # The worker's next heartbeat would make the list again, so it must be gone first.
        rig.system.workers[0].child.terminate()
        await rig.system.workers[0].end()
        await client.set(key, "not a list")
        await gateway.logs.wait_for("queue_lost", count=1)
        started_s = clock()
        await gateway.logs.wait_for("queue_lost", count=4)
        assert clock() - started_s >= 2 * RECONNECT_S_MAX
        await client.delete(key)
        await rig.system.start_worker(rig.models)

        async def answers() -> bool:
            async with await rig.connect() as caller:
                return (await caller.ask(Ask(1))).status == 200

        await eventually(answers, within_s=10.0)
