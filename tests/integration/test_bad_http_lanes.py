"""Two gateways, one with the express lane and one without: the same bytes get the same answers.

The corpus is that of the other files. What differs between any two answers (ids, dates, timings)
is taken out; all the rest, the order of headers included, is compared byte for byte.
"""

from __future__ import annotations

import asyncio
import json
import random
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
import pytest_asyncio

from tests.integration.test_bad_http_framing import (
    CHUNKED,
    HEADS,
    LATE,
    LAWFUL,
    REFUSED_BY_US,
    SECOND,
)
from tests.integration.test_bad_http_framing import post as framed
from tests.integration.test_bad_http_fuzz import BASES, mutated_request
from tests.integration.test_bad_http_limits import ENCODED, HEADERS, padded
from tests.integration.test_bad_http_slow import CLIENTS, HEADERS_S_MAX, SLACK_S, be_slow
from tests.raw_http import Answer, connected, exchange, request
from tests.typed_model import (
    STRANGE,
    TYPED,
    TypedSystem,
    assert_alive_and_right,
    body,
    broken_request,
    with_data,
)

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("still_right")]

SEEDS = 4
REQUESTS_PER_SEED = 100
CLOSE = "Connection: close"
CLOSING = request(headers=[CLOSE])
JSON = "Content-Type: application/json"
NOT_FINITE = b'{"inputs":[{"name":"kind","shape":[3],"datatype":"INT64","data":[1,2,3]}]}'
# All of them are whole: each gets an answer, and the connection stays or is closed.
WHOLE: dict[str, bytes] = {
    "good": request("POST", TYPED, [JSON], body()),
    "good, its version named": request("POST", "/v2/models/typed/versions/1/infer", [], body()),
    "good, with an id": request("POST", TYPED, ["X-Request-Id: a-1"], body(more='"id":"x",')),
    "an id that is not plain": request("POST", TYPED, ["X-Request-Id: a b"], body()),
    "a timeout of its own": request("POST", TYPED, ["X-Request-Timeout-Ms: 5000"], body()),
    "a timeout that is capped": request("POST", TYPED, ["X-Request-Timeout-Ms: 7200000"], body()),
    "a timeout that is none": request("POST", TYPED, ["X-Request-Timeout-Ms: soon"], body()),
    "a priority of its own": request("POST", TYPED, ["X-Priority: sheddable"], body()),
    "a priority that is a number": request("POST", TYPED, ["X-Priority: 1"], body()),
    "a priority that is none": request("POST", TYPED, ["X-Priority: high"], body()),
    "an empty priority": request("POST", TYPED, ["X-Priority:"], body()),
    "a priority out of range": request("POST", TYPED, ["X-Priority: 65536"], body()),
    "asks for binary outputs": request(
        "POST", TYPED, [JSON], body(more='"parameters":{"binary_data_output":true},')
    ),
    "non-finite outputs": request("POST", STRANGE, [JSON], NOT_FINITE),
    "a model that raises": broken_request("word"),
    "another type": request("POST", TYPED, ["Content-Type: text/plain"], body()),
    "not JSON": request("POST", TYPED, [JSON], b"{"),
    "no body": request("POST", TYPED, [JSON], b""),
    "no length": request("POST", TYPED, [JSON]),
    "number out of range": request("POST", TYPED, [JSON], with_data("single", "[1e39,0]")),
    "too much JSON": request("POST", TYPED, [JSON], padded(2 * 2**20 + 1)),
    "much JSON": request("POST", TYPED, [JSON], padded(2**20)),
    "a length that is no number": request(
        "POST", TYPED, ["Inference-Header-Content-Length: x"], body()
    ),
    "a length beyond the body": request(
        "POST", TYPED, ["Inference-Header-Content-Length: 99999"], body()
    ),
    "raw, several inputs": request("POST", TYPED, ["Inference-Header-Content-Length: 0"], body()),
    "unknown model": request("POST", "/v2/models/nobody/infer", [JSON], body()),
    "unknown version": request("POST", "/v2/models/typed/versions/9/infer", [JSON], body()),
    "a version that is no number": request("POST", "/v2/models/typed/versions/x/infer", [], body()),
    "model ..": request("POST", "/v2/models/../infer", [JSON], body()),
    "model in other words": request("POST", "/v2/models/%74yped/infer", [JSON], body()),
    "a query": request("POST", TYPED + "?a=b", [JSON], body()),
    "a fragment": request("POST", TYPED + "#a", [JSON], body()),
    "a whole URL": request("POST", "http://gateway" + TYPED, [JSON], body()),
    "a slash at the end": request("POST", TYPED + "/", [JSON], body()),
    "another method": request("PUT", TYPED, [JSON], body()),
    "HTTP/1.0": request("POST", TYPED, [JSON], body()).replace(b"HTTP/1.1", b"HTTP/1.0"),
    "keep-alive is asked for": request("POST", TYPED, ["Connection: Keep-Alive"], body()),
    "no space after a colon": request("POST", TYPED, ["Content-Type:application/json"], body()),
    "two types": request("POST", TYPED, [JSON, JSON], body()),
    "two ids": request("POST", TYPED, ["X-Request-Id: a", "X-Request-Id: b"], body()),
    "a header in UTF-8": request("POST", TYPED, ["X-Name: \xc3\xa9"], body()),
    "chunks": request("POST", TYPED, [CHUNKED]) + b"2\r\n{}\r\n0\r\n\r\n",
    **{f"encoding {name}": request("POST", TYPED, [f"Content-Encoding: {encoding}"], data)
       for name, (encoding, data) in ENCODED.items()},
    **{f"base {place}": base for place, base in enumerate(BASES)
       if b"100-continue" not in base and b"/metrics" not in base and base != BASES[-2]},
}  # fmt: skip
# With a second request behind them, in the same segment.
FOLLOWED: dict[str, bytes] = {
    **{f"two readings: {name}": head + SECOND for name, head in HEADS.items()},
    **{f"refused: {name}": head + SECOND for name, (head, _, _) in REFUSED_BY_US.items()},
    **{f"late: {name}": framed(CHUNKED) + late + SECOND for name, late in LATE.items()},
    **{f"lawful: {name}": first + CLOSING for name, first in LAWFUL.items()},
    **{f"header: {name}": data + CLOSING for name, (data, _) in HEADERS.items()},
    "a body longer than announced": framed(f"Content-Length: {len(body()) - 5}") + body(),
    "good, then bad": WHOLE["good"] + b"\x00" * 40,
    "good, then another": WHOLE["good"] * 3 + CLOSING,
    "good, then a head that never ends": WHOLE["good"] + b"POST /v2/models/" + b"a" * 9_000,
}


def of_kinds(kinds: str, more: str = "", shape: str = "[1]") -> bytes:
    """A body for the model of one input whose data are this text."""
    item = f'{{"name":"kind","shape":{shape},"datatype":"INT64","data":{kinds}}}'
    return f'{{{more}"inputs":[{item}]}}'.encode()


def of_block(kinds: list[int], **more: object) -> tuple[list[str], bytes]:
    """Headers and body of a binary request for the same model."""
    block = struct.pack(f"<{len(kinds)}q", *kinds)
    item = {
        "name": "kind",
        "shape": [len(kinds)],
        "datatype": "INT64",
        "parameters": {"binary_data_size": len(block)},
    }
    text = json.dumps({"inputs": [item], **more}).encode()
    return [f"Inference-Header-Content-Length: {len(text)}"], text + block


AS_BINARY = {"parameters": {"binary_data_output": True}}
# Requests that may be begun together, and such that may not be among them.
TOGETHER = [
    request("POST", STRANGE, headers, data)
    for headers, data in (
        ([JSON], of_kinds("[0]")),
        ([], of_kinds("[0,0,0]", shape="[3]")),
        ([JSON], of_kinds("[0]", '"id":"a",')),
        ([JSON], of_kinds("[0,0]", '"id":"a:b",', "[2]")),
        ([JSON], of_kinds("[0]", '"parameters":{"priority":1},')),
        ([JSON], of_kinds("[4]")),
        ([JSON], of_kinds("[0.5]")),
        ([JSON], of_kinds("[0,0]")),
        ([JSON], of_kinds("[0]", '"id":"a","id":"b",')),
        ([JSON], of_kinds("[0]", '"other":1,')),
        ([JSON], b"{"),
        ([JSON], b""),
        ([JSON, "X-Priority: sheddable"], of_kinds("[0]")),
        ([JSON, "X-Request-Timeout-Ms: 5000"], of_kinds("[0]")),
        ([JSON, "X-Request-Timeout-Ms: 7200000"], of_kinds("[0]")),
        ([JSON, "X-Request-Id: mine"], of_kinds("[0]")),
        (["Content-Type: text/plain"], of_kinds("[0]")),
        of_block([0], **AS_BINARY),
        of_block([0, 0], **AS_BINARY),
        of_block([0], **AS_BINARY, id="a"),
        of_block([7], **AS_BINARY),
        of_block([0]),
        (of_block([0], **AS_BINARY)[0], b"{"),
        of_block([1], **AS_BINARY),
    )
]
PIPELINED = 32


@dataclass(frozen=True)
class Lanes:
    """The addresses of two gateways on one queue."""

    express: str
    plain: str


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lanes(typed_system: TypedSystem) -> AsyncIterator[Lanes]:
    """The gateway that all tests use, and one without the express lane beside it."""
    plain = await typed_system.system.start_gateway("--no-express")
    yield Lanes(typed_system.url, plain.url)


def lasting(answers: list[Answer]) -> list[tuple[str, bytes]]:
    """What must be equal."""
    return [answer.lasting for answer in answers]


async def alone(url: str, whole: bytes) -> list[Answer]:
    """The answer to a request, and that to another one on the same connection, if it is kept."""
    async with connected(url) as connection:
        await connection.send(whole)
        first = await connection.answer()
        assert first is not None, whole[:200]
        await connection.send(CLOSING)
        return [first, *await connection.answers()]


async def all_answers(url: str, requests: list[bytes]) -> list[list[Answer]]:
    """The answers to each of these requests, whole or not, sent at once."""
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(connected(url)) for _ in requests]
        for connection, data in zip(connections, requests, strict=True):
            await connection.send(data)
        # A good request behind them all: when it is answered, they are too, or wait for more.
        await assert_alive_and_right(url)
        for connection in connections:
            connection.end_sending()
        return await asyncio.gather(*(connection.answers() for connection in connections))


@pytest.mark.parametrize("whole", WHOLE.values(), ids=WHOLE.keys())
async def test_both_lanes_answer_a_request_with_the_same_bytes(lanes: Lanes, whole: bytes) -> None:
    express, plain = await asyncio.gather(alone(lanes.express, whole), alone(lanes.plain, whole))
    assert lasting(express) == lasting(plain)


@pytest.mark.parametrize("data", FOLLOWED.values(), ids=FOLLOWED.keys())
async def test_both_lanes_answer_what_comes_in_one_segment_with_the_same_bytes(
    lanes: Lanes, data: bytes
) -> None:
    express, plain = await asyncio.gather(
        exchange(lanes.express, data), exchange(lanes.plain, data)
    )
    assert lasting(express) == lasting(plain)


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_both_lanes_answer_mutated_requests_with_the_same_bytes(
    lanes: Lanes, seed: int
) -> None:
    source = random.Random(1_000 + seed)
    requests = [mutated_request(source) for _ in range(REQUESTS_PER_SEED)]
    # Two gateways do not count the same.
    requests = [data for data in requests if b"/metrics" not in data]
    express, plain = [await all_answers(url, requests) for url in (lanes.express, lanes.plain)]
    # Who ends a connection early may miss its last answer: what both got is compared.
    differing = [
        (data, first, second)
        for data, one, other in zip(requests, express, plain, strict=True)
        for first, second in zip(lasting(one), lasting(other), strict=False)
        if first != second
    ]
    assert differing == []


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_both_lanes_answer_what_comes_in_one_turn_with_the_same_bytes(
    lanes: Lanes, seed: int
) -> None:
    source = random.Random(seed)
    # In some of them an output is not finite, for all whose rows come back together.
    usual = TOGETHER if seed % 2 else [*TOGETHER, request("POST", STRANGE, [JSON], NOT_FINITE)]
    sent = source.choices(usual, k=PIPELINED)
    one_by_one = await asyncio.gather(*(alone(lanes.plain, data) for data in sent))
    async with connected(lanes.express) as connection:
        await connection.send(b"".join(sent))
        together = [await connection.answer() or pytest.fail("no answer") for _ in sent]
    assert lasting(together) == lasting([answers[0] for answers in one_by_one])


async def test_both_lanes_are_equally_patient(lanes: Lanes) -> None:
    urls = (lanes.express, lanes.plain)
    names = list(CLIENTS)
    outcomes = await asyncio.gather(
        *(be_slow(url, CLIENTS[name]) for url in urls for name in names)
    )
    express, plain = outcomes[: len(names)], outcomes[len(names) :]
    differing = [
        name
        for name, one, other in zip(names, express, plain, strict=True)
        if lasting(one.answers) != lasting(other.answers)
        or abs(one.seconds - other.seconds) > SLACK_S
        or one.seconds > HEADERS_S_MAX + SLACK_S
    ]
    assert differing == []
