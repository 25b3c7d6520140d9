"""S17, S18, S26 and S27: what is offered, where it listens, what clients can put into it."""

from __future__ import annotations

import json
import random
import re
import sys
from pathlib import Path

import pytest

from bridge.cli_options import build_parser
from bridge.gateway.dialects.call import InputLimits
from bridge.gateway.gateway import Gateway
from bridge.gateway.http import Routes, listed_routes
from bridge.gateway.metrics import GatewayMetrics
from tests.raw_http import ask, connected, request
from tests.typed_model import TYPED, TypedSystem, body, broken_request

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("still_right")]

# HEAD goes with every GET.
GET = [
    "/v2",
    "/v2/",
    "/v2/health/live",
    "/v2/health/ready",
    "/v2/models/{model}",
    "/v2/models/{model}/ready",
    "/v2/models/{model}/versions/{version}",
    "/v2/models/{model}/versions/{version}/ready",
    "/metrics",
    "/openapi.json",
    "/v1/jobs",
    "/v1/jobs/{job}",
    "/v1/jobs/{job}/results",
    "/v1/jobs/{job}/rejected",
]
# A WebSocket handshake has no HEAD.
STREAM = ["/v2/models/{model}/stream", "/v2/models/{model}/versions/{version}/stream"]
POST = [
    "/v2/models/{model}/infer",
    "/v2/models/{model}/versions/{version}/infer",
    "/v1/models/{model}/predict",
    "/v1/models/{model}/versions/{version}/predict",
    "/v2/repository/index",
    "/v1/jobs",
    "/v1/jobs/{job}/retry-dead",
]
DELETE = ["/v1/jobs/{job}"]
LOOPBACK = "0100007F"
LISTENING = "0A"  # the state column of /proc/net/tcp

# What breaks lines, colours terminals, ends JSON strings, or is no UTF-8; ESC, as any control
# character but tab, is not even a header.
FORGERIES = [
    b"\x85",
    b"\xe2\x80\xa8",
    b"\xe2\x80\xae",
    b'"},{"event":"forged"}',
    b"%0d%0aforged",
    b"\\r\\nforged",
    b"\xff\xfe\xc3",
    b"a" * 300,
    b"{{7*7}}",
    b"",
    b"\tx",
    b"a b",
    "é".encode(),
    "\U0001f600".encode(),
]
FORGED_TEXTS = ["a\r\n{}", "\x1b[2J", "\u2028\u2029", '"}\n{"event":"forged"}', "a" * 5_000, "\x00"]


async def test_the_routes_are_exactly_those_that_are_documented() -> None:
    gateway = Gateway("redis://127.0.0.1:1", InputLimits(), GatewayMetrics(None))
    expected = [("GET", path) for path in GET] + [("HEAD", path) for path in GET]
    expected += [("GET", path) for path in STREAM]
    expected += [("POST", path) for path in POST] + [("DELETE", path) for path in DELETE]
    assert sorted(listed_routes(Routes(gateway).application())) == sorted(expected)


@pytest.mark.parametrize("path", ["/v1/jobs", f"/v1/jobs/{'0' * 44}/results"])
async def test_jobs_are_off_by_name_without_a_queue_that_can_keep_them(
    typed_system: TypedSystem, path: str
) -> None:
    answer = await ask(typed_system.url, request("GET", path))
    assert answer is not None
    assert (answer.status, answer.code) == (404, "jobs_off")


@pytest.mark.parametrize("command", ["gateway", "serve"])
async def test_only_loopback_is_listened_on_unless_told_otherwise(command: str) -> None:
    assert build_parser({}).parse_args([command]).host == "127.0.0.1"


async def test_no_answer_tells_the_versions_of_what_is_inside(typed_system: TypedSystem) -> None:
    sent = [request(), request(path="/nowhere"), request("POST", TYPED, body=body()), b"x\r\n\r\n"]
    answers = [await ask(typed_system.url, data) for data in sent]
    assert {answer and answer.headers["server"] for answer in answers} == {"batchbridge"}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_the_only_network_port_of_all_processes_is_the_gateways_on_loopback(
    typed_system: TypedSystem,
) -> None:
    system = typed_system.system
    assert system.queue is not None
    pids = [process.pid for process in (*system.gateways, *system.workers)]
    listening = [address for pid in (*pids, system.queue.pid) for address in listeners(pid)]
    assert listening == [f"{LOOPBACK}:{typed_system.gateway.port:04X}"]


def listeners(pid: int) -> list[str]:
    """The local addresses, in hexadecimal, at which a process listens for TCP."""
    links = map(link_of, Path(f"/proc/{pid}/fd").iterdir())
    own = {link[len("socket:[") : -1] for link in links if link.startswith("socket:[")}
    tables = [Path(f"/proc/{pid}/net/{name}") for name in ("tcp", "tcp6")]
    rows = [line.split() for table in tables for line in table.read_text().splitlines()[1:]]
    return [row[1] for row in rows if row[3] == LISTENING and row[9] in own]


def link_of(entry: Path) -> str:
    """Where it leads; nowhere if it has been closed since it was listed."""
    try:
        return str(entry.readlink())
    except FileNotFoundError:
        return ""


async def series(url: str) -> set[str]:
    """The names and labels of every series."""
    answer = await ask(url, request(path="/metrics")) or pytest.fail("no answer")
    lines = answer.body.decode().splitlines()
    return {line.rpartition(" ")[0] for line in lines if not line.startswith("#")}


def random_request(source: random.Random) -> bytes:
    """Some method, path, model, version, id and body that nobody serves."""
    word = "".join(source.choices("abcdefghijklmnop-_.%2e", k=source.randrange(1, 40)))
    path = source.choice(
        [f"/{word}", f"/v2/models/{word}/infer", f"/v2/models/typed/versions/{word}", TYPED]
    )
    headers = [f"X-Request-Id: {word}", f"X-{word.replace('%', '')}: 1"]
    method = source.choice(["GET", "POST", "DELETE", "OPTIONS", "PUT"])
    return request(method, path, headers, b'{"id":"%s"}' % word.encode())


async def test_1_000_random_requests_add_no_series(typed_system: TypedSystem) -> None:
    source = random.Random(26)
    async with connected(typed_system.url) as connection:
        # These have one series each: a code of the fixed set.
        for first in (
            request("GET", TYPED),
            request(path="/nowhere"),
            request(path="/v2/models/x"),
        ):
            await connection.send(first)
            await connection.answer()
        await connection.send(
            request("POST", TYPED, body=b"{}"), request("POST", TYPED, body=body())
        )
        await connection.answer()
        await connection.answer()
        before = await series(typed_system.url)
        for _ in range(1_000):
            await connection.send(random_request(source))
            assert await connection.answer() is not None
    assert await series(typed_system.url) == before


async def test_what_clients_send_breaks_no_line_of_the_gateways_log(
    typed_system: TypedSystem,
) -> None:
    logs = typed_system.gateway.logs
    logged = len(logs.events("request_failed"))
    found = []
    for forgery in FORGERIES:
        for text in FORGED_TEXTS:
            header = f"X-Request-Id: {forgery.decode('latin-1')}"
            found.append(await ask(typed_system.url, broken_request(text, header)))
    await logs.wait_for("request_failed", logged + len(found))
    assert all(re.fullmatch(r"[ -~]+", line) for line in logs.lines)
    assert all(isinstance(json.loads(line), dict) for line in logs.lines)
    ids = {event["request_id"] for event in logs.events("request_failed")[logged:]}
    assert ids == {answer and answer.headers["x-request-id"] for answer in found}


async def test_what_clients_send_breaks_no_line_of_the_workers_log(
    typed_system: TypedSystem,
) -> None:
    worker = typed_system.system.workers[0]
    logged = len(worker.logs.events("rows_failed"))
    for text in FORGED_TEXTS:
        await ask(typed_system.url, broken_request(text))
    await worker.logs.wait_for("rows_failed", logged + len(FORGED_TEXTS))
    assert all(isinstance(json.loads(line), dict) for line in worker.logs.lines)
