"""`batchbridge gateway` and `batchbridge worker` on a Redis of one's own, and which they refuse."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from tests.command import Running, environment, free_port, mapped_files, run_to_end, running
from tests.conftest import FindServer
from tests.system import post
from tests.tcp_queue import PASSWORD, Server, tcp_server
from tests.tiny_models import affine, infer_body, write_version

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUICK_S_MAX = 8.0
# 10 s of patience with a server that may be starting, and the start of Python.
UNREACHABLE_S_MAX = 10.0 + QUICK_S_MAX


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


async def test_a_server_that_cannot_be_reached_is_given_up_on(models: Path) -> None:
    url = f"redis://:{PASSWORD}@127.0.0.1:{free_port()}"
    # Together: each waits its ten seconds.
    both_ended = await asyncio.gather(
        *(run_to_end(*words_of(command, models), "--redis", url) for command in COMMANDS)
    )
    for ended in both_ended:
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


async def test_a_gateway_told_to_stop_while_it_connects_ends_with_zero(guarded: Server) -> None:
    # redis-py swallows a cancellation that comes while it connects.
    async with running("gateway", "--port", "0", "--redis", guarded.url(PASSWORD)) as gateway:
        await gateway.err.event("listening")
        gateway.ctrl_c()
        assert await gateway.exit_code() == 0


async def test_a_worker_told_to_stop_many_times_ends_with_zero(
    guarded: Server, models: Path
) -> None:
    # A second signal during the first one's handler once waited for a lock for ever.
    words = ["--models", str(models), "--redis", guarded.url(PASSWORD)]
    async with running("worker", *words) as worker:
        await worker.err.event("ready")
        for _ in range(200):
            worker.signal(signal.SIGTERM)
        assert await worker.exit_code() == 0
