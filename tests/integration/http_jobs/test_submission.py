"""What is accepted as a job, and what is refused by name and leaves nothing."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from io import BytesIO

import aiohttp
import pytest

from bridge.job_store.manifest import JobState
from bridge.job_store.store import JobStore
from tests.http_jobs import (
    CSV,
    PER_TENANT,
    ROWS,
    MiB,
    refused,
    submitted,
)
from tests.raw_http import ask, request
from tests.system import System

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_upload_is_accepted_with_its_place_and_waits(
    http: aiohttp.ClientSession, jobs: str, store: JobStore
) -> None:
    url = f"{jobs}?model=double@1&key=id&columns=x=a&columns=y=b&output=parquet&max_rejected=3"
    async with http.post(url, data=ROWS, headers=CSV) as response:
        view = await response.json()
        assert (response.status, response.headers["Location"]) == (202, f"/v1/jobs/{view['id']}")
    manifest = store.manifest(view["id"])
    assert (manifest.model, manifest.key, manifest.columns) == (
        "double@1",
        "id",
        {"x": "a", "y": "b"},
    )
    assert (manifest.input_format, manifest.output_format) == ("csv", "parquet")
    assert (manifest.max_rejected, manifest.state) == (3, JobState.WAITING)
    assert b"".join(store.claims.input_blocks(view["id"])) == ROWS


async def test_a_chunked_upload_of_many_blocks_arrives_byte_for_byte(
    http: aiohttp.ClientSession, jobs: str, store: JobStore
) -> None:
    body = os.urandom(3 * MiB + 17)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 70_001):
            yield body[start : start + 70_001]

    view = await submitted(http, jobs, pieces())
    assert b"".join(store.claims.input_blocks(view["id"])) == body


async def test_an_accepted_job_survives_the_death_of_the_queue(
    http: aiohttp.ClientSession, jobs: str, system: System, store: JobStore
) -> None:
    view = await submitted(http, jobs)
    assert system.queue is not None
    os.kill(system.queue.pid, signal.SIGKILL)
    connected = len(system.gateways[0].logs.events("queue_connected"))
    await system.queue.restart()
    assert b"".join(store.claims.input_blocks(view["id"])) == ROWS
    await system.gateways[0].logs.wait_for("queue_connected", connected + 1)


async def test_an_upload_during_which_the_queue_dies_is_refused_and_the_next_one_accepted(
    http: aiohttp.ClientSession, jobs: str, system: System, store: JobStore
) -> None:
    has_died = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        yield bytes(2 * MiB)
        await has_died.wait()
        yield bytes(2 * MiB)

    url = f"{jobs}?model=double"
    upload = asyncio.create_task(http.post(url, data=pieces(), headers=CSV))
    while store.stored_bytes() < MiB:
        await asyncio.to_thread(store.stored_bytes)
    assert system.queue is not None
    os.kill(system.queue.pid, signal.SIGKILL)
    has_died.set()
    async with await upload as response:
        assert await refused(response) == (503, "queue_unavailable")
    connected = len(system.gateways[0].logs.events("queue_connected"))
    await system.queue.restart()
    await system.gateways[0].logs.wait_for("queue_connected", connected + 1)
    await submitted(http, jobs)


async def test_a_file_of_the_operators_folder_can_be_named(
    http: aiohttp.ClientSession, jobs: str, store: JobStore
) -> None:
    asked = {"file": "nightly/rows.csv", "model": "double", "columns": {"x": "a"}, "key": "id"}
    async with http.post(jobs, json=asked) as response:
        assert response.status == 202
        manifest = store.manifest((await response.json())["id"])
    assert (manifest.input_file, manifest.input_bytes) == ("nightly/rows.csv", len(ROWS))
    assert (manifest.input_format, manifest.columns) == ("csv", {"x": "a"})


@pytest.mark.parametrize(
    "name",
    [
        "../secret.csv", "nightly/../../secret.csv", "/etc/passwd.csv", "link.csv", "up/secret.csv",
        "nightly//rows.csv", "./nightly/rows.csv", "missing.csv", "pipe.csv", "nightly/rows.csv/",
        "a\0.csv", "%2e%2e/secret.csv", "\ud800.csv", "/" * 100 + ".csv", "a/" * 200 + ".csv",
    ],
)  # fmt: skip
async def test_no_name_leads_out_of_the_folder(
    http: aiohttp.ClientSession, jobs: str, name: str
) -> None:
    body = json.dumps({"file": name, "model": "double"})
    async with http.post(jobs, data=body, headers={"Content-Type": "application/json"}) as response:
        status, _ = await refused(response)
    assert status == 400


@pytest.mark.parametrize(
    ("query", "headers", "body", "expected"),
    [
        ("model=double", {"Content-Type": "text/plain"}, ROWS, (415, "media_type")),
        ("model=double", {"Content-Type": "multipart/form-data"}, ROWS, (415, "media_type")),
        ("model=double", {"Content-Type": "text/csv; charset=latin-1"}, ROWS, (415, "media_type")),
        ("model=double", {**CSV, "Content-Encoding": "gzip"}, ROWS, (415, "encoding")),
        ("model=double", CSV, b"", (400, "empty")),
        ("", CSV, ROWS, (400, "missing")),
        ("model=", CSV, ROWS, (400, "missing")),
        ("model=nothing", CSV, ROWS, (404, "unknown_model")),
        ("model=double@9", CSV, ROWS, (404, "unknown_model")),
        ("model=double&output=xls", CSV, ROWS, (400, "bad_parameter")),
        ("model=double&max_rejected=-1", CSV, ROWS, (400, "bad_parameter")),
        ("model=double&max_rejected=1e9", CSV, ROWS, (400, "bad_parameter")),
        ("model=double&columns=x", CSV, ROWS, (400, "bad_parameter")),
        ("model=double&columns=x=a&columns=x=b", CSV, ROWS, (400, "duplicate_key")),
        ("model=double&model=double", CSV, ROWS, (400, "duplicate_key")),
        ("model=double&modle=x", CSV, ROWS, (400, "unknown_key")),
        ("model=double&key=" + "k" * 300, CSV, ROWS, (400, "bad_parameter")),
        ("model=double", {**CSV, "X-Tenant": "a b"}, ROWS, (400, "bad_parameter")),
        ("model=double", {**CSV, "X-Tenant": "a" * 65}, ROWS, (400, "bad_parameter")),
        ("model=double", {**CSV, "Idempotency-Key": "k" * 300}, ROWS, (400, "bad_parameter")),
        ("", {"Content-Type": "application/json"}, b"[1]", (400, "schema")),
        ("", {"Content-Type": "application/json"}, b'{"model": "double"}', (400, "missing")),
        ("", {"Content-Type": "application/json"}, b"{", (400, "bad_json")),
        (
            "model=double", {"Content-Type": "application/json"},
            b'{"file": "nightly/rows.csv", "model": "double"}', (400, "unknown_key"),
        ),
        (
            "", {"Content-Type": "application/json"},
            b'{"file": "a.csv", "file": "b.csv", "model": "double"}', (400, "duplicate_key"),
        ),
    ],
)  # fmt: skip
async def test_what_is_no_job_is_refused_by_name_and_leaves_nothing(
    http: aiohttp.ClientSession,
    jobs: str,
    store: JobStore,
    query: str,
    headers: dict[str, str],
    body: bytes,
    expected: tuple[int, str],
) -> None:
    async with http.post(f"{jobs}?{query}", data=body, headers=headers) as response:
        assert await refused(response) == expected
    assert store.counts()[JobState.WAITING] == 0


async def test_an_announced_body_that_is_too_long_is_refused_before_it_is_sent(
    system: System,
) -> None:
    words = ["Content-Type: text/csv", f"Content-Length: {1 << 40}", "Expect: 100-continue"]
    answer = await ask(system.url, request("POST", "/v1/jobs?model=double", words))
    assert answer is not None
    assert (answer.status, answer.code) == (413, "too_large")


async def test_an_upload_past_the_cap_is_refused_midway_and_leaves_nothing(
    http: aiohttp.ClientSession, jobs: str, store: JobStore
) -> None:
    async with http.post(
        f"{jobs}?model=double", data=BytesIO(bytes(9 * MiB)), headers=CSV
    ) as response:
        assert await refused(response) == (507, "storage_full")
        assert "Retry-After" in response.headers
    assert store.stored_bytes() == 0
    await submitted(http, jobs)


async def test_an_upload_whose_caller_leaves_is_removed(
    http: aiohttp.ClientSession, system: System, jobs: str, store: JobStore
) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", system.gateways[0].port)
    head = (
        "POST /v1/jobs?model=double HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\n"
        f"Content-Length: {4 * MiB}\r\n\r\n"
    )
    writer.write(head.encode() + bytes(2 * MiB))
    await writer.drain()
    while store.stored_bytes() < MiB:
        await asyncio.to_thread(store.stored_bytes)
    writer.transport.abort()
    while store.stored_bytes():
        await asyncio.to_thread(store.stored_bytes)
    assert store.manifests() == []


async def test_a_tenant_with_too_many_jobs_is_refused_and_others_are_not(
    http: aiohttp.ClientSession, jobs: str
) -> None:
    url = f"{jobs}?model=double"
    await asyncio.gather(
        *(submitted(http, jobs, **{"X-Tenant": "a"}) for _ in range(PER_TENANT // 2))
    )
    await asyncio.gather(
        *(submitted(http, jobs, **{"X-Tenant": "a"}) for _ in range(PER_TENANT // 2))
    )
    async with http.post(url, data=ROWS, headers={**CSV, "X-Tenant": "a"}) as response:
        assert await refused(response) == (429, "too_many_jobs")
    await submitted(http, jobs, **{"X-Tenant": "b"})
