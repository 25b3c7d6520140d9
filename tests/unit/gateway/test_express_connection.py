"""An express connection: what it begins, in which order it answers, when it hands over."""

from __future__ import annotations

from typing import Any, cast

import pytest

from bridge.gateway.connection import READ_BUFFER_BYTES, ConnectionLimits
from bridge.gateway.express.connection import PIPELINED_MAX
from tests.raw_http import request
from tests.unit.gateway.express_rig import Rig, a_turn, post

pytestmark = pytest.mark.asyncio

SHORT = ConnectionLimits(keepalive_s=0.1, lingering_s=0.1, send_s=0.1)


async def test_a_plain_request_is_answered_without_a_handover() -> None:
    rig = Rig()
    rig.receive(post(b"one"))
    rig.answer(0, b"1")
    assert (rig.backend.begun, rig.wire.bodies, rig.successor.received) == ([b"one"], [b"1"], None)


async def test_pipelined_requests_are_begun_at_once_and_answered_in_order() -> None:
    rig = Rig()
    rig.receive(post(b"a") + post(b"b") + post(b"c"))
    for place in (2, 0, 1):
        rig.answer(place, b"%d" % place)
        await a_turn()
    assert (rig.backend.begun, rig.wire.bodies) == ([b"a", b"b", b"c"], [b"0", b"1", b"2"])


async def test_answers_of_one_turn_are_one_write() -> None:
    rig = Rig()
    rig.receive(post(b"a") + post(b"b"))
    rig.answer(1, b"1")
    rig.answer(0, b"0")
    await a_turn()
    assert (rig.wire.bodies, rig.wire.writes) == ([b"0", b"1"], 1)


async def test_nothing_is_written_after_the_last_answer() -> None:
    rig = Rig()
    rig.receive(post() * 2)
    rig.backend.is_draining = True
    rig.answer(0, b"1")
    await a_turn()
    rig.answer(1, b"2")
    await a_turn()
    assert rig.wire.bodies == [b"1"]


async def test_a_refusal_waits_for_the_answer_before_it() -> None:
    rig = Rig()
    rig.receive(post(b"a") + post(b"refused"))
    rig.answer(0, b"1")
    await a_turn()
    assert rig.wire.bodies == [b"1", b"400"]


async def test_a_body_may_come_in_pieces() -> None:
    rig = Rig()
    whole = post(b"abcdef")
    rig.receive(whole[:-5], whole[-5:-2], whole[-2:] + post(b"next"))
    assert rig.backend.begun == [b"abcdef", b"next"]


async def test_an_unusual_request_is_handed_over_from_its_first_byte() -> None:
    rig = Rig()
    rig.receive(request())
    assert (rig.successor.received, rig.backend.begun) == (request(), [])


async def test_a_handover_waits_for_the_answers_before_it() -> None:
    rig = Rig()
    rig.receive(post(b"a"))
    rig.receive(request())
    before = rig.successor.received
    rig.answer(0, b"1")
    await a_turn()
    assert (before, rig.wire.bodies, rig.successor.received) == (None, [b"1"], request())


async def test_a_connection_is_handed_over_once() -> None:
    rig = Rig()
    rig.receive(post(b"a"), request())
    rig.connection.pause_writing()
    rig.answer(0, b"1")
    rig.connection.resume_writing()
    await a_turn()
    assert rig.successor.handovers == 1


async def test_what_comes_during_a_handover_goes_with_it() -> None:
    rig = Rig()
    rig.receive(post(b"a"), b"GET /a", b" HTTP/1.1\r\n")
    rig.answer(0, b"1")
    await a_turn()
    assert rig.successor.received == b"GET /a HTTP/1.1\r\n"


async def test_bytes_that_came_with_an_unusual_request_are_not_begun() -> None:
    rig = Rig()
    rig.receive(post(b"a") + b"\x00")
    assert (rig.successor.received, rig.backend.begun) == (post(b"a") + b"\x00", [])


async def test_a_head_in_pieces_is_handed_over() -> None:
    rig = Rig()
    rig.receive(post()[:20])
    assert rig.successor.received == post()[:20]


async def test_a_head_cut_behind_another_request_is_waited_for_while_that_runs() -> None:
    rig = Rig()
    second = post(b"b")
    rig.receive(post(b"a") + second[:30], second[30:])
    assert (rig.backend.begun, rig.successor.received) == ([b"a", b"b"], None)


async def test_a_head_cut_behind_another_request_is_handed_over_when_that_is_answered() -> None:
    rig = Rig()
    rig.receive(post(b"a") + post(b"b")[:30])
    rig.answer(0, b"1")
    await a_turn()
    assert rig.successor.received == post(b"b")[:30]


async def test_a_head_that_is_refused_before_its_body_is_handed_over() -> None:
    rig = Rig()
    rig.backend.refuses_heads = True
    rig.receive(post(b"abc")[:-1])
    assert rig.successor.received == post(b"abc")[:-1]


async def test_only_so_many_requests_run_at_once_and_the_rest_follow() -> None:
    rig = Rig()
    rig.receive(post() * (PIPELINED_MAX + 5))
    at_first = len(rig.backend.begun)
    for place in range(PIPELINED_MAX):
        rig.answer(place, b"")
    await a_turn()
    await a_turn()
    assert (at_first, len(rig.backend.begun)) == (PIPELINED_MAX, PIPELINED_MAX + 5)


async def test_reading_stops_when_too_much_waits_and_goes_on_when_it_is_answered() -> None:
    rig = Rig()
    rig.receive(post() * PIPELINED_MAX, post(bytes(READ_BUFFER_BYTES)))
    was_paused = rig.wire.is_reading_paused
    for place in range(PIPELINED_MAX):
        rig.answer(place, b"")
    await a_turn()
    await a_turn()
    assert (was_paused, rig.wire.is_reading_paused) == (True, False)


async def test_nothing_is_begun_while_answers_are_not_taken() -> None:
    rig = Rig()
    rig.connection.pause_writing()
    rig.receive(post(b"a"))
    before = list(rig.backend.begun)
    rig.connection.resume_writing()
    assert (before, rig.backend.begun) == ([], [b"a"])


async def test_a_client_that_takes_nothing_is_cut_off() -> None:
    rig = Rig(SHORT)
    rig.connection.pause_writing()
    assert await rig.wire.closed.wait()


async def test_an_idle_connection_is_closed() -> None:
    rig = Rig(SHORT)
    rig.receive(post())
    rig.answer(0, b"")
    assert await rig.wire.closed.wait()


async def test_a_body_that_does_not_come_is_refused_and_read_for_a_moment() -> None:
    rig = Rig(SHORT, body_s_max=0.05)
    rig.receive(post(b"abc")[:-1])
    await rig.wire.first_written.wait()
    was_closed = rig.wire.is_closed
    await rig.wire.closed.wait()
    assert (rig.wire.bodies, was_closed) == ([b"408"], False)


async def test_a_refused_body_that_comes_after_all_ends_the_connection() -> None:
    rig = Rig(ConnectionLimits(), body_s_max=0.05)
    rig.receive(post(b"abc")[:-1])
    await rig.wire.first_written.wait()
    rig.receive(b"c")
    assert rig.wire.is_closed


async def test_who_leaves_abandons_what_is_in_flight() -> None:
    rig = Rig()
    rig.receive(post() * 2)
    rig.connection.connection_lost(None)
    assert (rig.backend.abandoned, len(rig.connections)) == ([0, 1], 0)


async def test_a_draining_gateway_answers_and_closes() -> None:
    rig = Rig()
    rig.receive(post() * 2)
    rig.backend.is_draining = True
    rig.answer(0, b"1")
    await a_turn()
    assert (rig.wire.bodies, rig.wire.is_closed) == ([b"1"], True)


async def test_an_idle_connection_is_closed_on_demand_and_a_busy_one_is_not() -> None:
    rig = Rig()
    rig.receive(post())
    rig.connection.close_if_idle()
    was_closed = rig.wire.is_closed
    rig.answer(0, b"1")
    rig.connection.close_if_idle()
    assert (was_closed, rig.wire.is_closed) == (False, True)


async def test_a_failure_nobody_expected_is_a_500_and_ends_the_connection() -> None:
    rig = Rig()
    rig.receive(post(b"broken"))
    assert (b'"internal"' in rig.wire.bodies[0], rig.wire.is_closed) == (True, True)


async def test_a_failed_answer_does_not_reach_those_who_land_with_it() -> None:
    rig = Rig()
    rig.receive(post())
    rig.answer(0, cast(Any, 5))
    assert b'"internal"' in rig.wire.bodies[0]


async def test_a_connection_beyond_the_cap_is_closed_at_once() -> None:
    rig = Rig(ConnectionLimits(connections_max=0))
    assert rig.wire.is_closed
