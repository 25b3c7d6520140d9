"""The stream of a running system: the same answers and refusals as over HTTP, many at once."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgpack
import numpy as np
import pytest
import pytest_asyncio

from bridge.gateway.inference import BODY_BYTES_MAX
from bridge.gateway.stream.limits import DEFAULT_STREAM_LIMITS
from tests.faults.fault_models import answer_of, nonces_run
from tests.faults.rig import Rig, eventually, running_rig
from tests.gate import HELD
from tests.raw_http import ask, request
from tests.streaming import Closed, StreamClient, handshake, row_request, tensors_request, value_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

REQUESTS = 500
MESSAGEPACK = {"Content-Type": "application/msgpack"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig() -> AsyncIterator[Rig]:
    """A stream's requests are the gateway's to judge: the queue's kind does not matter."""
    async with running_rig() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def stream(rig: Rig, http: aiohttp.ClientSession) -> AsyncIterator[StreamClient]:
    async with StreamClient.open(http, rig.url, "mirror") as opened:
        yield opened


def mirror(name: str, nonce: int, **more: Any) -> dict[str, Any]:
    """A request for the model whose answer is a function of the nonce."""
    tensors = {
        "nonce": np.array([nonce]),
        "mark": np.array([0]),
        "pause_ms": np.array([0.0]),
    }
    return tensors_request(name, tensors, **more)


def mirrored(answer: dict[str, Any]) -> int:
    """The value that came back."""
    assert "error" not in answer, answer
    return int(np.frombuffer(answer["outputs"][0]["data"], "<i8")[0])


async def over_http(rig: Rig, http: aiohttp.ClientSession, body: bytes) -> tuple[int, bytes]:
    url = f"{rig.url}/v2/models/mirror/infer"
    async with http.post(url, data=body, headers=MESSAGEPACK) as response:
        return response.status, await response.read()


async def test_an_answer_is_the_body_that_http_answers_with(
    rig: Rig, http: aiohttp.ClientSession, stream: StreamClient
) -> None:
    (answer,) = await stream.ask(mirror("a", 7))
    _, body = await over_http(rig, http, msgpack.packb(mirror("a", 7)))
    assert answer == msgpack.unpackb(body)


@pytest.mark.parametrize(
    "wrong",
    [
        {"inputs": None},
        {"inputs": []},
        {"unknown": 1},
        {"outputs": [{"name": "nobody"}]},
        {"parameters": {"timeout": -1}},
        {"parameters": {"priority": "high"}},
        {"id": "line\nend"},
    ],
)
async def test_a_refusal_has_status_code_and_words_of_http(
    rig: Rig, http: aiohttp.ClientSession, stream: StreamClient, wrong: dict[str, Any]
) -> None:
    body = {**mirror("a", 7), **wrong}
    (answer,) = await stream.ask(body)
    status, text = await over_http(rig, http, msgpack.packb(body))
    expected = json.loads(text)
    assert answer == {
        "id": body["id"],
        "error": expected["error"],
        "code": expected["code"],
        "status": status,
        "refused": True,
    }


async def test_many_requests_in_flight_each_get_their_own_answer(stream: StreamClient) -> None:
    requests = [mirror(str(nonce), nonce) for nonce in range(1, REQUESTS + 1)]
    answers = await stream.ask(*requests)
    assert [mirrored(answer) for answer in answers] == [
        answer_of(nonce) for nonce in range(1, REQUESTS + 1)
    ]


async def test_messages_of_one_request_each_may_follow_without_an_answer_between(
    stream: StreamClient,
) -> None:
    for nonce in range(1, 50):
        await stream.send(mirror(str(nonce), nonce))
    while len(stream.answers) < 49:
        assert await stream.receive()
    found = {int(answer["id"]): mirrored(answer) for answer in stream.answers}
    assert found == {nonce: answer_of(nonce) for nonce in range(1, 50)}


async def test_a_version_may_be_named(rig: Rig, http: aiohttp.ClientSession) -> None:
    async with StreamClient.open(http, rig.url, "mirror/versions/1") as stream:
        assert mirrored((await stream.ask(mirror("a", 3)))[0]) == answer_of(3)


async def test_the_deadline_of_a_request_is_kept(rig: Rig, stream: StreamClient) -> None:
    async with rig.busy_worker():
        (answer,) = await stream.ask(mirror("a", 7, parameters={"timeout": 50_000}))
    # By the forecast it is refused, by its deadline it expires: both are in time.
    assert (answer["status"], answer["code"]) in (
        (504, "deadline_exceeded"),
        (429, "overloaded"),
    )


async def test_rows_that_fail_are_answered_by_name(stream: StreamClient) -> None:
    await stream.ask(mirror("first", 1))
    bad = tensors_request(
        "bad", {"nonce": np.array([2]), "mark": np.array([1]), "pause_ms": np.array([0.0])}
    )
    answers = await stream.ask(mirror("good", 3), bad)
    assert mirrored(answers[0]) == answer_of(3)
    assert (answers[1]["status"], answers[1]["code"], answers[1].get("refused")) == (
        422,
        "rows_failed",
        None,
    )


async def test_requests_are_counted_like_those_over_http(rig: Rig, stream: StreamClient) -> None:
    series = 'batchbridge_requests_total{model="mirror",outcome="ok"} '

    async def answered() -> float:
        text = (await rig.get("/metrics")).body
        return float(text.partition(series)[2].partition("\n")[0] or 0)

    before = await answered()
    await stream.ask(*(mirror(str(nonce), nonce) for nonce in range(1, 11)))
    assert await answered() - before == 10


@pytest.mark.parametrize(
    ("message", "closed"),
    [
        pytest.param(
            b"junk", Closed(1007, "a request needs an id, text of 1 to 256 characters"), id="junk"
        ),
        pytest.param(b"\x92\x80", Closed(1007, "not MessagePack"), id="cut off"),
        pytest.param(
            b"\xdd\xff\xff\xff\xff",
            Closed(1008, "more than 1024 requests in one message"),
            id="too many",
        ),
        pytest.param(bytes(BODY_BYTES_MAX + 1), Closed(1009, ""), id="too large"),
    ],
)
async def test_a_stream_that_is_misused_ends_when_all_before_is_answered(
    rig: Rig, stream: StreamClient, message: bytes, closed: Closed
) -> None:
    async with rig.busy_worker():
        await stream.send(mirror("a", 7))
        await rig.wait_in_hand(2)
        await stream.send_bytes(message)
        assert (await rig.get("/v2/health/live")).status == 200
    assert await stream.end() == closed
    assert [mirrored(answer) for answer in stream.answers] == [answer_of(7)]


async def test_text_is_refused(stream: StreamClient) -> None:
    await stream.socket.send_str("{}")
    assert await stream.end() == Closed(1003, "messages must be binary")


async def test_what_a_gone_client_asked_is_abandoned_and_not_run(
    rig: Rig, http: aiohttp.ClientSession
) -> None:
    rig.mirror.forget()
    before = await rig.metric("abandoned")
    async with rig.busy_worker():
        async with StreamClient.open(http, rig.url, "mirror") as leaving:
            await leaving.send(*(mirror(str(nonce), nonce) for nonce in range(1, 6)))
            await rig.wait_in_hand(6)

        async def are_abandoned() -> bool:
            return await rig.metric("abandoned") == before + 5

        await eventually(are_abandoned, within_s=5.0)
        # The worker hears of it on its next beat.
        await rig.heartbeats(2)
    assert await rig.answers_right()
    assert set(nonces_run(rig.mirror)).isdisjoint(range(1, 6))


async def test_more_than_a_connection_may_have_in_flight_is_refused_and_the_rest_answered(
    rig: Rig, http: aiohttp.ClientSession
) -> None:
    most, many = DEFAULT_STREAM_LIMITS.in_flight_max, DEFAULT_STREAM_LIMITS.message_requests_max
    async with StreamClient.open(http, rig.url, "hold") as stream, rig.busy_worker():
        for first in range(0, most, many):
            await stream.send(*(row_request(str(first + i), 1.0) for i in range(many)))
        await stream.send(row_request("more", 1.0))
        refused: list[dict[str, Any]] = []
        while not any(answer["id"] == "more" for answer in refused):
            assert await stream.receive()
            refused = list(stream.answers)
    assert {answer["code"] for answer in refused} == {"overloaded"}


@pytest.mark.parametrize(
    ("headers", "model", "status", "code"),
    [
        ([], "nobody", 404, "unknown_model"),
        (["Origin: http://evil.example"], "mirror", 400, "header"),
        (["Origin: null"], "mirror", 400, "header"),
        (["Sec-WebSocket-Protocol: chat"], "mirror", 400, "header"),
    ],
)
async def test_a_handshake_is_refused_with_the_error_body_of_http(
    rig: Rig, headers: list[str], model: str, status: int, code: str
) -> None:
    answer = await ask(rig.url, handshake(rig.url, model, headers))
    assert answer is not None
    assert (answer.status, answer.document["code"]) == (status, code)


async def test_what_is_no_handshake_is_refused(rig: Rig) -> None:
    answer = await ask(rig.url, request(path="/v2/models/mirror/stream"))
    assert answer is not None
    assert (answer.status, answer.document["code"]) == (400, "header")


async def test_a_page_of_this_host_may_open_a_stream(rig: Rig, http: aiohttp.ClientSession) -> None:
    async with StreamClient.open(http, rig.url, "mirror", origin=rig.url) as stream:
        assert mirrored((await stream.ask(mirror("a", 3)))[0]) == answer_of(3)


async def test_the_handshake_tells_no_versions_of_what_is_inside(
    rig: Rig, http: aiohttp.ClientSession
) -> None:
    async with StreamClient.open(http, rig.url, "mirror") as stream:
        headers = stream.socket._response.headers
    assert (headers["Server"], headers.get("Sec-WebSocket-Extensions")) == ("batchbridge", None)


async def test_a_held_request_does_not_hold_up_those_behind_it_on_the_stream(
    rig: Rig, http: aiohttp.ClientSession
) -> None:
    async with StreamClient.open(http, rig.url, "hold") as stream:
        await stream.send(row_request("held", HELD))
        run = await rig.held()
        (wrong,) = await stream.ask({"id": "wrong"})
        run.let_go()
        while len(stream.answers) < 2:
            assert await stream.receive()
    assert (wrong["code"], value_of(stream.answers[1])) == ("schema", 2 * HELD + 1)
