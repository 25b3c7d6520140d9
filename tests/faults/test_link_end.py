"""The gateway's link to the queue ends when it is told to, whatever it was just doing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest
import redis.asyncio as aioredis

from bridge.contract.model import ModelContract
from bridge.embedded_queue import EmbeddedQueue
from bridge.gateway.framer import PackedFrame
from bridge.gateway.queue_link import READ_BLOCK_S, REPLY_S_MAX, Outbox, QueueLink
from bridge.wire import keys
from bridge.wire.clock import ServerClock
from tests.faults.rig import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Heard:
    """The link's owner: keeps the replies."""

    replies: list[bytes] = field(default_factory=list)

    def on_reply(self, data: bytes) -> None:
        self.replies.append(data)

    def on_contract(self, contract: ModelContract, digest: str) -> None:
        pass

    def on_frame_lost(self, frame: PackedFrame) -> None:
        pass

    def on_frame_queued(self, frame: PackedFrame, entry_id: bytes) -> None:
        pass

    def on_queue_lost(self) -> None:
        pass

    def on_gateways(self, count: int) -> None:
        pass


async def test_a_link_ends_although_it_is_told_to_in_the_moment_in_which_a_result_arrives() -> None:
    """The reader then sends its next command, and the cancellation used to be swallowed there."""
    async with EmbeddedQueue.start() as queue, aioredis.Redis.from_url(queue.url) as client:
        heard = Heard()
        link = QueueLink(queue.url, "g", heard, Outbox(list, list, dict), ServerClock())
        running = asyncio.create_task(link.run())
        await eventually(lambda: _is_reading(client), within_s=5.0)
        await client.rpush(keys.results_key("g"), b"result")
        running.cancel()
        await asyncio.wait({running}, timeout=READ_BLOCK_S + REPLY_S_MAX + 1.0)
        assert (running.cancelled(), heard.replies) == (True, [b"result"])


async def _is_reading(client: aioredis.Redis) -> bool:
    clients = await client.client_list()
    return any(item["cmd"] == "blmpop" and "b" in item["flags"] for item in clients)
