"""The link to the queue loses a reply, cuts bytes apart, or drops: one answer each, never two."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from bridge.wire import keys
from tests.faults.connection import Answer, Ask
from tests.faults.load import load
from tests.faults.proxy import Loss, bad_link
from tests.faults.rig import MIRROR, Rig, running_rig

pytestmark = pytest.mark.asyncio(loop_scope="module")

STREAM = keys.online_key(MIRROR)
DROPS = 5


@dataclass(frozen=True)
class LostReply:
    """What was seen when the reply to an XADD was lost."""

    answer: Answer
    enqueued: int
    next_is_right: bool
    strays: float


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=Loss)
async def lost_reply(request: pytest.FixtureRequest) -> LostReply:
    """The worker is held, so that what was enqueued is seen; it goes on afterwards."""
    async with running_rig(gateways=0) as rig, bad_link(rig.system.queue_url) as link:
        gateway = await rig.system.start_gateway("--redis", link.url)
        assert await rig.answers_right()
        before = await _enqueued(rig)
        connects = len(gateway.logs.events("queue_connected"))
        async with await rig.connect() as caller:
            async with rig.busy_worker():
                link.lose_next_reply(request.param)
                answer = await caller.ask(Ask(nonce=1, timeout_ms=20_000))
                await gateway.logs.wait_for("queue_connected", connects + 1)
                enqueued = await _enqueued(rig) - before
            # On the same connection: a second answer to the first request would come first.
            following = Ask(nonce=2)
            right = (await caller.ask(following)).is_for(following)
        return LostReply(answer, enqueued, right, await rig.metric("stray_results"))


async def _enqueued(rig: Rig) -> int:
    """How many frames of `mirror` were ever enqueued."""
    async with rig.system.redis() as client:
        return int((await client.xinfo_stream(STREAM))["entries-added"])


async def test_a_request_whose_enqueueing_is_unknown_is_answered_503(
    lost_reply: LostReply,
) -> None:
    assert lost_reply.answer.code == "503 queue_unavailable"


async def test_a_frame_whose_reply_was_lost_is_not_enqueued_again(lost_reply: LostReply) -> None:
    assert lost_reply.enqueued == 1


async def test_a_frame_whose_reply_was_lost_gives_no_second_answer(lost_reply: LostReply) -> None:
    assert lost_reply.next_is_right


async def test_the_result_of_a_frame_whose_reply_was_lost_is_counted_and_dropped(
    lost_reply: LostReply,
) -> None:
    assert lost_reply.strays >= 1


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sliced() -> AsyncIterator[Rig]:
    """A gateway that gets every byte from the queue alone."""
    async with (
        running_rig(gateways=0) as rig,
        bad_link(rig.system.queue_url, slices=True) as link,
    ):
        await rig.system.start_gateway("--redis", link.url)
        yield rig


async def test_every_answer_is_right_when_the_link_cuts_all_bytes_apart(sliced: Rig) -> None:
    async with load(sliced.url, per_s=40.0, pause_ms=0.0) as tally:
        await tally.more(80)
    assert (set(tally.outcomes), tally.crossed, tally.lost) == ({"ok"}, [], [])


async def test_a_link_that_cuts_all_bytes_apart_is_not_lost(sliced: Rig) -> None:
    assert await sliced.answers_right()
    assert sliced.system.gateways[0].logs.events("queue_lost") == []


async def test_dropped_connections_cross_no_answers_and_lose_none() -> None:
    async with running_rig() as rig, rig.system.redis() as client, load(rig.url) as tally:
        for _ in range(DROPS):
            await tally.more(40)
            await client.client_kill_filter(_type="normal", skipme=True)
        await tally.more(100)
    allowed = {"ok", "503 queue_unavailable", "503 no_worker", "504 deadline_exceeded"}
    assert (tally.crossed, tally.lost, set(tally.outcomes) - allowed) == ([], [], set())
