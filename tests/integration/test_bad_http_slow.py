"""Row B40 of the bad-input table: clients that send, or take, as little as they can.

The bounds are the real ones, some ten seconds, so all slow clients of this file are slow at once.
What needs shorter bounds is in tests/unit/gateway/test_connection.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from bridge.gateway.connection import DEFAULT_LIMITS
from bridge.gateway.inference import BODY_S_MAX
from tests.raw_http import Answer, ask, connected, request, resident_bytes
from tests.typed_model import TYPED, TypedSystem, assert_alive_and_right, body

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("still_right")]

HEADERS_S_MAX = DEFAULT_LIMITS.keepalive_s
# What the machine may be late, and what a refused body is still read.
SLACK_S = 1.5
CHUNKED = "Transfer-Encoding: chunked"
PIECES_PER_S = 1
GOOD_REQUESTS = 50
DEAF_REQUEST = request(path="/openapi.json")
DEAF_REQUESTS = 10_000
GROWTH_BYTES_MAX = 20 * 2**20
POSTED = ["Content-Type: application/json"]


@dataclass(frozen=True)
class Client:
    """What a client sends at once, and what it then sends of, a byte a second."""

    at_once: bytes
    slowly: bytes = b""


CLIENTS = {
    "sends nothing": Client(b""),
    "sends its headers slowly": Client(b"", request("POST", TYPED, POSTED, body())),
    "stops inside of its headers": Client(request("POST", TYPED, POSTED, body())[:40]),
    "sends empty lines": Client(b"", b"\r\n" * 20),
    "asks once and stays": Client(request()),
    "sends its body slowly": Client(
        request("POST", TYPED, [*POSTED, f"Content-Length: {len(body())}"]), body()
    ),
    "announces more than it sends": Client(
        request("POST", TYPED, [*POSTED, f"Content-Length: {len(body()) + 50}"]) + body()
    ),
    "announces a body of all 63 bits of chunk": Client(
        request("POST", TYPED, [CHUNKED]) + b"7FFFFFFFFFFFFFFF\r\nhello"
    ),
    "sends a chunk extension slowly": Client(request("POST", TYPED, [CHUNKED]) + b"2;", b"a" * 99),
    "sends trailers slowly": Client(
        request("POST", TYPED, [CHUNKED]) + b"2\r\n{}\r\n0\r\n", b"X: y\r\n" * 9
    ),
    "sends a body that nobody reads slowly": Client(
        request("POST", "/nowhere", ["Content-Length: 99"]), b"a" * 99
    ),
    "sends a body with a GET slowly": Client(request(headers=["Content-Length: 99"]), b"a" * 99),
}

BODY_TIMEOUT = (408, "timeout")
EXPECTED: dict[str, list[tuple[int, str]]] = {
    "sends nothing": [],
    "sends its headers slowly": [],
    "stops inside of its headers": [],
    "sends empty lines": [],
    "asks once and stays": [(200, "")],
    "sends its body slowly": [BODY_TIMEOUT],
    "announces more than it sends": [BODY_TIMEOUT],
    "announces a body of all 63 bits of chunk": [BODY_TIMEOUT],
    "sends a chunk extension slowly": [BODY_TIMEOUT],
    "sends trailers slowly": [BODY_TIMEOUT],
    "sends a body that nobody reads slowly": [(404, "unknown_path")],
    "sends a body with a GET slowly": [(200, "")],
}


@dataclass(frozen=True)
class Outcome:
    """What a client got until its connection was closed, and how long that took."""

    answers: list[Answer]
    seconds: float


@dataclass(frozen=True)
class Deaf:
    """A client that asks a lot and takes nothing: what it could still read, what that cost."""

    received_bytes: int
    grown_bytes: int


@dataclass(frozen=True)
class Ended:
    """How all of them ended."""

    outcomes: dict[str, Outcome]
    deaf: Deaf


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ended(typed_system: TypedSystem) -> AsyncIterator[Ended]:
    """Every client, all at once, and a good one beside them."""
    async with asyncio.TaskGroup() as tasks:
        running = {
            name: tasks.create_task(be_slow(typed_system.url, client))
            for name, client in CLIENTS.items()
        }
        tasks.create_task(be_good(typed_system.url))
        deaf = tasks.create_task(be_deaf(typed_system, list(running.values())))
    yield Ended({name: task.result() for name, task in running.items()}, deaf.result())


async def be_slow(url: str, client: Client) -> Outcome:
    """Send slowly until the server has had enough."""
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    async with connected(url) as connection:
        await connection.send(client.at_once)
        pieces = iter(client.slowly)
        loop.call_later(1 / PIECES_PER_S, send_next, connection.writer, pieces)
        answers = await connection.answers()
    return Outcome(answers, loop.time() - started_s)


def send_next(writer: asyncio.StreamWriter, pieces: Iterator[int]) -> None:
    """Send the next byte, and the one after it a second later."""
    piece = next(pieces, None)
    if piece is not None and not writer.transport.is_closing():
        writer.write(bytes([piece]))
        loop = asyncio.get_running_loop()
        loop.call_later(1 / PIECES_PER_S, send_next, writer, pieces)


async def be_good(url: str) -> None:
    """Ask well, beside the slow ones."""
    for _ in range(GOOD_REQUESTS):
        await assert_alive_and_right(url)


async def be_deaf(typed_system: TypedSystem, others: list[asyncio.Task[Outcome]]) -> Deaf:
    """Ask without taking the answers, until the others have ended; then take what is there."""
    before = resident_bytes(typed_system.gateway.pid)
    async with connected(typed_system.url) as connection:
        connection.writer.transport.pause_reading()
        connection.writer.write(DEAF_REQUEST * DEAF_REQUESTS)
        await asyncio.wait(others)
        grown = resident_bytes(typed_system.gateway.pid) - before
        connection.writer.transport.resume_reading()
        return Deaf(await connection.bytes_left(), grown)


@pytest.mark.parametrize(("name", "expected"), EXPECTED.items(), ids=EXPECTED.keys())
async def test_a_slow_client_gets_what_it_deserves_and_is_closed_in_time(
    ended: Ended, name: str, expected: list[tuple[int, str]]
) -> None:
    outcome = ended.outcomes[name]
    found = [(answer.status, answer.document.get("code", "")) for answer in outcome.answers]
    is_in_time = outcome.seconds <= max(HEADERS_S_MAX, BODY_S_MAX) + SLACK_S
    assert (found, is_in_time) == (expected, True), outcome


async def test_a_client_that_takes_no_answer_is_cut_off(
    typed_system: TypedSystem, ended: Ended
) -> None:
    answer = await ask(typed_system.url, DEAF_REQUEST)
    assert answer is not None and ended.deaf.received_bytes < DEAF_REQUESTS * len(answer.body)


async def test_a_client_that_takes_no_answer_fills_no_memory(ended: Ended) -> None:
    assert ended.deaf.grown_bytes <= GROWTH_BYTES_MAX


async def test_a_client_that_ends_its_side_is_closed_and_not_waited_for(
    typed_system: TypedSystem,
) -> None:
    async with connected(typed_system.url) as connection:
        await connection.send(request("POST", TYPED, ["Content-Length: 99"]) + b"{")
        connection.writer.write_eof()
        assert await connection.answers() == []
