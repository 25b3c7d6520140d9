"""The client against a gateway that refuses, leaves, is cut off or answers nonsense."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest

from bridge.client.async_client import AsyncClient, TransportName
from bridge.client.errors import (
    BadAnswer,
    ClientClosed,
    ClientError,
    DeadlineExceeded,
    Failed,
    Interrupted,
    InvalidRequest,
    Overloaded,
    Unavailable,
    UnknownModel,
)
from bridge.client.settings import REQUEST_BYTES_MAX, ClientSettings
from tests.scripted_gateway import Connection, Refuse, Script, ScriptedGateway, doubled, error

X = {"x": np.array([[21.0]])}
QUICK = ClientSettings(timeout_s=10.0, backoff_first_s=0.01, backoff_s_max=0.05)
HINT_MS = 60


async def answers(connection: Connection) -> None:
    await connection.answer_all()


async def cuts(connection: Connection) -> None:
    """Take a request and drop the connection."""
    await connection.receive()
    connection.cut()


def leaves(code: int, *, says_so: bool) -> Script:
    """Take a request and close without an answer."""

    async def script(connection: Connection) -> None:
        await connection.receive()
        if says_so:
            await connection.send({"going_away": True})
        await connection.socket.close(code=code)

    return script


def refuses(status: int, code: str, **more: Any) -> Script:
    """Answer the first request so, all others well."""

    async def script(connection: Connection) -> None:
        await connection.send(error(await connection.receive(), status, code, **more))
        await connection.answer_all()

    return script


@asynccontextmanager
async def client_of(
    *scripts: Script | Refuse | bytes, settings: ClientSettings = QUICK, **options: Any
) -> AsyncIterator[tuple[AsyncClient, ScriptedGateway]]:
    async with (
        ScriptedGateway(*scripts).listening() as gateway,
        AsyncClient(gateway.url, settings=settings, **options) as client,
    ):
        yield client, gateway


async def asked(client: AsyncClient, **options: Any) -> float:
    """One call's answer."""
    return float((await client.infer("m", X, **options))["y"][0, 0])


async def failed(client: AsyncClient, **options: Any) -> type[ClientError]:
    """The kind of exception that one call ends with."""
    with pytest.raises(ClientError) as raised:
        await client.infer("m", X, **options)
    return raised.type


async def test_a_call_that_may_have_run_is_not_sent_again() -> None:
    async with client_of(cuts, answers) as (client, gateway):
        assert (await failed(client), gateway.count) == (Interrupted, 1)


async def test_after_a_lost_connection_the_next_call_makes_a_new_one() -> None:
    async with client_of(cuts, answers) as (client, gateway):
        await failed(client)
        assert (await asked(client), gateway.count) == (42.0, 2)


async def test_what_a_leaving_gateway_has_not_begun_goes_to_the_next() -> None:
    async with client_of(leaves(1001, says_so=True), answers) as (client, gateway):
        assert (await asked(client), gateway.count) == (42.0, 2)


@pytest.mark.parametrize(("code", "says_so"), [(1001, False), (1000, True), (1011, False)])
async def test_a_close_that_does_not_promise_that_nothing_had_begun_interrupts(
    code: int, says_so: bool
) -> None:
    async with client_of(leaves(code, says_so=says_so), answers) as (client, _):
        assert await failed(client) is Interrupted


async def test_a_leaving_gateway_still_answers_what_it_has_begun() -> None:
    has_begun, answers_now = asyncio.Event(), asyncio.Event()

    async def lingers(connection: Connection) -> None:
        first = await connection.receive()
        has_begun.set()
        await connection.send({"going_away": True}, doubled(await connection.receive()))
        await answers_now.wait()
        await connection.send(doubled(first))
        await connection.receive()

    async with client_of(lingers, answers) as (client, gateway):
        first = asyncio.create_task(asked(client))
        await has_begun.wait()
        # With its answer comes the note.
        assert await asked(client) == 42.0
        assert await asked(client) == 42.0
        answers_now.set()
        assert (await first, gateway.count) == (42.0, 2)


async def test_a_refused_call_comes_back_no_sooner_than_it_was_told() -> None:
    told = refuses(429, "overloaded", retry_after_ms=HINT_MS, refused=True)
    async with client_of(told) as (client, _):
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        assert await asked(client) == 42.0
        assert loop.time() - started_s >= HINT_MS / 1e3


async def test_a_refusal_without_a_hint_is_tried_again_too() -> None:
    async with client_of(refuses(503, "no_worker", refused=True)) as (client, _):
        assert await asked(client) == 42.0


async def test_a_hint_beyond_the_deadline_ends_the_call_at_once() -> None:
    told = refuses(429, "overloaded", retry_after_ms=60_000, refused=True)
    async with client_of(told) as (client, _):
        with pytest.raises(Overloaded) as raised:
            await client.infer("m", X, timeout_s=5.0)
        assert raised.value.retry_after_s == 60.0


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (503, "queue_unavailable", Interrupted),
        (504, "deadline_exceeded", DeadlineExceeded),
        (500, "model_failed", Failed),
        (422, "rows_failed", Failed),
        (400, "wrong_shape", InvalidRequest),
    ],
)
async def test_what_was_not_refused_is_not_sent_again(
    status: int, code: str, expected: type[ClientError]
) -> None:
    async with client_of(refuses(status, code)) as (client, _):
        assert (await failed(client), await asked(client)) == (expected, 42.0)


async def test_retries_are_a_tenth_of_the_calls_and_the_reserve() -> None:
    requests = 0

    async def refuses_all(connection: Connection) -> None:
        nonlocal requests
        while True:
            request = await connection.receive()
            requests += 1
            await connection.send(error(request, 429, "overloaded", retry_after_ms=1, refused=True))

    async with client_of(refuses_all) as (client, _):
        kinds = await asyncio.gather(*(failed(client) for _ in range(300)))
    assert set(kinds) == {Overloaded}
    assert 300 < requests <= 300 * (1 + QUICK.retry_ratio) + QUICK.retry_reserve


async def test_a_call_ends_at_its_deadline_and_its_late_answer_reaches_nobody() -> None:
    async def dawdles(connection: Connection) -> None:
        late = await connection.receive()
        await connection.send(doubled(late), doubled(await connection.receive()))

    async with client_of(dawdles) as (client, _):
        assert await failed(client, timeout_s=0.1) is DeadlineExceeded
        assert await asked(client) == 42.0


async def test_a_cancelled_call_does_not_disturb_the_others() -> None:
    taken = asyncio.Event()

    async def answers_the_second(connection: Connection) -> None:
        first, second = await connection.receive(), await connection.receive()
        taken.set()
        await connection.send(doubled(first), doubled(second))
        await connection.answer_all()

    async with client_of(answers_the_second) as (client, _):
        calls = [asyncio.create_task(asked(client)) for _ in range(2)]
        await taken.wait()
        calls[0].cancel()
        results = await asyncio.gather(*calls, return_exceptions=True)
    assert (type(results[0]), results[1]) == (asyncio.CancelledError, 42.0)


async def test_callers_that_wait_for_a_connection_make_one_together() -> None:
    async with client_of(answers) as (client, gateway):
        results = await asyncio.gather(*(asked(client) for _ in range(50)))
        assert (set(results), gateway.count) == ({42.0}, 1)


@pytest.mark.parametrize("status", [429, 502, 503])
async def test_a_gateway_that_accepts_no_stream_yet_is_asked_again(status: int) -> None:
    async with client_of(Refuse(status, {}), Refuse(status, {}), answers) as (client, gateway):
        assert (await asked(client), gateway.count) == (42.0, 3)


async def test_a_gateway_that_does_not_know_a_model_any_more_is_asked_again() -> None:
    async with client_of(cuts, Refuse(404, {}), answers) as (client, gateway):
        await failed(client)
        assert (await asked(client), gateway.count) == (42.0, 3)


async def test_a_handshake_is_not_tried_again_before_its_hint() -> None:
    later = Refuse(503, {"Retry-After": "60"})
    async with client_of(later, answers) as (client, gateway):
        assert (await failed(client, timeout_s=0.2), gateway.count) == (Unavailable, 1)


@pytest.mark.parametrize(("status", "kind"), [(404, UnknownModel), (400, InvalidRequest)])
async def test_a_stream_that_is_refused_for_good_ends_the_call(
    status: int, kind: type[ClientError]
) -> None:
    async with client_of(Refuse(status, {})) as (client, gateway):
        assert (await failed(client), gateway.count) == (kind, 1)


@pytest.mark.parametrize("transport", ["stream", "http"])
async def test_without_a_gateway_calls_wait_for_one_until_their_deadline(
    transport: TransportName,
) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        async with AsyncClient(
            f"http://127.0.0.1:{port}", settings=QUICK, transport=transport
        ) as client:
            assert await failed(client, timeout_s=0.2) is Unavailable
            patient = asyncio.create_task(asked(client))
            reserved.close()
            script = answers if transport == "stream" else b"answer"
            async with ScriptedGateway(script).listening(port):
                assert await patient == 42.0


@pytest.mark.parametrize("junk", [7, [], {"id": "0"}, {"id": "0", "outputs": 7}])
async def test_nonsense_is_a_bad_answer(junk: Any) -> None:
    async def talks_nonsense(connection: Connection) -> None:
        await connection.receive()
        await connection.send(junk, junk)
        await connection.socket.close()

    async with client_of(talks_nonsense) as (client, _):
        expected = Interrupted if junk == [] else BadAnswer
        assert await failed(client) in (BadAnswer, expected)


async def test_a_gateway_that_ends_every_stream_is_not_asked_in_a_hurry() -> None:
    async def leaves_at_once(connection: Connection) -> None:
        await connection.send({"going_away": True})
        await connection.socket.close(code=1001)

    slow = ClientSettings(timeout_s=10.0, backoff_first_s=0.1, backoff_s_max=0.1)
    async with client_of(leaves_at_once, settings=slow) as (client, gateway):
        assert await failed(client, timeout_s=0.5) is Unavailable
        assert gateway.count <= 11


async def never_answers(connection: Connection) -> None:
    await connection.receive()
    await connection.receive()


@pytest.mark.parametrize(
    ("transport", "script"),
    [
        ("stream", never_answers),
        ("stream", Refuse(503, {"Retry-After": "5"})),
        ("http", Refuse(503, {"Retry-After": "5"}, b'{"code":"no_worker"}')),
    ],
)
async def test_closing_ends_the_calls_that_wait(
    transport: TransportName, script: Script | Refuse
) -> None:
    async with client_of(script, transport=transport) as (client, gateway):
        call = asyncio.create_task(failed(client))
        await gateway.wait_for(1)
        await client.close()
        assert (await call, await failed(client)) == (ClientClosed, ClientClosed)


async def test_a_request_that_no_gateway_accepts_is_not_sent() -> None:
    large = {"x": np.zeros((1, REQUEST_BYTES_MAX // 8))}
    async with client_of(answers) as (client, _):
        with pytest.raises(InvalidRequest):
            await client.infer("m", large)
        assert await asked(client) == 42.0


async def test_large_requests_are_spread_over_messages() -> None:
    large = {"x": np.ones((1, REQUEST_BYTES_MAX // 16))}
    async with client_of(answers) as (client, _):
        results = await asyncio.gather(*(client.infer("m", large) for _ in range(3)))
    assert [result["y"].sum() for result in results] == [2.0 * large["x"].size] * 3


async def test_each_model_has_a_connection_of_its_own() -> None:
    async with client_of(answers) as (client, gateway):
        await asyncio.gather(*(client.infer(f"m{number % 3}", X) for number in range(9)))
    assert sorted(gateway.names) == ["m0", "m1", "m2"]


@pytest.mark.parametrize("timeout_s", [0.0, -1.0, float("nan")])
async def test_a_timeout_must_be_above_zero(timeout_s: float) -> None:
    async with client_of(answers) as (client, _):
        with pytest.raises(ValueError, match="timeout_s"):
            await client.infer("m", X, timeout_s=timeout_s)


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://localhost", "http://"])
async def test_an_address_must_be_one(url: str) -> None:
    with pytest.raises(ValueError, match="url"):
        AsyncClient(url)


async def test_over_http_a_refused_call_is_tried_again() -> None:
    told = Refuse(429, {"retry-after-ms": "20"}, b'{"error":"words","code":"overloaded"}')
    async with client_of(told, b"answer", transport="http") as (client, gateway):
        assert (await asked(client), gateway.count) == (42.0, 2)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (b"", Interrupted),
        (b"\xc1", BadAnswer),
        (b"\x90", BadAnswer),
        (Refuse(503, {}, b'{"code":"queue_unavailable"}'), Interrupted),
        (Refuse(302, {"Location": "/elsewhere"}), Failed),
        (Refuse(404, {}, b"not json"), UnknownModel),
    ],
)
async def test_over_http_what_may_have_run_or_never_will_is_not_sent_again(
    script: Refuse | bytes, expected: type[ClientError]
) -> None:
    async with client_of(script, b"answer", transport="http") as (client, gateway):
        assert (await failed(client), gateway.count) == (expected, 1)
