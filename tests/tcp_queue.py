"""A queue server of one's own on a TCP port of loopback, as on a network of machines."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bridge.child_process import ChildProcess, ChildSpec
from tests.command import free_port
from tests.conftest import FindServer

PASSWORD = "correct-horse"


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
