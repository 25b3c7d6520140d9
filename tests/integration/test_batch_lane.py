"""The batch lane against real processes: who goes first, who takes over, and what is left."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
import pytest_asyncio
import redis.asyncio as aioredis

from bridge.jobs.feeder import feed
from bridge.jobs.lane_client import LaneClient
from bridge.wire import keys
from bridge.wire.block import from_block, to_block
from bridge.wire.frame import (
    Lane,
    RequestEntry,
    RequestFrame,
    ResultFrame,
    decode_reply,
    encode_frame,
)
from tests.conftest import FindServer
from tests.faults.rig import eventually
from tests.gate import HELD, Gate, held_run
from tests.system import System, post, running_system
from tests.tiny_models import Recording, affine, infer_body, write_version

pytestmark = pytest.mark.asyncio(loop_scope="module")

BATCH_ROWS = 8
# So long that admission never refuses what waits behind a held run.
SERVING = f"[serving]\nlatency_target_ms = 60000\nmax_batch_rows = {BATCH_ROWS}\n"
MODEL_KEY = "gated@1"
STREAM = keys.batch_key(MODEL_KEY)
REPLY_S_MAX = 10


@dataclass
class Pusher:
    """Who pushes to the batch lane and awaits results, as a job does."""

    client: aioredis.Redis
    name: str

    async def push(self, *values: float, rows: int = 1, lane: Lane = "batch") -> None:
        """Push one frame to the batch lane: a request for each value, repeated over `rows`."""
        block = to_block("x", [np.repeat(values, rows).reshape(-1, 1).astype("<f8")])
        # A deadline long past: the batch lane has none.
        requests = [RequestEntry(secrets.token_bytes(16), 0, rows, 1, 1) for _ in values]
        frame = RequestFrame(secrets.token_bytes(16), self.name, lane, requests, [block])
        await self.client.xadd(STREAM, {keys.FRAME_FIELD: encode_frame(frame)})

    async def results(self, rows: int) -> list[float]:
        """The next `rows` answers, in the order in which they came."""
        answers: list[float] = []
        while len(answers) < rows:
            found: Any = await self.client.blpop([keys.results_key(self.name)], timeout=REPLY_S_MAX)
            assert found is not None, "no result"
            reply = decode_reply(found[1])
            assert isinstance(reply, ResultFrame)
            count = sum(result.rows for result in reply.results)
            answers += from_block(reply.tensors[0], count)[:, 0].tolist()
        return answers

    async def frames_read(self, stream: str) -> int:
        """How many frames of a stream workers have ever taken."""
        (group,) = await self.client.xinfo_groups(stream)
        return int(group["entries-read"] or 0)

    async def is_in_hand(self, stream: str, frames: int) -> bool:
        """Whether the worker has taken every frame, and `frames` or more ever.

        Its reader waits for more only after it has put what it read into the worker's hand.
        """
        (group,) = await self.client.xinfo_groups(stream)
        is_read = group["lag"] == 0 and await self.frames_read(stream) >= frames
        clients: Any = await self.client.client_list()
        readers = [item for item in clients if item["cmd"] == "xreadgroup"]
        return is_read and ["b" in item["flags"] for item in readers] == [True]

    async def pending(self) -> int:
        """The frames taken and not acknowledged."""
        return int((await self.client.xpending(STREAM, keys.GROUP))["pending"])

    async def is_finished(self) -> bool:
        """Whether every frame was acknowledged and removed."""
        return await self.client.xlen(STREAM) == 0 and await self.pending() == 0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gate() -> AsyncIterator[Gate]:
    async with Gate.open() as opened:
        yield opened


@pytest.fixture(scope="module")
def models(find_server: FindServer, gate: Gate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    gate.write_model(root, "gated", SERVING)
    return root


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gated(find_server: FindServer, models: Path) -> AsyncIterator[System]:
    """One worker lives at a time: the last that was started."""
    async with running_system(models, find_server=find_server) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def pusher(gated: System) -> AsyncIterator[Pusher]:
    async with gated.redis() as client:
        yield Pusher(client, f"job-{secrets.token_hex(4)}")


@pytest.fixture
def recording(models: Path, gated: System) -> Recording:
    recording = Recording(models / "gated" / "1")
    recording.forget()
    return recording


async def infer(system: System, http: aiohttp.ClientSession, *values: float) -> list[float]:
    url = f"{system.url}/v2/models/gated/infer"
    status, answer, _ = await post(http, url, infer_body(values))
    assert status == 200, answer
    data: list[float] = answer["outputs"][0]["data"]
    return data


async def test_what_is_pushed_is_answered_acknowledged_and_removed(pusher: Pusher) -> None:
    await pusher.push(1, 2)
    await pusher.push(3, rows=2)
    assert sorted(await pusher.results(4)) == [3, 5, 7, 7]
    await eventually(pusher.is_finished, within_s=5)


async def test_online_requests_go_first_and_the_batch_lane_fills_what_they_leave(
    gate: Gate, gated: System, http: aiohttp.ClientSession, pusher: Pusher, recording: Recording
) -> None:
    held = asyncio.create_task(infer(gated, http, HELD))
    async with held_run(gate):
        await pusher.push(*range(10, 10 + BATCH_ROWS))
        await eventually(partial(pusher.is_in_hand, STREAM, 0), within_s=5)
        online = keys.online_key(MODEL_KEY)
        already = await pusher.frames_read(online)
        call = asyncio.create_task(infer(gated, http, 1, 2))
        await eventually(partial(pusher.is_in_hand, online, already + 1), within_s=5)
    assert (await call, await held) == ([3, 5], [2 * HELD + 1])
    await pusher.results(BATCH_ROWS)
    batches = [batch["first"] for batch in recording.batches()]
    assert batches == [[HELD], [1, 2, *range(10, 16)], [16, 17]]


async def test_a_worker_holds_no_more_of_a_long_queue_than_it_runs_next(
    gate: Gate, pusher: Pusher
) -> None:
    await pusher.push(HELD, rows=4)
    async with held_run(gate):
        for value in range(50):
            await pusher.push(value, rows=4)
        held = await pusher.pending()
    await pusher.results(204)
    assert held <= 1 + BATCH_ROWS // 4


async def test_what_a_dead_worker_had_in_hand_is_taken_over(
    gate: Gate, gated: System, models: Path, pusher: Pusher
) -> None:
    await pusher.push(HELD)
    async with held_run(gate):
        gated.workers[-1].child.kill()
        await gated.workers[-1].end()
        await gated.start_worker(models)
    async with held_run(gate):
        pass
    assert await pusher.results(1) == [2 * HELD + 1]
    await eventually(pusher.is_finished, within_s=5)


async def test_a_worker_that_ends_leaves_the_batch_lane_to_others(
    gate: Gate, gated: System, models: Path, pusher: Pusher
) -> None:
    await pusher.push(HELD)
    async with held_run(gate):
        for value in range(50):
            await pusher.push(value, rows=4)
        gated.workers[-1].child.terminate()
        await gated.workers[-1].logs.wait_for("draining")
    assert await gated.workers[-1].end() == 0
    assert await pusher.pending() == 0
    left = await pusher.client.xlen(STREAM)
    await gated.start_worker(models)
    await pusher.results(201)
    assert left > 0


async def test_a_frame_of_the_other_lane_is_a_dead_letter(pusher: Pusher) -> None:
    await pusher.push(1, lane="online")

    await eventually(pusher.is_finished, within_s=5)
    letters: Any = await pusher.client.xrange(keys.dead_key(MODEL_KEY))
    ((_, letter),) = letters
    assert letter[keys.REASON_FIELD] == b"a frame of the lane online"


@pytest.mark.parametrize("name", ["job:junk", "job:ab:1:9-2:0", "job:ab:1:0-9:2"])
async def test_a_frame_with_a_strange_address_of_a_job_harms_no_worker(
    pusher: Pusher, name: str
) -> None:
    await Pusher(pusher.client, name).push(1, 2)
    await pusher.push(3)
    assert await pusher.results(1) == [7]
    await eventually(pusher.is_finished, within_s=5)


async def test_the_feeder_of_the_benchmark_keeps_the_lane_full_and_leaves_nothing(
    find_server: FindServer, tmp_path: Path
) -> None:
    write_version(tmp_path, "plain", graph=affine(2, 1))
    async with running_system(tmp_path, find_server=find_server) as running:
        client = LaneClient(running.queue_url, "plain@1")
        rows, seconds = await asyncio.to_thread(feed, client, 0.5)
        client.close()
        async with running.redis() as redis:

            async def is_empty() -> bool:
                return not await redis.xlen(keys.batch_key("plain@1"))

            await eventually(is_empty, within_s=5)
            left = await redis.keys("bb:gateway:lane-*")
    assert (rows > 0, seconds, left) == (True, 0.5, [])
