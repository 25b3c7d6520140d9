"""Settings of `batchbridge gateway` and `batchbridge worker`: options, environment, help."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from bridge.cli_options import build_parser
from bridge.queue_server import find_queue_server
from tests.command import environment, run_to_end, running
from tests.tcp_queue import PASSWORD, Server, tcp_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUICK_S_MAX = 8.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one_server() -> AsyncIterator[Server]:
    """A server for tests that are not about servers."""
    async with tcp_server(find_queue_server, "--requirepass", PASSWORD) as server:
        yield server


async def test_a_gateway_names_the_port_that_is_taken(one_server: Server) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = await run_to_end(
            "gateway", "--port", str(port), "--redis", one_server.url(PASSWORD)
        )
    assert ended.code == 2
    assert ended.said == [
        f"batchbridge: 127.0.0.1:{port} cannot be listened on: Address already in use"
    ]


async def test_a_host_that_does_not_exist_is_named(one_server: Server) -> None:
    ended = await run_to_end(
        "gateway", "--host", "256.1.1.1", "--port", "0", "--redis", one_server.url(PASSWORD)
    )
    assert ended.code == 2
    (message,) = ended.said
    assert message.startswith("batchbridge: 256.1.1.1:0 cannot be listened on")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--port", "eighty"], "argument --port: invalid int value: 'eighty'"),
        (["--port", "70000"], "batchbridge: port: 70000 is not between 0 and 65535"),
        (["--port", "-1"], "batchbridge: port: -1 is not between 0 and 65535"),
        (["--host", ""], "batchbridge: host: is empty"),
    ],
)
async def test_a_gateway_setting_that_cannot_be_used_is_named(
    one_server: Server, words: list[str], message: str
) -> None:
    ended = await run_to_end("gateway", "--redis", one_server.url(PASSWORD), *words)
    assert ended.code == 2
    assert ended.said[-1].endswith(message)
    assert ended.taken_s < QUICK_S_MAX


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--threads", "many"], "argument --threads: invalid int value: 'many'"),
        (["--threads", "-1"], "batchbridge: threads: -1 is below 1"),
        (["--models", "/nowhere/at/all"], "batchbridge: models: /nowhere/at/all is not a folder"),
    ],
)
async def test_a_worker_setting_that_cannot_be_used_is_named(
    one_server: Server, words: list[str], message: str
) -> None:
    ended = await run_to_end("worker", "--redis", one_server.url(PASSWORD), *words)
    assert ended.code == 2
    assert ended.said[-1].endswith(message)
    assert ended.taken_s < QUICK_S_MAX


async def test_a_command_must_be_named() -> None:
    ended = await run_to_end()
    assert ended.code == 2
    assert ended.said[-1].endswith("the following arguments are required: COMMAND")


SETTINGS = {
    "serve": {
        "models": "/m",
        "threads": "3",
        "batch-fill": "0.5",
        "batch-floor": "0.1",
        "host": "::1",
        "port": "9000",
        "gateways": "2",
        "workers": "4",
        "redis": "redis://:p@h",
        "allow-open-redis": "1",
    },
    "gateway": {
        "host": "::1",
        "port": "9000",
        "redis": "redis://:p@h",
        "allow-open-redis": "1",
        "share-port": "1",
        "no-express": "1",
    },
    "worker": {
        "models": "/m",
        "threads": "3",
        "batch-fill": "0.5",
        "batch-floor": "0.1",
        "redis": "redis://:p@h",
        "allow-open-redis": "1",
    },
}
FLAGS = ("allow-open-redis", "share-port", "no-express")


@pytest.mark.parametrize("command", SETTINGS)
async def test_every_option_can_be_an_environment_variable(command: str) -> None:
    settings = SETTINGS[command]
    by_environment = build_parser(
        {f"BATCHBRIDGE_{name.upper().replace('-', '_')}": text for name, text in settings.items()}
    ).parse_args([command])
    words = [
        word
        for name, text in settings.items()
        for word in ([f"--{name}"] if name in FLAGS else [f"--{name}", text])
    ]
    assert vars(by_environment) == vars(build_parser({}).parse_args([command, *words]))


@pytest.mark.parametrize("command", SETTINGS)
async def test_help_names_every_option(command: str) -> None:
    ended = await run_to_end(command, "--help")
    assert ended.code == 0
    missing = [name for name in SETTINGS[command] if f"--{name}" not in ended.out]
    assert missing == []


async def test_help_names_every_command() -> None:
    ended = await run_to_end("--help")
    assert (ended.code, [name for name in SETTINGS if name not in ended.out]) == (0, [])


async def test_an_option_beats_the_environment(one_server: Server) -> None:
    env = environment(BATCHBRIDGE_REDIS=one_server.url(PASSWORD), BATCHBRIDGE_PORT="-1")
    async with running("gateway", "--port", "0", env=env) as gateway:
        assert await gateway.err.event("listening")
