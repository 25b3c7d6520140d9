"""S3, S19 and promise 16: mutated requests from a seed; each test is a hundred of them at once."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack

import msgspec
import pytest

from tests.raw_http import Answer, chunked, connected, request
from tests.typed_model import STRANGE, TYPED, TypedSystem, assert_alive_and_right, body

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("still_right")]

SEEDS = 20
REQUESTS_PER_SEED = 100
MUTATIONS_MAX = 4
NO_LINE_ENDS = str.maketrans("\r\n\0", "   ")
# What the gateway logs when something goes wrong that it did not foresee.
FAILURES = ("handler_failed", "connection_failed", "request_failed", "library")
# Refusals that are right without any fault of the client's.
UNAVAILABLE = {503, 504}

_MESSAGEPACK = msgspec.msgpack.encode(
    {"inputs": [{"name": "kind", "shape": [1], "datatype": "INT64", "data": bytes(8)}]}
)
_HEAD = (
    b'{"inputs":[{"name":"kind","shape":[1],"datatype":"INT64",'
    b'"parameters":{"binary_data_size":8}}]}'
)
JSON = "Content-Type: application/json"
# Path, headers and body.
POSTED = [
    (TYPED, [JSON], body()),
    (TYPED, [JSON, "X-Request-Timeout-Ms: 5000", "X-Request-Id: abc"], body(more='"id":"a",')),
    ("/v2/models/typed/versions/1/infer", [JSON, "Expect: 100-continue"], body()),
    (STRANGE, ["Content-Type: application/msgpack"], _MESSAGEPACK),
    (STRANGE, [f"Inference-Header-Content-Length: {len(_HEAD)}"], _HEAD + bytes(8)),
    ("/v2/repository/index", [JSON], b'{"ready":true}'),
]
BASES = [
    *(request("POST", path, headers, data) for path, headers, data in POSTED),
    request("POST", TYPED, ["Transfer-Encoding: chunked"]) + chunked(body()[:99], body()[99:]),
    request(path="/v2/models/typed"),
    request(path="/v2"),
    request(path="/metrics"),
]
TOKENS = [
    b"\r\n", b"\n", b"\r", b"\x00", b"\r\n\r\n", b" ", b"\t", b":", b"%", b"\xff", b"\xc0\xaf",
    b"Content-Length: 5\r\n", b"Content-Length: 99999999999\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Expect: 100-continue\r\n", b"Content-Encoding: gzip\r\n", b"Connection: Upgrade\r\n",
    b"Upgrade: websocket\r\n", b"Inference-Header-Content-Length: 7\r\n", b"HTTP/1.0", b"CONNECT",
    b"NaN", b"1e999", b"-", b"9" * 400, b"[" * 60, b"{" * 60, b'"', b"\\u0000", b"\\ud800", b"null",
    b"..", b"//", b"0\r\n\r\n", b"ffffffff\r\n", b";", b"true", b",", b"\xef\xbb\xbf",
]  # fmt: skip


def mutated_request(source: random.Random) -> bytes:
    """A request that is wrong anywhere, or in its body only, or in one header only."""
    path, headers, data = source.choice(POSTED)
    match source.randrange(3):
        case 0:
            return mutated(source, source.choice(BASES))
        case 1:
            return request("POST", path, headers, mutated(source, data))
        case _:
            header = mutated(source, source.choice(headers).encode()).decode("latin-1")
            return request("POST", path, [header.translate(NO_LINE_ENDS)], data)


def mutated(source: random.Random, whole: bytes) -> bytes:
    """Some of the bytes changed, added, removed, doubled or exchanged for those of a request."""
    data = bytearray(whole)
    for _ in range(source.randint(1, MUTATIONS_MAX)):
        at = source.randrange(len(data) + 1)
        end = min(len(data), at + source.randint(1, 16))
        match source.randrange(6):
            case 0:
                data[at:end] = source.randbytes(end - at)
            case 1:
                data[at:at] = source.choice(TOKENS)
            case 2:
                del data[at:end]
            case 3:
                data[at:at] = data[at:end] * source.randint(1, 40)
            case 4:
                data[at:at] = source.randbytes(source.randint(1, 8))
            case _:
                data[at:] = source.choice(BASES)[at:]
    return bytes(data)


async def answers_to(typed_system: TypedSystem, requests: list[bytes]) -> list[Answer]:
    """All answers to requests that are sent at once, each over a connection of its own."""
    async with AsyncExitStack() as stack:
        connections = [
            await stack.enter_async_context(connected(typed_system.url)) for _ in requests
        ]
        for connection, data in zip(connections, requests, strict=True):
            await connection.send(data)
        # A good request behind them all: when it is answered, they are too, or wait for more.
        await assert_alive_and_right(typed_system.url)
        for connection in connections:
            connection.end_sending()
        found = await asyncio.gather(*(connection.answers() for connection in connections))
    return [answer for answers in found for answer in answers]


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_no_mutated_request_makes_a_server_error_or_shows_internals(
    typed_system: TypedSystem, seed: int
) -> None:
    source = random.Random(seed)
    requests = [mutated_request(source) for _ in range(REQUESTS_PER_SEED)]
    answers = await answers_to(typed_system, requests)
    wrong = [answer for answer in answers if answer.status >= 400 and not answer.is_error_body]
    faults = [
        answer for answer in answers if answer.status >= 500 and answer.status not in UNAVAILABLE
    ]
    assert (len(answers) >= REQUESTS_PER_SEED // 2, wrong, faults) == (True, [], [])


async def test_the_requests_that_are_mutated_are_good(typed_system: TypedSystem) -> None:
    answers = await answers_to(typed_system, BASES)
    assert {answer.status for answer in answers} == {100, 200}


async def test_all_of_it_was_logged_without_a_failure(typed_system: TypedSystem) -> None:
    events = {name: typed_system.gateway.logs.events(name) for name in FAILURES}
    assert events == {name: [] for name in FAILURES}
