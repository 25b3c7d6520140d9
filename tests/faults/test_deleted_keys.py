"""Keys deleted under a running system: made again at once, without a hot loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest
import pytest_asyncio
import redis.asyncio as aioredis
from redis.exceptions import ResponseError

from bridge.wire import keys
from tests.conftest import FindServer
from tests.faults.load import Tally, load
from tests.faults.rig import MIRROR, eventually, running_rig

pytestmark = pytest.mark.asyncio(loop_scope="module")

STREAM = keys.online_key(MIRROR)
# The group is made again at most once a second.
BACK_S_MAX = 2.0
REFUSED_READS_A_SECOND_MAX = 2
LINES_A_SECOND_MAX = 1
SLACK_LINES = 2


@dataclass(frozen=True)
class Deleted:
    """What was seen when keys were deleted under load."""

    tally: Tally
    back_s: float
    seconds: float
    refused_reads: int
    lines: int


DELETIONS: dict[str, Callable[[aioredis.Redis], Awaitable[object]]] = {
    "the stream": lambda client: client.delete(STREAM),
    "the group": lambda client: client.xgroup_destroy(STREAM, keys.GROUP),
    "everything": lambda client: client.flushall(),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=DELETIONS)
async def deleted(find_server: FindServer, request: pytest.FixtureRequest) -> Deleted:
    """Keys are deleted in one instant of a running load."""
    clock = asyncio.get_running_loop().time
    async with running_rig(find_server=find_server) as rig, rig.system.redis() as client:
        worker = rig.system.workers[0]
        async with load(rig.url, per_s=100.0, pause_ms=0.0, timeout_ms=1_000) as tally:
            await tally.more(50)
            lines, refused = len(worker.logs.lines), await _refused_reads(client)
            started_s = clock()
            await DELETIONS[request.param](client)
            await eventually(lambda: _has_group(client), within_s=10.0)
            await tally.more(20)
            back_s = clock() - started_s
            await tally.more(100)
        seconds = clock() - started_s
        seen = Deleted(
            tally,
            back_s,
            seconds,
            await _refused_reads(client) - refused,
            len(worker.logs.lines) - lines,
        )
        await eventually(rig.is_drained, within_s=5.0)
    return seen


async def _has_group(client: aioredis.Redis) -> bool:
    try:
        return len(await client.xinfo_groups(STREAM)) == 1
    except ResponseError:
        return False


async def _refused_reads(client: aioredis.Redis) -> int:
    stats = await client.info("commandstats")
    return int(stats["cmdstat_xreadgroup"]["failed_calls"])


async def test_the_group_is_made_again_within_2_s(deleted: Deleted) -> None:
    assert deleted.back_s <= BACK_S_MAX


async def test_reads_are_not_repeated_in_a_hot_loop(deleted: Deleted) -> None:
    assert deleted.refused_reads <= REFUSED_READS_A_SECOND_MAX * max(deleted.seconds, 1.0)


async def test_deleted_keys_cost_at_most_one_log_line_a_second(deleted: Deleted) -> None:
    assert deleted.lines <= LINES_A_SECOND_MAX * deleted.seconds + SLACK_LINES


async def test_no_answer_is_crossed_or_lost_when_keys_are_deleted(deleted: Deleted) -> None:
    assert (deleted.tally.crossed, deleted.tally.lost) == ([], [])


async def test_what_was_deleted_is_answered_by_its_deadline(deleted: Deleted) -> None:
    outcomes = set(deleted.tally.outcomes)
    assert (deleted.tally.late, outcomes <= {"ok", "504 deadline_exceeded", "429 overloaded"}) == (
        [],
        True,
    )
