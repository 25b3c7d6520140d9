"""However a stream of requests is cut, none is lost, doubled, changed or begun out of its order."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from tests.raw_http import request
from tests.unit.gateway.express_rig import Rig, a_turn, post

PLAIN = st.binary(max_size=40).map(post)
OTHER = st.sampled_from(
    [request(), b"\r\n", b"\x00", request("POST", "/v2/models/m/infer", ["Expect: 100-continue"])]
)
# Mostly plain: the first other one ends the lane.
STREAMS = st.lists(st.one_of(PLAIN, PLAIN, PLAIN, PLAIN, OTHER), max_size=50)
CUTS = st.lists(st.integers(0, 4_000), max_size=20)


async def begun_and_handed_over(stream: bytes, cuts: list[int], answered: list[bool]) -> bytes:
    """Send the stream in pieces; return the requests that were begun, then all the other bytes."""
    rig = Rig()
    places = sorted({min(cut, len(stream)) for cut in cuts} | {len(stream)})
    at = settled = 0
    for number, end in enumerate(places):
        if rig.successor.received is not None:
            break
        rig.receive(stream[at:end])
        at = end
        if number < len(answered) and answered[number]:
            settled = await settle_all(rig, settled)
    while settled < len(rig.backend.settles):
        settled = await settle_all(rig, settled)
    begun = b"".join(map(post, rig.backend.begun))
    return begun + (rig.successor.received or bytes(rig.connection._buffer)) + stream[at:]


async def settle_all(rig: Rig, settled: int) -> int:
    """Answer all that was begun; return how many that are."""
    for place in range(settled, len(rig.backend.settles)):
        rig.answer(place, b"")
        settled = place + 1
    await a_turn()
    await a_turn()
    return settled


@given(STREAMS, CUTS, st.lists(st.booleans(), max_size=20))
def test_what_is_begun_and_what_is_handed_over_are_the_stream(
    requests: list[bytes], cuts: list[int], answered: list[bool]
) -> None:
    stream = b"".join(requests)
    assert asyncio.run(begun_and_handed_over(stream, cuts, answered)) == stream
