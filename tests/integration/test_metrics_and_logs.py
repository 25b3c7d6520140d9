"""What an operator sees: counters that move by exactly what happened, one JSON line per event."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from bridge.wire.keys import CANCELLED_CHANNEL
from tests.conftest import FindServer
from tests.gate import HELD, Gate, held_run
from tests.series import moved, scrape
from tests.system import System, post, running_system
from tests.tiny_models import PATIENT, affine, infer_body, tensors, write_version

pytestmark = pytest.mark.asyncio(loop_scope="module")

# y = 2 x + 1; but it raises on one value, and loses the last row on another.
FRAIL_PIPELINE = """
def predict(inputs):
    x = inputs["x"]
    if (x == 666.0).any():
        raise ValueError(f"cannot take {float(x.min())}")
    y = x * 2 + 1
    return {"y": y[:-1] if (x == 667.0).any() else y}
"""
RAISES, LOSES_A_ROW = 666.0, 667.0
SECRET = 87654.321


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gate() -> AsyncIterator[Gate]:
    async with Gate.open() as opened:
        yield opened


@pytest.fixture(scope="module")
def models(find_server: FindServer, gate: Gate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    write_version(root, "plain", graph=affine(2, 1), contract=PATIENT)
    write_version(root, "frail", pipeline=FRAIL_PIPELINE, contract=PATIENT + tensors())
    gate.write_model(root, "gated", PATIENT)
    return root


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tiny(find_server: FindServer, models: Path) -> AsyncIterator[System]:
    async with running_system(models, find_server=find_server) as running_one:
        yield running_one


async def infer(
    system: System, http: aiohttp.ClientSession, model: str, *values: float, **headers: str
) -> tuple[int, Any]:
    url = f"{system.url}/v2/models/{model}/infer"
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    status, answer, _ = await post(http, url, infer_body(values), headers=named)
    return status, answer


async def test_metrics_say_all_that_an_operator_must_know(
    tiny: System, http: aiohttp.ClientSession
) -> None:
    await infer(tiny, http, "plain", 1.0)
    names = (await scrape(http, tiny.url)).names
    wanted = {
        "requests_total",
        "in_flight",
        "queue_delay_seconds_count",
        "batch_rows_sum",
        "run_seconds_sum",
        "frames_total",
        "expired_total",
        "reclaimed_total",
        "queue_up",
        "workers",
    }
    assert {f"batchbridge_{name}" for name in wanted} - names == set()


async def test_metrics_are_prometheus_text(tiny: System, http: aiohttp.ClientSession) -> None:
    async with http.get(f"{tiny.url}/metrics") as response:
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"


async def test_every_answer_is_counted_once(tiny: System, http: aiohttp.ClientSession) -> None:
    before = await scrape(http, tiny.url)
    await asyncio.gather(*(infer(tiny, http, "plain", float(value)) for value in range(50)))
    after = await scrape(http, tiny.url)
    assert moved(before, after, "requests_total", model="plain", outcome="ok") == 50


@pytest.mark.parametrize("name", ["request_seconds_count", "queue_delay_seconds_count"])
async def test_every_answer_is_timed_once(
    tiny: System, http: aiohttp.ClientSession, name: str
) -> None:
    before = await scrape(http, tiny.url)
    await asyncio.gather(*(infer(tiny, http, "plain", float(value)) for value in range(50)))
    after = await scrape(http, tiny.url)
    assert moved(before, after, name, model="plain") == 50


async def test_the_rows_of_all_batches_are_the_rows_sent(
    tiny: System, http: aiohttp.ClientSession
) -> None:
    before = await scrape(http, tiny.url)
    await asyncio.gather(*(infer(tiny, http, "plain", *[1.0] * rows) for rows in range(1, 31)))
    after = await scrape(http, tiny.url)
    assert moved(before, after, "batch_rows_sum", model="plain") == sum(range(1, 31))


async def test_requests_one_after_the_other_are_a_frame_and_a_run_each(
    tiny: System, http: aiohttp.ClientSession
) -> None:
    before = await scrape(http, tiny.url)
    for value in range(5):
        await infer(tiny, http, "plain", float(value))
    after = await scrape(http, tiny.url)
    counts = (
        moved(before, after, "frames_total"),
        moved(before, after, "run_seconds_count", model="plain"),
        moved(before, after, "batch_rows_count", model="plain"),
    )
    assert counts == (5, 5, 5)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/v2/models/nobody/infer", "unknown_model"),
        ("/v3", "unknown_path"),
        ("/v2/models/plain/infer", "missing"),
    ],
)
async def test_every_refusal_is_counted_by_its_reason(
    tiny: System, http: aiohttp.ClientSession, path: str, reason: str
) -> None:
    before = await scrape(http, tiny.url)
    await post(http, f"{tiny.url}{path}", {"inputs": []})
    after = await scrape(http, tiny.url)
    assert moved(before, after, "refused_total", reason=reason) == 1


@pytest.mark.parametrize(
    ("value", "outcome"), [(RAISES, "rows_failed"), (LOSES_A_ROW, "bad_output")]
)
async def test_every_failure_is_counted_by_its_outcome(
    tiny: System, http: aiohttp.ClientSession, value: float, outcome: str
) -> None:
    before = await scrape(http, tiny.url)
    await infer(tiny, http, "frail", value)
    after = await scrape(http, tiny.url)
    assert moved(before, after, "requests_total", model="frail", outcome=outcome) == 1


async def test_what_expires_is_counted_and_its_late_result_is_a_stray(
    tiny: System, http: aiohttp.ClientSession, gate: Gate
) -> None:
    before = await scrape(http, tiny.url)
    late = asyncio.create_task(infer(tiny, http, "gated", HELD, X_Request_Timeout_Ms="100"))
    async with held_run(gate):
        await late
    # Behind the late result in the gateway's list.
    await infer(tiny, http, "gated", 1.0)
    after = await scrape(http, tiny.url)
    counts = (
        moved(before, after, "expired_total"),
        moved(before, after, "requests_total", model="gated", outcome="deadline_exceeded"),
        moved(before, after, "stray_results_total"),
    )
    assert counts == (1, 1, 1)


async def test_what_is_in_flight_is_counted_until_it_is_answered(
    tiny: System, http: aiohttp.ClientSession, gate: Gate
) -> None:
    held = asyncio.create_task(infer(tiny, http, "gated", HELD))
    async with held_run(gate):
        during = await scrape(http, tiny.url)
    await held
    after = await scrape(http, tiny.url)
    assert (during("in_flight"), after("in_flight")) == (1, 0)


async def test_a_caller_who_goes_is_counted(
    tiny: System, http: aiohttp.ClientSession, gate: Gate
) -> None:
    before = await scrape(http, tiny.url)
    async with tiny.redis() as redis, redis.pubsub(ignore_subscribe_messages=True) as channel:
        await channel.subscribe(CANCELLED_CHANNEL)
        caller = asyncio.create_task(infer(tiny, http, "gated", HELD))
        async with held_run(gate):
            caller.cancel()
            await asyncio.wait({caller})
            # The gateway tells the workers, and has counted by then.
            async for _ in channel.listen():
                break
    after = await scrape(http, tiny.url)
    counts = (moved(before, after, "abandoned_total"), after("in_flight"))
    assert counts == (1, 0)


async def test_no_request_adds_a_series_of_its_own(
    tiny: System, http: aiohttp.ClientSession
) -> None:
    async def ask(number: int) -> None:
        await post(http, f"{tiny.url}/v2/models/model-{number}/infer", {})
        await post(http, f"{tiny.url}/v2/models/plain/versions/{number + 2}/infer", {})
        await post(http, f"{tiny.url}/path/{number}", {})
        async with http.request(f"METHOD{number}", f"{tiny.url}/v2/models/plain/infer"):
            pass

    await ask(0)
    before = await scrape(http, tiny.url)
    for number in range(1, 20):
        await ask(number)
    after = await scrape(http, tiny.url)
    assert set(after.values) - set(before.values) == set()


async def test_a_frame_taken_over_from_a_dead_worker_is_counted(
    find_server: FindServer, models: Path, http: aiohttp.ClientSession, gate: Gate
) -> None:
    async with running_system(models, find_server=find_server) as system:
        held = asyncio.create_task(infer(system, http, "gated", HELD))
        first = await gate.held()
        (worker,) = system.workers
        second = await system.start_worker(models)
        worker.signal(signal.SIGKILL)
        first.close()
        async with held_run(gate):
            await second.logs.wait_for("reclaimed")
        await held
        # The worker's next beat carries the count; a heartbeat follows its draining too.
        await second.terminate()
        await system.gateways[0].logs.wait_for("worker_left")
        assert (await scrape(http, system.url))("reclaimed_total") == 1


def lines_of(system: System) -> list[str]:
    processes = [*system.gateways, *system.workers]
    return [line for process in processes for line in process.logs.lines]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def logged(
    find_server: FindServer, models: Path, http: aiohttp.ClientSession
) -> AsyncIterator[System]:
    """A system that has answered, refused and failed requests, and has ended."""
    async with running_system(models, find_server=find_server) as system:
        await infer(system, http, "plain", SECRET)
        await infer(system, http, "frail", RAISES, X_Request_Id="raised-3")
        await infer(system, http, "frail", SECRET, LOSES_A_ROW, X_Request_Id="lost-row-7")
        await infer(system, http, "nobody", SECRET)
        url = f"{system.url}/v2/models/plain/infer"
        async with http.post(url, data=f'{{"inputs": [{SECRET}', headers=JSON) as response:
            assert response.status == 400
        for process in (*system.gateways, *system.workers):
            assert await process.terminate() == 0
        yield system


JSON = {"Content-Type": "application/json"}


async def test_every_line_of_every_process_is_a_json_object(logged: System) -> None:
    entries = [json.loads(line) for line in lines_of(logged)]
    missing = [
        entry for entry in entries if not {"event", "level", "timestamp", "process"} <= set(entry)
    ]
    assert missing == []


async def test_no_line_holds_a_callers_values(logged: System) -> None:
    assert [line for line in lines_of(logged) if str(SECRET) in line] == []


async def test_a_failure_is_logged_with_the_callers_request_id(logged: System) -> None:
    failures = logged.gateways[0].logs.events("request_failed")
    said = [(failed["code"], failed["request_id"]) for failed in failures]
    assert said == [("rows_failed", "raised-3"), ("bad_output", "lost-row-7")]


async def test_no_line_holds_what_a_model_says_of_a_value(logged: System) -> None:
    assert [line for line in lines_of(logged) if str(RAISES) in line] == []


async def test_answers_and_refusals_are_counted_and_not_logged(
    tiny: System, http: aiohttp.ClientSession
) -> None:
    logs = tiny.gateways[0].logs
    failures = len(logs.events("request_failed"))
    before = len(logs.lines)
    for value in range(20):
        await infer(tiny, http, "plain", float(value))
        await infer(tiny, http, "nobody", float(value))
    await infer(tiny, http, "frail", LOSES_A_ROW)
    await logs.wait_for("request_failed", count=failures + 1)
    assert len(logs.lines) == before + 1
