"""`batchbridge gateway` and `batchbridge worker` on a Redis of one's own; settings and refusals."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from bridge.child_process import ChildProcess, ChildSpec
from bridge.cli import build_parser
from tests.command import Running, environment, free_port, mapped_files, run_to_end, running
from tests.conftest import FindServer
from tests.system import post
from tests.tiny_models import affine, infer_body, write_version

pytestmark = pytest.mark.asyncio(loop_scope="module")

PASSWORD = "correct-horse"
QUICK_S_MAX = 8.0
# 10 s of patience with a server that may be starting, and the start of Python.
UNREACHABLE_S_MAX = 10.0 + QUICK_S_MAX


class Server:
    """A queue server on a TCP port of loopback."""

    def __init__(self, port: int) -> None:
        self.port = port

    def url(self, password: str | None = None) -> str:
        user = "" if password is None else f":{password}@"
        return f"redis://{user}127.0.0.1:{self.port}"


@asynccontextmanager
async def tcp_server(find_server: FindServer, *options: str) -> AsyncIterator[Server]:
    server = Server(free_port())
    words = ["--port", str(server.port), "--bind", "127.0.0.1", "--save", "", *options]
    spec = ChildSpec(
        name="server",
        argv=(str(find_server({}).path), *words),
        env={},
        stop_order=1,
        ready_line=b"eady to accept connections",
        start_limit_s=10.0,
    )
    child = await ChildProcess.spawn(spec)
    try:
        await child.ready()
        yield server
    finally:
        child.kill()
        await child.wait()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def guarded(find_server: FindServer) -> AsyncIterator[Server]:
    """A server that asks for a password."""
    async with tcp_server(find_server, "--requirepass", PASSWORD) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def open_to_all(find_server: FindServer) -> AsyncIterator[Server]:
    """A server without a password."""
    async with tcp_server(find_server) as server:
        yield server


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    write_version(root, "tiny", graph=affine(2, 1))
    return root


@asynccontextmanager
async def both(
    url: str, models: Path, elsewhere: Path, *options: str
) -> AsyncIterator[tuple[Running, Running]]:
    """A gateway in a folder without models, and a worker, each ready."""
    async with AsyncExitStack() as stack:
        env = environment(BATCHBRIDGE_REDIS=url)
        worker = await stack.enter_async_context(
            running("worker", "--models", str(models), *options, env=env)
        )
        gateway = await stack.enter_async_context(
            running("gateway", "--port", "0", *options, cwd=elsewhere, env=env)
        )
        await worker.err.event("ready")
        await gateway.err.event("ready")
        yield gateway, worker


def url_of(gateway: Running) -> str:
    (ready,) = gateway.err.events("ready")
    return f"http://{ready['host']}:{ready['port']}"


async def answer_of(gateway: Running, http: aiohttp.ClientSession) -> object:
    _, answer, _ = await post(http, f"{url_of(gateway)}/v2/models/tiny/infer", infer_body([4.0]))
    return answer["outputs"][0]["data"]


async def test_gateway_and_worker_meet_at_a_server_with_a_password(
    guarded: Server, models: Path, tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    async with both(guarded.url(PASSWORD), models, tmp_path) as (gateway, _):
        assert await answer_of(gateway, http) == [9.0]


async def test_gateway_and_worker_meet_at_a_server_that_is_open_by_choice(
    open_to_all: Server, models: Path, tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    url = open_to_all.url()
    async with both(url, models, tmp_path, "--allow-open-redis") as (gateway, _):
        assert await answer_of(gateway, http) == [9.0]


async def test_the_password_is_in_no_output(guarded: Server, models: Path, tmp_path: Path) -> None:
    async with both(guarded.url(PASSWORD), models, tmp_path) as commands:
        text = "\n".join(
            line for each in commands for lines in (each.out, each.err) for line in lines.lines
        )
    assert PASSWORD not in text


async def test_a_gateway_loads_no_model_runtime(
    guarded: Server, models: Path, tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    async with both(guarded.url(PASSWORD), models, tmp_path) as (gateway, _):
        await answer_of(gateway, http)
        assert "onnxruntime" not in mapped_files(gateway.pid)


async def test_a_worker_speaks_no_network_of_its_own(
    guarded: Server, models: Path, tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    async with both(guarded.url(PASSWORD), models, tmp_path) as (gateway, worker):
        await answer_of(gateway, http)
        assert "aiohttp" not in mapped_files(worker.pid)


async def test_ctrl_c_ends_a_gateway_and_a_worker_with_zero(
    guarded: Server, models: Path, tmp_path: Path
) -> None:
    async with both(guarded.url(PASSWORD), models, tmp_path) as (gateway, worker):
        gateway.ctrl_c()
        gateway_code = await gateway.exit_code()
        worker.ctrl_c()
        assert (gateway_code, await worker.exit_code()) == (0, 0)


COMMANDS = ["gateway", "worker"]


def words_of(command: str, models: Path) -> list[str]:
    return [command, "--models", str(models)] if command == "worker" else [command, "--port", "0"]


@pytest.mark.parametrize("command", COMMANDS)
async def test_an_open_server_is_refused_and_the_way_out_named(
    open_to_all: Server, models: Path, command: str
) -> None:
    ended = await run_to_end(*words_of(command, models), "--redis", open_to_all.url())
    assert ended.code == 2
    (message,) = ended.said
    assert message.startswith("batchbridge: redis: the URL has no password")
    assert "--allow-open-redis" in message


@pytest.mark.parametrize("command", COMMANDS)
async def test_a_wrong_password_is_refused_without_showing_it(
    guarded: Server, models: Path, command: str
) -> None:
    ended = await run_to_end(*words_of(command, models), "--redis", guarded.url("wrong-one"))
    assert ended.code == 2
    (message,) = ended.said
    assert message.startswith(f"batchbridge: redis: redis://***@127.0.0.1:{guarded.port} refuses")
    assert "wrong-one" not in ended.err


@pytest.mark.parametrize("command", COMMANDS)
async def test_a_server_that_evicts_is_refused_by_name(
    find_server: FindServer, models: Path, command: str
) -> None:
    options = ("--requirepass", PASSWORD, "--maxmemory-policy", "allkeys-lru")
    async with tcp_server(find_server, *options) as server:
        ended = await run_to_end(*words_of(command, models), "--redis", server.url(PASSWORD))
    assert ended.code == 2
    (message,) = ended.said
    assert message.startswith("batchbridge: redis: maxmemory-policy is allkeys-lru")
    assert "noeviction" in message


@pytest.mark.parametrize("command", COMMANDS)
async def test_a_server_that_cannot_be_reached_is_given_up_on(models: Path, command: str) -> None:
    url = f"redis://:{PASSWORD}@127.0.0.1:{free_port()}"
    ended = await run_to_end(*words_of(command, models), "--redis", url)
    assert ended.code == 2
    (message,) = ended.said
    assert "did not answer within 10 s" in message
    assert PASSWORD not in message
    assert ended.taken_s < UNREACHABLE_S_MAX


@pytest.mark.parametrize("command", COMMANDS)
async def test_a_queue_must_be_named(models: Path, command: str) -> None:
    ended = await run_to_end(*words_of(command, models))
    assert (ended.code, ended.said) == (
        2,
        ["batchbridge: redis: give the queue's URL with --redis or BATCHBRIDGE_REDIS"],
    )


@pytest.mark.parametrize("command", COMMANDS)
async def test_a_url_that_is_none_is_refused(models: Path, command: str) -> None:
    ended = await run_to_end(*words_of(command, models), "--redis", "localhost:6379")
    assert ended.code == 2
    (message,) = ended.said
    assert message.startswith("batchbridge: redis: not a URL that can be used")


async def test_a_gateway_names_the_port_that_is_taken(guarded: Server) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = await run_to_end("gateway", "--port", str(port), "--redis", guarded.url(PASSWORD))
    assert ended.code == 2
    assert ended.said == [
        f"batchbridge: 127.0.0.1:{port} cannot be listened on: Address already in use"
    ]


async def test_a_host_that_does_not_exist_is_named(guarded: Server) -> None:
    ended = await run_to_end(
        "gateway", "--host", "256.1.1.1", "--port", "0", "--redis", guarded.url(PASSWORD)
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
    guarded: Server, words: list[str], message: str
) -> None:
    ended = await run_to_end("gateway", "--redis", guarded.url(PASSWORD), *words)
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
    guarded: Server, words: list[str], message: str
) -> None:
    ended = await run_to_end("worker", "--redis", guarded.url(PASSWORD), *words)
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
    },
    "worker": {
        "models": "/m",
        "threads": "3",
        "redis": "redis://:p@h",
        "allow-open-redis": "1",
    },
}
FLAGS = ("allow-open-redis", "share-port")


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


async def test_an_option_beats_the_environment(guarded: Server) -> None:
    env = environment(BATCHBRIDGE_REDIS=guarded.url(PASSWORD), BATCHBRIDGE_PORT="-1")
    async with running("gateway", "--port", "0", env=env) as gateway:
        assert await gateway.err.event("listening")


async def test_a_gateway_told_to_stop_while_it_connects_ends_with_zero(guarded: Server) -> None:
    # redis-py swallows a cancellation that comes while it connects.
    async with running("gateway", "--port", "0", "--redis", guarded.url(PASSWORD)) as gateway:
        await gateway.err.event("listening")
        gateway.ctrl_c()
        assert await gateway.exit_code() == 0
