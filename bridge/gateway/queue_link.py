"""The gateway's two connections to Redis: one writes, one reads; no request ever awaits them.

The writer sends, in one pipeline a turn, the frames of that turn, the ids of abandoned requests,
and twice a second the gateway's own registration. The reader takes result frames and heartbeats
from the gateway's list. An XADD is never sent twice: when a reply is missing, the requests of
that frame are answered 503.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Protocol

import redis.asyncio as aioredis
import structlog
from redis.exceptions import RedisError

from bridge.contract.model import ModelContract, contract_digest, decode_contract
from bridge.gateway.framer import PackedFrame
from bridge.gateway.queue_connection import Command, connection_of, execute, new_client
from bridge.wire import keys
from bridge.wire.clock import ServerClock
from bridge.wire.frame import ServedModel

log = structlog.get_logger(__name__)

BEAT_S = 0.5
REPLY_S_MAX = 1.0
# Until both connections are there and the server has answered.
CONNECT_S_MAX = 1.0
READ_BLOCK_S = 1.0
READ_FRAMES_MAX = 64
RECONNECT_S_FIRST = 0.05
RECONNECT_S_MAX = 0.5
SERVED_S_MIN = 1.0
GATEWAY_SILENT_S_MAX = 3.0
RESULTS_TTL_MS = 60_000


class LinkEvents(Protocol):
    """What the link tells its owner; called on the event loop, must not block."""

    def on_reply(self, data: bytes) -> None:
        """One result frame or heartbeat arrived."""

    def on_contract(self, contract: ModelContract, digest: str) -> None:
        """A contract that was asked for arrived."""

    def on_frame_lost(self, frame: PackedFrame) -> None:
        """A frame was refused by the server, or nobody can say whether it arrived."""

    def on_frame_queued(self, frame: PackedFrame, entry_id: bytes) -> None:
        """A frame is in its stream, as this entry."""

    def on_queue_lost(self) -> None:
        """The server cannot be reached, or another or an empty one answered."""

    def on_gateways(self, count: int) -> None:
        """So many gateways are registered, this one included."""


@dataclass(frozen=True, slots=True)
class Outbox:
    """Where the writer takes from: frames to send and ids of abandoned requests.

    `unwanted`: entries to be taken out of the queue, by stream; asked at each beat.
    """

    frames: Callable[[], list[PackedFrame]]
    abandoned: Callable[[], list[bytes]]
    unwanted: Callable[[], dict[str, list[bytes]]]


class QueueLink:
    """Owns the connections, keeps them up, and knows whether the queue can be used."""

    def __init__(
        self, url: str, gateway_id: str, events: LinkEvents, outbox: Outbox, clock: ServerClock
    ) -> None:
        self._url = url
        self._gateway_id = gateway_id
        self._events = events
        self._outbox = outbox
        self._clock = clock
        self._wake = asyncio.Event()
        self._beat_due = True
        self._wanted: dict[str, ServedModel] = {}
        self._differing: dict[str, str] = {}
        self._server_run: str | None = None
        self._connected = False
        self._connected_s = 0.0
        self._writable = False

    @property
    def is_up(self) -> bool:
        """Whether the queue is connected and took the last write."""
        return self._connected and self._writable

    def wake(self) -> None:
        """Tell the writer that there is something to send."""
        self._wake.set()

    def want_contract(self, model: ServedModel) -> None:
        """Ask for a contract; it arrives through `on_contract`."""
        self._wanted[model.model_key] = model
        self._wake.set()

    async def run(self) -> None:
        """Keep the link up until cancelled."""
        delay_s = 0.0
        while True:
            await asyncio.sleep(delay_s)
            try:
                await self._run_connected()
            except* (RedisError, OSError, TimeoutError) as group:
                reason = _first(group)
            was_up, self._connected = self._connected, False
            self._writable = False
            if was_up:
                log.warning("queue_lost", reason=type(reason).__name__)
                # At once after a connection that served; a server that takes the connection and
                # refuses the commands (a key of another type, an ACL) must not be asked in a loop.
                served_s = asyncio.get_running_loop().time() - self._connected_s
                delay_s = 0.0 if served_s > SERVED_S_MIN else RECONNECT_S_MAX
            else:
                self._events.on_queue_lost()
                delay_s = min(RECONNECT_S_MAX, max(RECONNECT_S_FIRST, delay_s * 2))

    async def _run_connected(self) -> None:
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(CONNECT_S_MAX):
                writer, reader = await self._connect(stack)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._write(writer), name="queue-writer")
                tasks.create_task(self._read(reader), name="queue-reader")
                tasks.create_task(self._beat(), name="queue-beat")

    async def _connect(self, stack: AsyncExitStack) -> tuple[aioredis.Redis, aioredis.Redis]:
        """Return the writer's and the reader's client, connected and greeted."""
        cancellations = _cancellations()
        try:
            # Entering a client connects it.
            writer = await stack.enter_async_context(new_client(self._url, CONNECT_S_MAX))
            reader = await stack.enter_async_context(new_client(self._url, CONNECT_S_MAX))
            await self._greet(writer)
        finally:
            if _cancellations() > cancellations:
                # redis-py swallows a cancellation that comes while it connects, and may fail
                # instead: the link of a gateway that ends would try again for ever.
                raise asyncio.CancelledError
        return writer, reader

    async def _greet(self, writer: aioredis.Redis) -> None:
        server = await writer.info("server")
        run = str(server.get("run_id"))
        if self._server_run not in (None, run):
            self._events.on_queue_lost()
        self._server_run = run
        self._clock.forget()
        self._clock_sample(*await self._timed(writer))
        self._connected = self._writable = True
        self._connected_s = asyncio.get_running_loop().time()
        self._beat_due = True
        self._wake.set()
        log.info("queue_connected", server=str(server.get("redis_version")))

    async def _timed(self, writer: aioredis.Redis) -> tuple[float, float, Any]:
        now = asyncio.get_running_loop().time
        sent_s = now()
        reply = await writer.time()
        return sent_s, now(), reply

    def _clock_sample(self, sent_s: float, received_s: float, reply: Any) -> None:
        seconds, microseconds = reply
        self._clock.observe(sent_s, received_s, int(seconds) * 1_000_000 + int(microseconds))

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            self._beat_due = True
            self._wake.set()

    async def _write(self, client: aioredis.Redis) -> None:
        connection = connection_of(client)
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._flush(connection)

    async def _flush(self, connection: Any) -> None:
        frames = self._outbox.frames()
        abandoned = self._outbox.abandoned()
        wanted, self._wanted = self._wanted, {}
        beat, self._beat_due = self._beat_due, False
        commands: list[Command] = [
            ("XADD", keys.lane_key(*frame.lane), "*", keys.FRAME_FIELD, frame.data)
            for frame in frames
        ]
        if abandoned:
            commands.append(("PUBLISH", keys.CANCELLED_CHANNEL, b"".join(abandoned)))
        commands += [("GET", keys.contract_key(model_key)) for model_key in wanted]
        if beat:
            commands += self._beat_commands()
            unwanted = self._outbox.unwanted()
            commands += [("XDEL", stream, *entry_ids) for stream, entry_ids in unwanted.items()]
        if not commands:
            return
        started_s = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(REPLY_S_MAX):
                replies = await execute(connection, commands)
        except BaseException:
            for frame in frames:
                self._events.on_frame_lost(frame)
            raise
        self._on_written(frames, replies[: len(frames)])
        skipped = len(frames) + bool(abandoned)
        self._on_contracts(list(wanted.values()), replies[skipped : skipped + len(wanted)])
        if beat:
            self._on_beat(started_s, replies[skipped + len(wanted) :])

    def _beat_commands(self) -> list[Command]:
        now_s = self._clock.server_us(asyncio.get_running_loop().time()) / 1e6
        oldest_s = now_s - GATEWAY_SILENT_S_MAX
        return [
            ("TIME",),
            ("ZADD", keys.GATEWAYS_KEY, now_s, self._gateway_id),
            ("ZREMRANGEBYSCORE", keys.GATEWAYS_KEY, "-inf", oldest_s),
            ("ZCARD", keys.GATEWAYS_KEY),
            ("PEXPIRE", keys.results_key(self._gateway_id), RESULTS_TTL_MS),
        ]

    def _on_written(self, frames: list[PackedFrame], replies: list[Any]) -> None:
        for frame, reply in zip(frames, replies, strict=True):
            if isinstance(reply, Exception):
                self._refused(reply)
                self._events.on_frame_lost(frame)
            else:
                self._events.on_frame_queued(frame, reply)

    def _on_contracts(self, wanted: list[ServedModel], replies: list[Any]) -> None:
        for model, reply in zip(wanted, replies, strict=True):
            if not isinstance(reply, bytes):
                continue  # expired or refused: the worker's next beat asks again
            if contract_digest(reply) == model.contract_digest:
                self._events.on_contract(decode_contract(reply), model.contract_digest)
            elif self._differing.get(model.model_key) != model.contract_digest:
                # Passing during a roll-out; lasting where two workers serve different files
                # under one name.
                self._differing[model.model_key] = model.contract_digest
                log.warning("contracts_differ", model=model.model_key)

    def _on_beat(self, started_s: float, replies: list[Any]) -> None:
        time_reply, added, _, count = replies[:4]
        for reply in (time_reply, added):
            if isinstance(reply, Exception):
                self._refused(reply)
                return
        self._clock_sample(started_s, asyncio.get_running_loop().time(), time_reply)
        if not self._writable:
            log.info("queue_writable")
            self._writable = True
        self._events.on_gateways(max(1, int(count)))

    def _refused(self, reply: Exception) -> None:
        if self._writable:
            log.warning("queue_refuses_writes", reason=str(reply)[:80])
        self._writable = False

    async def _read(self, client: aioredis.Redis) -> None:
        connection = connection_of(client)
        key = keys.results_key(self._gateway_id)
        command = ("BLMPOP", READ_BLOCK_S, 1, key, "LEFT", "COUNT", READ_FRAMES_MAX)
        while True:
            async with asyncio.timeout(READ_BLOCK_S + REPLY_S_MAX):
                (reply,) = await execute(connection, [command])
            if isinstance(reply, Exception):
                raise reply
            if reply is not None:
                for data in reply[1]:
                    self._events.on_reply(data)


def _cancellations() -> int:
    """How often the present task was cancelled.

    Not 0 after a task group has failed: Python 3.11 does not take its own cancellation back.
    """
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
