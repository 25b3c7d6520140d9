"""A request's deadline: who sets it, and that its answer comes by then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.conftest import FindServer
from tests.gate import HELD, Gate, held_run
from tests.system import System, post, running_system
from tests.tiny_models import Recording, infer_body

pytestmark = pytest.mark.asyncio(loop_scope="module")

TIMEOUT_S = 0.2
SERVING = f"[serving]\nlatency_target_ms = 100\ntimeout_ms = {TIMEOUT_S * 1e3:g}\n"
# The promise is 50 ms (p99); the rest is for two cores that other tests use as well.
LATE_S_MAX = 0.05 + 0.95
HOUR_MS = 3_600_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gate() -> AsyncIterator[Gate]:
    async with Gate.open() as opened:
        yield opened


@pytest.fixture(scope="module")
def models(find_server: FindServer, gate: Gate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    # A held run counts in a model's time, and admission would refuse what is sent behind it: the
    # tests that send something behind a held run have a model each.
    for model in ("gated", "expiring", "waiting"):
        gate.write_model(root, model, SERVING)
    return root


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gated(find_server: FindServer, models: Path) -> AsyncIterator[System]:
    """A system whose models wait for the test when a row is `HELD`."""
    async with running_system(models, find_server=find_server) as running:
        yield running


async def infer(
    system: System, http: aiohttp.ClientSession, value: float, **options: Any
) -> tuple[int, Any]:
    """`options`: `model`, `headers`, or parts of the body."""
    model, headers = options.pop("model", "gated"), options.pop("headers", {})
    body = infer_body([value], **options)
    url = f"{system.url}/v2/models/{model}/infer"
    status, answer, _ = await post(http, url, body, headers=headers)
    return status, answer


async def held_answer(
    gate: Gate, system: System, http: aiohttp.ClientSession, **options: Any
) -> tuple[int, str, float]:
    """Send a request whose run waits until the request is answered: status, code, seconds."""
    now = asyncio.get_running_loop().time
    sent_s = now()
    request = asyncio.create_task(infer(system, http, HELD, **options))
    async with held_run(gate):
        status, answer = await request
        taken_s = now() - sent_s
    # Back to an idle worker for the next test.
    assert (await infer(system, http, 1.0, headers=patient()))[0] == 200
    return status, answer.get("code", ""), taken_s


def patient() -> dict[str, str]:
    return {"X-Request-Timeout-Ms": "20000"}


@pytest.mark.parametrize(
    ("options", "timeout_s"),
    [
        pytest.param({}, TIMEOUT_S, id="the contract's"),
        pytest.param({"headers": {"X-Request-Timeout-Ms": "300"}}, 0.3, id="the header's"),
        pytest.param({"parameters": {"timeout": 250_000}}, 0.25, id="the body's"),
        pytest.param(
            {"headers": {"X-Request-Timeout-Ms": "300"}, "parameters": {"timeout": 20_000_000}},
            0.3,
            id="the header's, before the body's",
        ),
    ],
)
async def test_a_request_that_runs_too_long_is_answered_at_its_deadline(
    gate: Gate,
    gated: System,
    http: aiohttp.ClientSession,
    options: dict[str, Any],
    timeout_s: float,
) -> None:
    status, code, taken_s = await held_answer(gate, gated, http, **options)
    assert (status, code) == (504, "deadline_exceeded")
    assert timeout_s <= taken_s <= timeout_s + LATE_S_MAX


async def test_a_header_may_ask_for_more_time_than_the_body(
    gated: System, http: aiohttp.ClientSession
) -> None:
    status, answer = await infer(gated, http, 3.0, headers=patient(), parameters={"timeout": 1})
    assert (status, answer["outputs"][0]["data"]) == (200, [7.0])


async def test_a_request_that_waits_too_long_is_never_run(
    gate: Gate, gated: System, http: aiohttp.ClientSession, models: Path
) -> None:
    recording = Recording(models / "expiring" / "1")
    recording.forget()
    send = partial(infer, gated, http, model="expiring")
    held = asyncio.create_task(send(HELD, headers=patient()))
    async with held_run(gate):
        status, answer = await send(5.0)
        assert (status, answer["code"]) == (504, "deadline_exceeded")
    await held
    await send(6.0, headers=patient())
    assert [batch["first"] for batch in recording.batches()] == [[HELD], [6.0]]


async def test_a_request_whose_turn_comes_in_time_is_answered(
    gate: Gate, gated: System, http: aiohttp.ClientSession
) -> None:
    send = partial(infer, gated, http, model="waiting")
    held = asyncio.create_task(send(HELD, headers=patient()))
    async with held_run(gate):
        waiting = asyncio.create_task(send(4.0, headers=patient()))
        # Its answer shows that the one before it has been waiting for that long.
        assert (await send(5.0))[0] == 504
    await held
    status, answer = await waiting
    assert (status, answer["outputs"][0]["data"]) == (200, [9.0])


async def test_a_timeout_above_the_maximum_still_gets_its_answer(
    gated: System, http: aiohttp.ClientSession
) -> None:
    headers = {"X-Request-Timeout-Ms": str(2 * HOUR_MS)}
    status, answer = await infer(gated, http, 3.0, headers=headers)
    assert (status, answer["outputs"][0]["data"]) == (200, [7.0])


async def test_a_timeout_above_the_maximum_is_capped_and_said(
    gated: System, http: aiohttp.ClientSession
) -> None:
    url = f"{gated.url}/v2/models/gated/infer"
    headers = {"X-Request-Timeout-Ms": str(2 * HOUR_MS)}
    _, _, answered = await post(http, url, infer_body([3.0]), headers=headers)
    assert answered.get("X-Request-Timeout-Ms") == str(HOUR_MS)
