"""Row B46 of the bad-input table: nothing is wrong with the request, and it cannot be answered."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from bridge.gateway.process import FILES_RESERVED
from tests.gate import HELD, Gate, held_run
from tests.raw_http import Answer, ask, connected, request
from tests.system import System, running_system
from tests.tiny_models import infer_body

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOLD = "/v2/models/hold/infer"
# One row a run, so that many rows take long by the model of time.
SERVING = "[serving]\nlatency_target_ms = 50\ntimeout_ms = 20000\nmax_batch_rows = 1\n"
ROWS_TOO_MANY = 65_536
# The time within which a silent worker is noticed (1 s), and a second more for the machine.
NOTICED_S_MAX = 2.0
ROOM = 32
PATIENT = ("X-Request-Timeout-Ms: 20000",)
# A request that is accepted before that is answered by its own deadline.
SOON = ("X-Request-Timeout-Ms: 200",)


@dataclass(frozen=True)
class Held:
    """A system whose model's runs wait at a gate."""

    system: System
    gate: Gate

    @property
    def url(self) -> str:
        """The gateway's."""
        return self.system.url


@asynccontextmanager
async def running_held(models: Path) -> AsyncIterator[Held]:
    """A system of its own, for a test that breaks it."""
    async with Gate.open() as gate:
        gate.write_model(models, "hold", SERVING)
        async with running_system(models) as system:
            yield Held(system, gate)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def held(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Held]:
    """A system that stays whole."""
    async with running_held(tmp_path_factory.mktemp("models")) as running:
        yield running


def infer(*values: float, headers: tuple[str, ...] = ()) -> bytes:
    """A whole request for `hold`."""
    return request("POST", HOLD, headers, json.dumps(infer_body(values)).encode())


async def answer_to(url: str, data: bytes) -> Answer:
    """The answer to a request on a connection of its own."""
    return await ask(url, data) or pytest.fail("no answer")


async def take_turns(url: str) -> None:
    """Let the gateway's loop go round so often that another connection's buffers are full."""
    async with connected(url) as connection:
        for _ in range(500):
            await connection.send(request())
            await connection.answer()


async def until(url: str, status: int, data: bytes) -> Answer:
    """Ask until this status comes; each try is a round trip, which is what paces it."""
    async with asyncio.timeout(NOTICED_S_MAX):
        while (answer := await answer_to(url, data)).status != status:
            pass
    return answer


async def test_a_request_that_is_not_answered_by_its_deadline_gets_504(held: Held) -> None:
    waiting = asyncio.create_task(
        answer_to(held.url, infer(HELD, headers=("X-Request-Timeout-Ms: 150",)))
    )
    async with held_run(held.gate):
        answer = await waiting
    assert (answer.status, answer.code) == (504, "deadline_exceeded")


async def test_a_request_that_could_not_be_answered_in_time_is_told_when_to_come_back(
    held: Held,
) -> None:
    async with connected(held.url) as first:
        await first.send(infer(HELD))
        async with held_run(held.gate):
            answer = await answer_to(held.url, infer(*[1.0] * ROWS_TOO_MANY))
        assert (answer.status, answer.code) == (429, "overloaded")
        after_s, after_ms = (int(answer.headers[key]) for key in ("retry-after", "retry-after-ms"))
        assert (after_s - 1) * 1000 < after_ms <= after_s * 1000
        assert (await first.answer() or pytest.fail("no answer")).status == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_without_a_worker_a_request_gets_503(tmp_path: Path, number: signal.Signals) -> None:
    async with running_held(tmp_path) as held:
        held.system.workers[0].signal(number)
        await held.system.workers[0].end()
        answer = await until(held.url, 503, infer(1.0, headers=SOON))
        ready = await until(held.url, 503, request(path="/v2/health/ready"))
    assert (answer.code, answer.headers["retry-after"], ready.document) == (
        "no_worker",
        "1",
        {"ready": False},
    )


async def test_without_its_queue_a_request_gets_503(tmp_path: Path) -> None:
    async with running_held(tmp_path) as held:
        queue = held.system.queue or pytest.fail("no queue")
        os.kill(queue.pid, signal.SIGKILL)
        answer = await until(held.url, 503, infer(1.0, headers=SOON))
    assert (answer.code, answer.headers["retry-after"]) == ("queue_unavailable", "1")


async def test_a_gateway_that_may_open_few_files_keeps_some_for_its_queue(tmp_path: Path) -> None:
    async with running_held(tmp_path) as held, AsyncExitStack() as stack:
        with open_files_max(FILES_RESERVED + ROOM):
            gateway = await held.system.start_gateway()
        connections = [
            await stack.enter_async_context(connected(gateway.url)) for _ in range(2 * ROOM)
        ]
        for connection in connections:
            await connection.send(infer(1.0, headers=PATIENT))
        answers = [await connection.answer() for connection in connections]
    assert [answer and answer.status for answer in answers] == [200] * ROOM + [None] * ROOM


@contextmanager
def open_files_max(files: int) -> Iterator[None]:
    """What is started in the block may have so many files open."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_a_gateway_that_drains_waits_for_a_body_on_its_way_and_answers_it(
    tmp_path: Path,
) -> None:
    async with running_held(tmp_path) as held, connected(held.url) as connection:
        whole = infer(20.0, headers=("Expect: 100-continue",))
        head, _, body = whole.partition(b"\r\n\r\n")
        await connection.send(head + b"\r\n\r\n")
        await connection.answer()
        gateway = held.system.gateways[0]
        gateway.signal(signal.SIGTERM)
        await gateway.logs.wait_for("closing_idle_connections")
        await connection.send(body)
        answers = await connection.answers()
        code = await gateway.end()
    values = [answer.document["outputs"][0]["data"] for answer in answers]
    assert (values, code) == ([[41.0]], 0)


async def test_a_client_that_takes_no_answer_does_not_hold_up_the_end(tmp_path: Path) -> None:
    async with running_held(tmp_path) as held, connected(held.url) as connection:
        connection.writer.transport.pause_reading()
        connection.writer.write(request(path="/openapi.json") * 10_000)
        await take_turns(held.url)
        code = await held.system.gateways[0].terminate()
    assert code == 0
