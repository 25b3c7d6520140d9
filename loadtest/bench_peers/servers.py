"""The servers side by side: Batchbridge as a user starts it, mosec and FastAPI with the same model.

All run from the beginning to the end of a benchmark and are asked one after another. `idle_cores`
says what those that nobody asks take meanwhile.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from loadtest.bench_server import PORT, running_server

ROOT = Path(__file__).parents[2]
PEERS_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
MODEL = "breast_cancer"
MOSEC, UNBATCHED = "mosec", "mosec without batching"
FASTAPI, RAW = "FastAPI", "FastAPI, raw body"
BATCHBRIDGE, REFUSING = "Batchbridge", "Batchbridge, refusing"
REFUSING_PORT = 18_088


@dataclass(frozen=True, slots=True)
class Peer:
    """How another server is started, and the line that says that it listens."""

    name: str
    port: int
    module: str
    options: tuple[str, ...]
    ready: bytes


_MOSEC = "loadtest.peers.mosec_server"
_FASTAPI = "loadtest.peers.fastapi_server"
_LOOPBACK = ("--address", "127.0.0.1")
PEERS = (
    Peer(MOSEC, 18_084, _MOSEC, _LOOPBACK, b"http service is running"),
    Peer(UNBATCHED, 18_085, _MOSEC, ("--unbatched", *_LOOPBACK), b"http service is running"),
    Peer(FASTAPI, 18_086, _FASTAPI, (), b"Uvicorn running on"),
    Peer(RAW, 18_087, _FASTAPI, ("--raw",), b"Uvicorn running on"),
)


@dataclass(frozen=True, slots=True)
class Server:
    """A server under load; `queue` is the socket of its queue, where it has one."""

    name: str
    port: int
    pid: int
    queue: Path | None = None

    def cpu_s(self) -> dict[str, float]:
        """Return the CPU seconds of its processes, by what they do."""
        found: dict[str, float] = {}
        for pid in _tree(self.pid):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            role = "main" if pid == self.pid else role_of(words)
            found[role] = found.get(role, 0.0) + _cpu_s(pid)
        return found

    def commands(self) -> dict[str, int]:
        """Return how many commands of each kind the queue has run; nothing where there is none."""
        if self.queue is None:
            return {}
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.queue))
            connection.sendall(b"INFO commandstats\r\n")
            with connection.makefile("rb") as reply:
                size = int(reply.readline()[1:])
                return command_counts(reply.read(size).decode())


def command_counts(commandstats: str) -> dict[str, int]:
    """Return the calls by command in an answer to `INFO commandstats`, without INFO itself."""
    found = {}
    for line in commandstats.splitlines():
        name, is_line, rest = line.removeprefix("cmdstat_").partition(":calls=")
        if is_line and name != "info":
            found[name] = int(rest.partition(",")[0])
    return found


def role_of(words: list[bytes]) -> str:
    """Return what a process with this command line does."""
    # A Valkey puts its address behind its name, in one word.
    program = Path(words[0].decode().partition(" ")[0]).name
    if program in ("valkey-server", "redis-server"):
        return "queue"
    if program == "mosec":
        return "HTTP server"
    if b"gateway" in words:
        return "gateway"
    is_worker = b"worker" in words or any(b"spawn_main" in word for word in words)
    return "worker" if is_worker else "other"


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for thread in Path(f"/proc/{pid}/task").iterdir():
        try:
            children = (thread / "children").read_text().split()
        except FileNotFoundError:
            continue  # the thread has ended; what it had started is another's now
        for child in children:
            yield from _tree(int(child))


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def running_servers(folder: Path, models: Path) -> Iterator[dict[str, Server]]:
    """Start all servers, by name; their logs are in `folder`.

    Raises:
        SystemExit: one of them did not start.
    """
    if not PEERS_PYTHON.exists():
        raise SystemExit("there is no .venv-peers: make install-peers creates it")
    with ExitStack() as stack:
        serve = stack.enter_context(running_batchbridge(BATCHBRIDGE, folder, models, PORT))
        found = {BATCHBRIDGE: serve}
        for peer in PEERS:
            model = models / MODEL / "1" / "model.onnx"
            log = stack.enter_context((folder / f"{peer.port}.log").open("w+b"))
            found[peer.name] = stack.enter_context(_running_peer(peer, model, log))
        yield found


@contextmanager
def running_batchbridge(name: str, folder: Path, models: Path, port: int) -> Iterator[Server]:
    """Start `batchbridge serve` as a user would who says nothing of threads."""
    with running_server(folder, models, ("--threads", "0", "--port", str(port))) as serve:
        yield Server(name, port, serve.pid, serve.queue)


@contextmanager
def _running_peer(peer: Peer, model: Path, log: IO[bytes]) -> Iterator[Server]:
    process = subprocess.Popen(
        [PEERS_PYTHON, "-m", peer.module, str(model), "--port", str(peer.port), *peer.options],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    reader = threading.Thread(target=shutil.copyfileobj, args=(process.stdout, log))
    try:
        for line in process.stdout:
            log.write(line)
            if peer.ready in line:
                break
        else:
            log.seek(0)
            raise SystemExit(f"{peer.name} did not start:\n{log.read().decode()}")
        reader.start()
        yield Server(peer.name, peer.port, process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
        if reader.ident is not None:
            reader.join()
