"""The client, both its forms and both its transports, against a running system."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from bridge.client.async_client import AsyncClient, TransportName
from bridge.client.client import Client
from bridge.client.errors import (
    ClientClosed,
    ClientError,
    DeadlineExceeded,
    Interrupted,
    InvalidRequest,
    Overloaded,
    UnknownModel,
)
from tests.gate import HELD, Gate, held_run
from tests.system import System, running_system
from tests.tiny_models import (
    PATIENT,
    affine,
    identity,
    same_text,
    tensors,
    write_slow_model,
    write_version,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

CALLS = 300
CALLERS = 100
TRANSPORTS: list[TransportName] = ["stream", "http"]
ANSWER_S_MAX = 20.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gate() -> AsyncIterator[Gate]:
    async with Gate.open() as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(gate: Gate, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    models = tmp_path_factory.mktemp("models")
    write_version(models, "affine", 1, graph=affine(2, 1), contract=PATIENT)
    write_version(models, "affine", 2, graph=affine(3, 0), contract=PATIENT)
    write_version(models, "text", graph=same_text(), contract=PATIENT)
    write_version(models, "whole", graph=identity("INT64", 2), contract=PATIENT)
    write_slow_model(models)
    gate.write_model(models, "hold", PATIENT)
    async with running_system(models) as system:
        yield system


@pytest_asyncio.fixture(loop_scope="module", params=TRANSPORTS)
async def client(running: System, request: pytest.FixtureRequest) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(running.url, transport=request.param) as opened:
        yield opened


def x(*values: float) -> dict[str, Any]:
    """Rows for `affine`."""
    return {"x": np.array(values, dtype=float).reshape(-1, 1)}


async def test_many_calls_at_once_each_get_their_own_rows(client: AsyncClient) -> None:
    answers = await asyncio.gather(
        *(client.infer("affine", x(number, -number), version=1) for number in range(CALLS))
    )
    assert [answer["y"].ravel().tolist() for answer in answers] == [
        [2.0 * number + 1, -2.0 * number + 1] for number in range(CALLS)
    ]


async def test_without_a_version_the_highest_answers(client: AsyncClient) -> None:
    assert (await client.infer("affine", x(7)))["y"].tolist() == [[21.0]]


async def test_a_single_array_stands_for_the_only_input(client: AsyncClient) -> None:
    assert (await client.infer("affine", np.array([[7.0]])))["y"].tolist() == [[21.0]]


async def test_text_goes_there_and_comes_back(client: AsyncClient) -> None:
    text = np.array([["maize", "Ähre 🌾"], ["", "rye"]])
    answer = (await client.infer("text", text))["y"]
    assert (answer.dtype.kind, answer.tolist()) == ("O", text.tolist())


async def test_integers_come_back_bit_by_bit(client: AsyncClient) -> None:
    numbers = np.array([[-(2**63), 2**63 - 1], [0, -1]])
    np.testing.assert_array_equal((await client.infer("whole", numbers))["y"], numbers)


async def test_options_reach_the_gateway(client: AsyncClient) -> None:
    answer = await client.infer("affine", x(1), timeout_s=10.0, priority="sheddable", version="1")
    assert answer["y"].tolist() == [[3.0]]


@pytest.mark.parametrize(
    ("model", "inputs", "kind", "code"),
    [
        ("affine", {"x": np.zeros((1, 1), "f4")}, InvalidRequest, "wrong_dtype"),
        ("affine", {"z": np.zeros((1, 1))}, InvalidRequest, "unknown_name"),
        ("affine", np.zeros((1, 5)), InvalidRequest, "wrong_shape"),
        ("nobody", {"x": np.zeros((1, 1))}, UnknownModel, "unknown_model"),
        ("nobody", np.zeros((1, 1)), UnknownModel, "unknown_model"),
        ("../affine", {"x": np.zeros((1, 1))}, UnknownModel, "unknown_model"),
    ],
)
async def test_what_is_wrong_is_an_exception_with_the_gateways_code(
    client: AsyncClient, model: str, inputs: Any, kind: type[ClientError], code: str
) -> None:
    with pytest.raises(ClientError) as raised:
        await client.infer(model, inputs)
    assert raised.type is kind
    # Of a refused handshake the client is told the status only.
    assert raised.value.code in (code, "unknown_path")


async def test_a_priority_must_be_one(client: AsyncClient) -> None:
    with pytest.raises(InvalidRequest) as raised:
        await client.infer("affine", x(1), priority="high")
    assert raised.value.code == "bad_parameter"


async def test_a_call_ends_at_its_deadline(client: AsyncClient, gate: Gate) -> None:
    held = asyncio.create_task(client.infer("hold", x(HELD)))
    async with held_run(gate):
        with pytest.raises((DeadlineExceeded, Overloaded)):
            await client.infer("hold", x(1.0), timeout_s=0.2)
    assert (await held)["y"].tolist() == [[2 * HELD + 1]]


async def test_refused_calls_come_back_and_are_answered(client: AsyncClient) -> None:
    """Some 36 rows fit: the others are told when to come back, or that they cannot in time."""
    results = await asyncio.gather(
        *(client.infer("slow", x(number)) for number in range(CALLERS)), return_exceptions=True
    )
    for number, result in enumerate(results):
        if isinstance(result, BaseException):
            assert isinstance(result, Overloaded | DeadlineExceeded), result
        else:
            assert result["y"].tolist() == [[2.0 * number + 1]]
    assert sum(isinstance(result, dict) for result in results) > 0


async def test_a_restarted_gateway_costs_no_call(tmp_path: Path) -> None:
    write_version(tmp_path, "affine", graph=affine(2, 1), contract=PATIENT + tensors())
    async with running_system(tmp_path) as system:
        port, stopping = system.gateways[0].port, asyncio.Event()
        answered = 0

        async def calls(client: AsyncClient) -> None:
            nonlocal answered
            while not stopping.is_set():
                number = float(answered)
                answer = await client.infer("affine", x(number), timeout_s=ANSWER_S_MAX)
                assert answer["y"].tolist() == [[2 * number + 1]]
                answered += 1

        async with AsyncClient(system.url) as client, asyncio.TaskGroup() as callers:
            await client.infer("affine", x(1.0))
            for _ in range(20):
                callers.create_task(calls(client))
            for _ in range(2):
                assert await system.gateways[-1].terminate() == 0
                before = answered
                await system.start_gateway("--port", str(port))
                await client.infer("affine", x(1.0), timeout_s=ANSWER_S_MAX)
            stopping.set()
    assert answered > before


async def test_a_killed_gateway_interrupts_calls_and_answers_none_wrongly(tmp_path: Path) -> None:
    write_version(tmp_path, "affine", graph=affine(2, 1), contract=PATIENT + tensors())
    interrupted = 0

    async def calls(client: AsyncClient, first: int) -> None:
        nonlocal interrupted
        for number in range(first, first + CALLS):
            try:
                answer = await client.infer("affine", x(number), timeout_s=ANSWER_S_MAX)
            except Interrupted:
                interrupted += 1
            else:
                assert answer["y"].tolist() == [[2.0 * number + 1]]

    async with running_system(tmp_path) as system, AsyncClient(system.url) as client:
        await client.infer("affine", x(1.0))
        callers = [asyncio.create_task(calls(client, place * CALLS)) for place in range(20)]
        await client.infer("affine", x(2.0))
        gateway = system.gateways[0]
        gateway.child.kill()
        await gateway.end()
        await system.start_gateway("--port", str(gateway.port))
        await asyncio.gather(*callers)
    # At most what each caller had on its way.
    assert 0 < interrupted <= 20


@pytest.fixture
def gateway_url(running: System) -> str:
    return running.url


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_the_synchronous_client_serves_many_threads(
    gateway_url: str, transport: TransportName
) -> None:
    def many() -> list[float]:
        answers: dict[int, float] = {}

        def one(client: Client, number: int) -> None:
            answers[number] = client.infer("affine", x(number), version=1)["y"][0, 0]

        with Client(gateway_url, transport=transport) as client:
            threads = [threading.Thread(target=one, args=(client, i)) for i in range(20)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        return [answers[number] for number in range(20)]

    assert await asyncio.to_thread(many) == [2.0 * number + 1 for number in range(20)]


async def test_the_synchronous_client_has_many_calls_in_flight_without_threads(
    gateway_url: str,
) -> None:
    def many() -> list[float]:
        with Client(gateway_url) as client:
            futures = [client.submit("affine", x(i), version=1) for i in range(CALLS)]
            return [float(future.result()["y"][0, 0]) for future in futures]

    assert await asyncio.to_thread(many) == [2.0 * number + 1 for number in range(CALLS)]


async def test_closing_the_synchronous_client_ends_the_calls_that_wait(
    gateway_url: str, gate: Gate
) -> None:
    client = await asyncio.to_thread(Client, gateway_url)
    waiting: Future[Any] = client.submit("hold", x(HELD))
    async with held_run(gate):
        await asyncio.to_thread(client.close)
    assert type(waiting.exception(timeout=0)) is ClientClosed
    with pytest.raises(ClientClosed):
        client.submit("hold", x(1.0))


async def test_an_exception_reaches_the_synchronous_caller(gateway_url: str) -> None:
    def wrong() -> type[BaseException]:
        with Client(gateway_url) as client, pytest.raises(InvalidRequest) as raised:
            client.infer("affine", np.zeros((1, 5)))
        return raised.type

    assert await asyncio.to_thread(wrong) is InvalidRequest


async def test_a_synchronous_client_of_no_address_is_not_made() -> None:
    with pytest.raises(ValueError, match="url"):
        Client("nowhere")
