"""The load generator against servers whose every answer is known, over real sockets."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from loadtest.arrivals import Constant, Poisson, draw
from loadtest.closed_loop import ClosedLoop
from loadtest.open_loop import OpenLoop
from loadtest.progress import Progress
from loadtest.runner import ClosedPlan, Onlooker, run_closed, run_open
from loadtest.summary import latency_ms, latency_summary
from loadtest.traffic import LEFT, LOST, TIMED_OUT, WRONG, Floats, Recording, Traffic
from tests.known_server import (
    DROP,
    OK,
    OK_AND_CLOSE,
    REFUSED,
    REFUSED_AND_CLOSE,
    KnownServer,
    known_server,
)

BODIES = [b"first" * 10, b"second" * 10]
# A run ends by itself long before: what never comes would only be noticed here.
pytestmark = pytest.mark.timeout(30)


def request(body: bytes) -> bytes:
    return b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def traffic_to(port: int, count: int, **changes: Any) -> Traffic:
    settings: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": port,
        "requests": [request(body) for body in BODIES],
        "choice": np.arange(count) % len(BODIES),
        "connections_max": 500,
        "timeout_s": 5.0,
    }
    return Traffic(**(settings | changes))


async def sent(server: KnownServer, times: Floats, **changes: Any) -> Recording:
    """Send to the server at these times, from this process."""
    loop = asyncio.get_running_loop()
    traffic = traffic_to(server.port, len(times), **changes)
    return await OpenLoop(traffic, times).run(loop.time() + 0.05)


def counted(recording: Recording) -> dict[int, int]:
    return dict(Counter(recording.status.tolist()))


TIMES = draw(Poisson(rate=400), 0.5, 1)
COUNT = len(TIMES)

# A server that answers in 10 ms and stands still from 1 to 2 s, asked 200 times a second for 3 s.
STALL_TIMES = draw(Constant(rate=200), 3.0, 0)
STALL_FROM_S, STALL_UNTIL_S, ANSWER_S = 1.0, 2.0, 0.01
STALL_MS = np.sort(
    1e3
    * np.where(
        (STALL_TIMES + ANSWER_S >= STALL_FROM_S) & (STALL_TIMES + ANSWER_S < STALL_UNTIL_S),
        STALL_UNTIL_S - STALL_TIMES,
        ANSWER_S,
    )
)
# A timer may come this much early; late a busy machine makes any answer, so that is not bounded.
EARLY_MS = 2.0


async def stalled() -> Recording:
    async with known_server(KnownServer(delay_s=ANSWER_S)) as server:
        start_s = asyncio.get_running_loop().time() + 0.05
        server.stall_from_s = start_s + STALL_FROM_S
        server.stall_until_s = start_s + STALL_UNTIL_S
        traffic = traffic_to(server.port, len(STALL_TIMES))
        return await OpenLoop(traffic, STALL_TIMES).run(start_s)


async def test_a_stall_is_reported_in_full() -> None:
    percentiles = latency_summary(await stalled()).percentiles_ms
    wanted = {"90": STALL_MS[539], "99": STALL_MS[593], "100": STALL_MS[599]}
    hidden = {name: ms for name, ms in wanted.items() if percentiles[name] < ms - EARLY_MS}
    assert (hidden, percentiles["50"] < STALL_MS[539]) == ({}, True)


async def test_every_request_that_fell_into_a_stall_is_seen() -> None:
    affected = np.count_nonzero(latency_ms(await stalled()) > 150 - EARLY_MS)
    # All due in the second of the stall, but for its last 150 ms: 200 * 0.85.
    assert np.count_nonzero(STALL_MS > 150) <= affected < len(STALL_MS) / 2


async def test_a_closed_loop_hides_the_same_stall() -> None:
    async with known_server(KnownServer(delay_s=ANSWER_S)) as server:
        start_s = asyncio.get_running_loop().time() + 0.05
        server.stall_from_s = start_s + STALL_FROM_S
        server.stall_until_s = start_s + STALL_UNTIL_S
        recording = await ClosedLoop(traffic_to(server.port, 100), 4, 3.0).run(start_s)
    # Four callers wait, and nobody asks meanwhile: 4 late answers instead of 170.
    assert np.count_nonzero(latency_ms(recording) > 150) == 4


async def test_a_sleepers_answers_take_its_time() -> None:
    async with known_server(KnownServer(delay_s=ANSWER_S)) as server:
        recording = await sent(server, TIMES)
    assert (counted(recording), latency_ms(recording).min() >= 10.0) == ({200: COUNT}, True)


async def test_exactly_what_was_drawn_is_sent() -> None:
    async with known_server(KnownServer()) as server:
        await sent(server, TIMES)
    assert Counter(server.bodies) == Counter(BODIES[i % 2] for i in range(COUNT))


async def test_nothing_is_sent_before_its_time() -> None:
    async with known_server(KnownServer()) as server:
        recording = await sent(server, TIMES)
    assert (bool((recording.sent_s >= TIMES).all()), bool((recording.lag_s >= 0).all())) == (
        True,
        True,
    )


async def test_lost_connections_are_counted_and_replaced() -> None:
    server = KnownServer(answer=lambda number: DROP if number % 10 == 9 else OK)
    async with known_server(server):
        recording = await sent(server, TIMES)
    assert counted(recording) == {200: COUNT - COUNT // 10, LOST: COUNT // 10}


async def test_a_server_that_closes_after_each_answer_is_asked_on_new_connections() -> None:
    async with known_server(KnownServer(answer=lambda number: OK_AND_CLOSE)) as server:
        recording = await sent(server, TIMES)
    assert (counted(recording), len(server.connections) >= COUNT) == ({200: COUNT}, True)


async def test_a_server_that_closes_at_once_costs_each_request_one_connection() -> None:
    async with known_server(KnownServer(closes_at_once=True)) as server:
        recording = await sent(server, TIMES)
    assert (counted(recording), len(server.connections) <= COUNT) == ({LOST: COUNT}, True)


@pytest.mark.parametrize("refusal", [REFUSED, REFUSED_AND_CLOSE])
async def test_a_refused_request_is_sent_again_as_often_as_allowed(refusal: bytes) -> None:
    async with known_server(KnownServer(answer=lambda number: refusal)) as server:
        recording = await sent(server, TIMES, retries=3)
    assert (counted(recording), server.requests, set(recording.tries.tolist())) == (
        {429: COUNT},
        4 * COUNT,
        {4},
    )


async def test_a_retry_that_succeeds_counts_as_answered() -> None:
    server = KnownServer(answer=lambda number: REFUSED if number < 20 else OK)
    async with known_server(server):
        recording = await sent(server, TIMES, retries=30)
    assert (counted(recording), int(recording.tries.sum())) == ({200: COUNT}, COUNT + 20)


async def test_without_retries_a_refusal_is_final() -> None:
    async with known_server(KnownServer(answer=lambda number: REFUSED)) as server:
        recording = await sent(server, TIMES)
    assert (counted(recording), server.requests) == ({429: COUNT}, COUNT)


async def test_callers_leave_without_their_answers() -> None:
    leaves_s = np.where(np.arange(COUNT) % 2 == 0, 0.01, np.nan)
    async with known_server(KnownServer(delay_s=0.5)) as server:
        recording = await sent(server, TIMES, leaves_s=leaves_s)
    left = recording.status == LEFT
    assert (left.tolist(), counted(recording)[200]) == ((~np.isnan(leaves_s)).tolist(), COUNT // 2)


async def test_slow_callers_send_whole_bodies() -> None:
    async with known_server(KnownServer()) as server:
        recording = await sent(server, TIMES, pieces=5, piece_gap_s=0.02)
    assert (counted(recording), set(server.bodies), latency_ms(recording).min() >= 80) == (
        {200: COUNT},
        set(BODIES),
        True,
    )


async def test_an_early_answer_to_a_slow_caller_does_not_garble_the_next_request() -> None:
    server = KnownServer(answer=lambda number: REFUSED, answers_early=True)
    async with known_server(server):
        recording = await sent(server, TIMES, pieces=5, piece_gap_s=0.02)
    assert (counted(recording), server.requests) == ({429: COUNT}, COUNT)


async def test_unanswered_requests_time_out_and_the_run_ends() -> None:
    async with known_server(KnownServer(answer=lambda number: None)) as server:
        recording = await sent(server, TIMES, timeout_s=0.4)
    waited_s = (recording.done_s - recording.intended_s).min()
    assert (counted(recording), waited_s >= 0.4) == ({TIMED_OUT: COUNT}, True)


async def test_requests_without_a_free_connection_wait_and_the_wait_counts() -> None:
    times = np.zeros(40)
    async with known_server(KnownServer(delay_s=0.02)) as server:
        recording = await sent(server, times, connections_max=4)
    # Ten rounds of four, 20 ms each.
    assert (recording.connections, latency_ms(recording).max() >= 200) == (4, True)


async def test_a_server_that_is_down_is_counted(unused_tcp_port: int) -> None:
    recording = await sent(KnownServer(port=unused_tcp_port), TIMES)
    assert counted(recording) == {LOST: COUNT}


async def test_a_server_that_goes_away_in_the_middle_is_counted() -> None:
    gone = 50

    def answer(number: int) -> bytes:
        if number == gone:
            server.go_away()
        return OK

    server = KnownServer(answer=answer)
    async with known_server(server):
        recording = await sent(server, TIMES)
    counts = counted(recording)
    assert (set(counts), sum(counts.values()), counts[200] <= gone) == ({200, LOST}, COUNT, True)


async def test_wrong_answers_are_counted() -> None:
    def is_right(choice: int, body: bytes) -> bool:
        return choice == 0 and body == b"{}"

    async with known_server(KnownServer()) as server:
        recording = await sent(server, TIMES, is_right=is_right)
    assert counted(recording) == {200: -(-COUNT // 2), WRONG: COUNT // 2}


async def test_bytes_that_are_no_http_are_a_lost_request() -> None:
    async with known_server(KnownServer(answer=lambda number: b"hello?\r\n\r\n")) as server:
        recording = await sent(server, TIMES)
    assert counted(recording) == {LOST: COUNT}


async def test_no_drawn_times_make_an_empty_recording() -> None:
    async with known_server(KnownServer()) as server:
        recording = await sent(server, np.zeros(0))
    assert (len(recording.status), server.requests) == (0, 0)


async def test_the_callers_of_a_closed_loop_time_out_and_come_back() -> None:
    server = KnownServer(answer=lambda number: None if number < 4 else OK, delay_s=0.01)
    async with known_server(server):
        now_s = asyncio.get_running_loop().time()
        traffic = traffic_to(server.port, 10, timeout_s=0.3)
        recording = await ClosedLoop(traffic, 4, 1.0).run(now_s)
    counts = counted(recording)
    assert (counts[TIMED_OUT], counts[200] >= 4, set(counts)) == (4, True, {TIMED_OUT, 200})


async def test_the_callers_of_a_closed_loop_come_back_after_a_lost_connection() -> None:
    server = KnownServer(answer=lambda number: DROP if number % 10 == 9 else OK, delay_s=0.005)
    async with known_server(server):
        now_s = asyncio.get_running_loop().time()
        recording = await ClosedLoop(traffic_to(server.port, 10), 4, 0.5).run(now_s)
    total = len(recording.status)
    assert counted(recording) == {200: total - total // 10, LOST: total // 10}


@pytest.fixture
def threaded_server() -> Iterator[KnownServer]:
    """A server on a thread of its own, for generators that are processes of their own."""
    server, ready = KnownServer(delay_s=0.002), threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        async with known_server(server):
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    ready.wait()
    yield server
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.close()


def test_two_processes_together_send_exactly_the_drawn_times(threaded_server: KnownServer) -> None:
    recording = run_open(traffic_to(threaded_server.port, COUNT), TIMES, 2)
    assert (recording.intended_s.tolist(), threaded_server.requests, counted(recording)) == (
        TIMES.tolist(),
        COUNT,
        {200: COUNT},
    )


def test_two_processes_keep_each_requests_body_and_leaving(threaded_server: KnownServer) -> None:
    threaded_server.delay_s = 0.5
    leaves_s = np.where(np.arange(COUNT) % 3 == 0, 0.01, np.nan)
    choice = np.arange(COUNT) % 3 % 2
    traffic = traffic_to(threaded_server.port, COUNT, leaves_s=leaves_s, choice=choice)
    recording = run_open(traffic, TIMES, 2)
    assert (recording.status == LEFT).tolist() == (~np.isnan(leaves_s)).tolist()


def test_two_processes_say_which_request_each_was(threaded_server: KnownServer) -> None:
    choice = np.arange(COUNT) % 3 % 2
    recording = run_open(traffic_to(threaded_server.port, COUNT, choice=choice), TIMES, 2)
    assert recording.choice.tolist() == choice.tolist()


async def test_a_closed_loop_says_which_request_each_was() -> None:
    async with known_server(KnownServer()) as server:
        traffic = traffic_to(server.port, 3)
        recording = await ClosedLoop(traffic, 1, 0.1).run(asyncio.get_running_loop().time())
    sent = [BODIES[which] for which in recording.choice]
    assert (sent, len(sent) > 3) == (server.bodies, True)


def test_two_processes_share_the_callers_of_a_closed_loop(threaded_server: KnownServer) -> None:
    run_closed(traffic_to(threaded_server.port, 100), ClosedPlan(5, 0.3), 2)
    assert len(threaded_server.connections) == 5


def test_progress_is_told_and_adds_up(threaded_server: KnownServer) -> None:
    told: list[Progress] = []
    times = draw(Constant(rate=500), 2.2, 0)
    onlooker = Onlooker(told.append, seconds=2.2, target_s=1.0)
    run_open(traffic_to(threaded_server.port, len(times)), times, 2, onlooker=onlooker)
    last = told[-1]
    assert (len(told) >= 2, last.in_time + last.in_flight, last.failed) == (True, last.offered, 0)


def test_a_closed_loop_cannot_begin_without_a_server(unused_tcp_port: int) -> None:
    with pytest.raises(OSError, match="Connect"):
        run_closed(traffic_to(unused_tcp_port, 10), ClosedPlan(4, 1.0), 1)
