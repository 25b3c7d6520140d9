"""A job against a gateway that refuses, leaves, is cut off or answers nonsense."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest

from bridge.client.async_client import AsyncClient
from bridge.client.errors import BadAnswer, ClientError, Failed, Interrupted, InvalidRequest
from bridge.client.score_job import ScoredRows, ScoreSettings
from bridge.client.settings import ClientSettings
from tests.scripted_gateway import Connection, Script, ScriptedGateway, doubled, error

QUICK = ClientSettings(timeout_s=10.0, backoff_first_s=0.01, backoff_s_max=0.05)
CHUNKED = ScoreSettings(chunk_rows=10, window_chunks=3)
ROWS = 100
HINT_MS = 60


async def answers(connection: Connection) -> None:
    await connection.answer_all()


async def cuts(connection: Connection) -> None:
    """Answer a request, take another and drop the connection."""
    await connection.send(doubled(await connection.receive()))
    await connection.receive()
    connection.cut()


async def leaves(connection: Connection) -> None:
    """Answer a request, say so and close."""
    await connection.send(doubled(await connection.receive()), {"going_away": True})
    await connection.socket.close(code=1001)


def refuses(status: int, code: str, **more: Any) -> Script:
    """Answer the first request so, all others well."""

    async def script(connection: Connection) -> None:
        await connection.send(error(await connection.receive(), status, code, **more))
        await connection.answer_all()

    return script


@asynccontextmanager
async def client_of(*scripts: Script) -> AsyncIterator[tuple[AsyncClient, ScriptedGateway]]:
    async with (
        ScriptedGateway(*scripts).listening() as gateway,
        AsyncClient(gateway.url, settings=QUICK) as client,
    ):
        yield client, gateway


async def scored(client: AsyncClient, settings: ScoreSettings = CHUNKED) -> list[ScoredRows]:
    rows = {"x": np.arange(float(ROWS))}
    return [part async for part in client.score("m", rows, settings=settings)]


def values(parts: list[ScoredRows]) -> list[float]:
    return [value for part in parts for value in part.outputs["y"].ravel().tolist()]


EXPECTED = [2.0 * row for row in range(ROWS)]


@pytest.mark.parametrize("first", [cuts, leaves])
async def test_a_job_goes_on_over_another_connection(first: Script) -> None:
    async with client_of(first, first, answers) as (client, gateway):
        assert values(await scored(client)) == EXPECTED
        assert gateway.count >= 3


async def test_a_refused_chunk_comes_back_no_sooner_than_it_was_told() -> None:
    told = refuses(429, "batch_lane_full", retry_after_ms=HINT_MS, refused=True)
    async with client_of(told) as (client, _):
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        assert values(await scored(client)) == EXPECTED
        assert loop.time() - started_s >= HINT_MS / 1e3


@pytest.mark.parametrize(
    ("status", "code"), [(503, "queue_unavailable"), (504, "deadline_exceeded")]
)
async def test_what_was_lost_on_the_way_is_asked_again(status: int, code: str) -> None:
    async with client_of(refuses(status, code)) as (client, _):
        assert values(await scored(client)) == EXPECTED


async def test_a_gateway_that_loses_everything_ends_the_job_in_the_end() -> None:
    async def always(connection: Connection) -> None:
        while True:
            await connection.send(error(await connection.receive(), 503, "queue_unavailable"))

    async with client_of(always) as (client, _):
        with pytest.raises(Interrupted):
            await scored(client, ScoreSettings(chunk_rows=10, away_s=0.1))


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [(500, "model_failed", Failed), (400, "unknown_name", InvalidRequest)],
)
async def test_what_is_wrong_with_every_row_ends_the_job(
    status: int, code: str, kind: type[ClientError]
) -> None:
    async with client_of(refuses(status, code)) as (client, _):
        with pytest.raises(kind):
            await scored(client)


async def test_an_answer_of_another_number_of_rows_ends_the_job() -> None:
    async def shortens(connection: Connection) -> None:
        answer = doubled(await connection.receive())
        tensor = answer["outputs"][0]
        tensor["shape"], tensor["data"] = [1, 1], tensor["data"][:8]
        await connection.send(answer)
        await connection.answer_all()

    async with client_of(shortens) as (client, _):
        with pytest.raises(BadAnswer):
            await scored(client)


async def test_requests_say_that_they_are_for_the_batch_lane() -> None:
    seen: list[Any] = []

    async def notes(connection: Connection) -> None:
        while True:
            request = await connection.receive()
            seen.append(request["parameters"]["priority"])
            await connection.send(doubled(request))

    async with client_of(notes) as (client, _):
        await scored(client)
    assert seen == ["batch"] * 10
