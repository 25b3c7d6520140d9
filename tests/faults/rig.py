"""A system to break: the fault models, a gate for held runs, and eyes on queue and metrics."""

from __future__ import annotations

import asyncio
import re
import secrets
import socket
import struct
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.wire import keys
from bridge.wire.frame import Heartbeat, decode_reply
from tests.faults.connection import Answer, Ask, Connection, held_request, http_get
from tests.faults.fault_models import write_models
from tests.gate import Gate
from tests.system import System, TestedProcess, running_system
from tests.tiny_models import PATIENT, Recording

MIRROR = "mirror@1"
HOLD = "hold@1"
LISTENED_S_MAX = 4
_PEER = struct.Struct("3i")  # pid, uid, gid of SO_PEERCRED


@dataclass(frozen=True)
class HeldRun:
    """A run of `hold` that waits at the gate, in the process `pid`."""

    pid: int
    writer: asyncio.StreamWriter

    def let_go(self) -> None:
        """Let the run go on."""
        self.writer.close()


@dataclass(frozen=True)
class Rig:
    """A running system with the fault models in it."""

    system: System
    gate: Gate
    models: Path
    mirror: Recording
    front: str | None = None

    @property
    def url(self) -> str:
        """Where requests go: `front`, or the first gateway."""
        return self.front or self.system.url

    async def connect(self) -> Connection:
        """A new connection to the first gateway."""
        return await Connection.open(self.url)

    async def ask(self, ask: Ask) -> Answer:
        """One request on a connection of its own."""
        async with await self.connect() as connection:
            return await connection.ask(ask)

    async def get(self, path: str) -> Answer:
        """GET on a connection of its own."""
        async with await self.connect() as connection:
            return await connection.exchange(http_get(path))

    async def metric(self, name: str) -> float:
        """The value of a series without labels."""
        text = (await self.get("/metrics")).body
        found = re.search(rf"^batchbridge_{name}(_total)? (\S+)$", text, re.MULTILINE)
        assert found is not None, f"no series {name}"
        return float(found[2])

    async def held(self) -> HeldRun:
        """Return when a run of `hold` has begun."""
        writer = await self.gate.held()
        peer: socket.socket = writer.get_extra_info("socket")
        credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
        return HeldRun(_PEER.unpack(credentials)[0], writer)

    @asynccontextmanager
    async def busy_worker(self) -> AsyncIterator[HeldRun]:
        """The block runs while a worker's runner is held; what is sent meanwhile makes a batch."""
        async with await self.connect() as connection:
            await connection.send(held_request())
            run = await self.held()
            try:
                yield run
            finally:
                run.let_go()

    def worker(self, pid: int) -> TestedProcess:
        """The worker with this process id."""
        return next(worker for worker in self.system.workers if worker.pid == pid)

    def other_worker(self, pid: int) -> TestedProcess:
        """The worker that is not this one."""
        return next(worker for worker in self.system.workers if worker.pid != pid)

    async def wait_in_hand(self, requests: int, model_key: str = MIRROR) -> None:
        """Return when so many requests are in flight, and the worker has all of a model's frames.

        For a system of one worker whose runner is held.
        """

        async def is_in_hand() -> bool:
            return await self.metric("in_flight") == requests and await self._is_read(model_key)

        await eventually(is_in_hand, within_s=5.0)

    async def _is_read(self, model_key: str) -> bool:
        """Whether the worker has taken every frame: its reader waits for more.

        The reader waits again only after it has put what it read into the worker's hand.
        """
        async with self.system.redis() as client:
            groups = await client.xinfo_groups(keys.online_key(model_key))
            clients = await client.client_list()
        readers = [item for item in clients if item["cmd"] == "xreadgroup"]
        return groups[0]["lag"] == 0 and ["b" in item["flags"] for item in readers] == [True]

    async def while_busy(self, asks: list[Ask]) -> list[Answer]:
        """Send requests while the worker is held, so that they come together in one batch."""
        async with AsyncExitStack() as stack:
            connections = [await stack.enter_async_context(await self.connect()) for _ in asks]
            async with self.busy_worker():
                for connection, ask in zip(connections, asks, strict=True):
                    await connection.send(ask.encode())
                await self.wait_in_hand(len(asks) + 1, f"{asks[0].model}@1")
            return [await connection.receive() for connection in connections]

    async def pending_of(self, worker: TestedProcess) -> int:
        """How many frames the queue has given to a worker and not got back."""
        name = worker.logs.events("loaded")[0]["worker"].encode()
        count = 0
        async with self.system.redis() as client:
            for model_key in (MIRROR, HOLD):
                pending = await client.xpending(keys.online_key(model_key), keys.GROUP)
                count += sum(
                    item["pending"] for item in pending["consumers"] if item["name"] == name
                )
        return count

    async def is_drained(self) -> bool:
        """Whether the queue holds no frame of `mirror` or `hold`, and nothing is in flight."""
        left = 0
        async with self.system.redis() as client:
            for model_key in (MIRROR, HOLD):
                stream = keys.online_key(model_key)
                left += await client.xlen(stream)
                left += (await client.xpending(stream, keys.GROUP))["pending"]
        return left == 0 and await self.metric("in_flight") == 0

    async def heartbeats(self, count: int) -> list[Heartbeat]:
        """Return the next heartbeats that workers send, as a gateway of our own gets them."""
        name = secrets.token_hex(8)
        async with self.system.redis() as client:
            seconds, _ = await client.time()
            await client.zadd(keys.GATEWAYS_KEY, {name: seconds + LISTENED_S_MAX})
            beats = []
            while len(beats) < count:
                _, data = await client.blpop([keys.results_key(name)], timeout=LISTENED_S_MAX)
                beats.append(decode_reply(data))
            await client.zrem(keys.GATEWAYS_KEY, name)
        assert all(isinstance(beat, Heartbeat) for beat in beats)
        return beats

    async def answers_right(self) -> bool:
        """Whether a request gets the right answer now."""
        ask = Ask(nonce=424_242)
        answer = await self.ask(ask)
        return answer.status == 200 and answer.is_for(ask)


async def eventually(holds: Callable[[], Awaitable[bool]], within_s: float) -> float:
    """Ask until it holds; return the seconds that took.

    For what no event announces. Each try is a round trip to the servers, which is what paces it.

    Raises:
        TimeoutError: it did not hold within `within_s`.
    """
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    async with asyncio.timeout(within_s):
        while not await holds():
            pass
    return loop.time() - started_s


def is_running(process: TestedProcess) -> bool:
    """Whether the process that was started, and no other, still runs."""
    try:
        status = Path(f"/proc/{process.pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(") ")[2][0] != "Z"


@asynccontextmanager
async def running_rig(**options: Any) -> AsyncIterator[Rig]:
    """A rig; `options` are those of `running_system`."""
    with tempfile.TemporaryDirectory(prefix="bb-models-") as folder:
        models = Path(folder)
        mirror = write_models(models)
        async with Gate.open() as gate:
            gate.write_model(models, "hold", PATIENT)
            async with running_system(models, **options) as system:
                mirror.forget()
                yield Rig(system, gate, models, mirror)
