"""The reader: takes frames from the streams of the models that have less than a batch in hand."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import structlog
from redis import Redis
from redis.exceptions import RedisError, ResponseError

from bridge.scheduling.lanes import ModelLane
from bridge.wire import keys
from workers.connection import Command, Connector, execute
from workers.frame_taker import FrameTaker
from workers.gateway_loads import GatewayLoads
from workers.hand import Hand
from workers.intake import Intake
from workers.stream import stream_key, streams_of
from workers.writer import Finished, Unblock, Writer

log = structlog.get_logger(__name__)

BLOCK_MS = 1_000
# While some models have enough in hand the read waits on the others only. The writer ends it
# (CLIENT UNBLOCK) as soon as one of the first wants more. An idle server looks at its blocked
# clients ten times a second: a shorter time would be no shorter.
PARTIAL_BLOCK_MS = 100
# When leaving: the queue has been quiet for so long.
QUIET_MS = 250
LEAVE_S_MAX = 10.0
LEAVING_TTL_S = 60
# A worker that has read, claimed or renewed something within this time takes what comes.
READS_WITHIN_MS = 2_500
GROUPS_RETRY_S = 1.0
Entry = tuple[bytes, dict[bytes, bytes] | None]


class Reader:
    """One thread: reads while the hand is hungry, until told to leave.

    In the steady state one blocking command waits for both lanes of all models. While a batch
    lane is in use it is read with a count of its own, behind the online lanes: COUNT is per
    stream, and one number would let a worker hoard the batch lane, or starve the online one.
    """

    def __init__(
        self,
        worker: str,
        connector: Connector,
        hand: Hand,
        taker: FrameTaker,
        writer: Writer,
        loads: GatewayLoads,
    ) -> None:
        self._worker = worker
        self._connector = connector
        self._hand = hand
        self._taker = taker
        self._writer = writer
        self._loads = loads
        self._leaving = threading.Event()
        self._streams = {stream_key(lane).encode(): lane for lane in streams_of(taker.model_keys)}
        self._intake = Intake(self._streams.values(), time.monotonic())
        self._connection_id: int | None = None
        self._waiting_on: frozenset[ModelLane] | None = None
        self._groups_made_s = -GROUPS_RETRY_S

    def leave(self) -> None:
        """Let `run` return once the queue is quiet; the batch lane is left to others."""
        self._leaving.set()
        self._connector.wake()

    def notice_hungry(self, model_key: str) -> None:
        """End a blocking read that waits on others only; called by the runner after a take."""
        connection_id = self._connection_id
        if connection_id is not None and self._leaves_out(model_key):
            unblock = Unblock(connection_id, partial(self._leaves_out, model_key))
            self._writer.put(Finished(unblock=unblock))

    def run(self) -> None:
        """Read until told to leave and the queue is quiet."""
        ends_s: float | None = None
        while True:
            if self._leaving.is_set():
                ends_s = ends_s or time.monotonic() + LEAVE_S_MAX
                if time.monotonic() > ends_s:
                    return
            wanted = self._hand.wait_hungry()
            client = self._connector.connected(self._leaving)
            if not wanted or client is None:
                return
            is_last = self._leaving.is_set()
            if is_last and self._others_stay(client):
                return
            if not self._read(client) and is_last:
                return

    def _others_stay(self, client: Redis) -> bool:
        """Whether each model has another worker that reads and has not been told to end.

        Each states its own end before it looks at the others', so that of several that end at
        once none relies on another.
        """
        try:
            client.sadd(keys.LEAVING_KEY, self._worker)
            client.expire(keys.LEAVING_KEY, LEAVING_TTL_S)
            leaving: Any = client.smembers(keys.LEAVING_KEY)
            return all(
                any(
                    consumer["name"] not in leaving and consumer["idle"] < READS_WITHIN_MS
                    for consumer in client.xinfo_consumers(keys.online_key(key), keys.GROUP)
                )
                for key in self._taker.model_keys
            )
        except (RedisError, OSError):
            return False  # the read that follows meets the same trouble and deals with it

    def _read(self, client: Redis) -> bool:
        """Take frames of the lanes wanted; return whether there were any."""
        try:
            if self._connection_id is None:
                self._connection_id = int(client.client_id())
            reply = self._look(client) or self._wait(client)
        except ResponseError as error:
            self._on_refused(client, error)
            return False
        except (RedisError, OSError) as error:
            self._connection_id = None
            self._connector.lost(client, error)
            return False
        finally:
            self._waiting_on = None
        refused = [item for item in reply if isinstance(item, ResponseError)]
        brought = [item for item in reply if not isinstance(item, ResponseError)]
        for key, entries in brought:
            self._put(self._streams[key], entries)
        if refused:
            self._on_refused(client, refused[0])
        return bool(brought)

    def _put(self, lane: ModelLane, entries: Iterable[Any]) -> None:
        frames, now_s = self._taker.take(lane, entries), time.monotonic()
        self._intake.learn(lane, frames, now_s)
        if lane.lane == "online":
            for taken in frames:
                rows, gateway = taken.frame.in_flight_rows, taken.frame.gateway
                self._loads.hear(lane.model_key, gateway, rows, now_s)
        self._hand.put(frames)

    def _wanted(self) -> Mapping[ModelLane, int]:
        wanted = self._hand.rows_wanted()
        if self._leaving.is_set():
            return {lane: rows for lane, rows in wanted.items() if lane.lane == "online"}
        return wanted

    def _leaves_out(self, model_key: str) -> bool:
        """Return whether a read is under way that does not wait on a lane that is wanted now."""
        waiting_on = self._waiting_on
        if waiting_on is None:
            return False
        wanted = self._wanted()
        return any(lane.model_key == model_key for lane in wanted.keys() - waiting_on)

    def _look(self, client: Redis) -> list[Any]:
        """Read what is there, each lane with its own count, while a batch lane is in use."""
        wanted, now_s = self._wanted(), time.monotonic()
        self._intake.leaves_out(wanted, now_s)
        batch = {lane: rows for lane, rows in wanted.items() if lane.lane == "batch"}
        if not any(self._intake.is_in_use(lane, now_s) for lane in batch):
            return []
        online = {lane: rows for lane, rows in wanted.items() if lane.lane == "online"}
        commands = [self._command(lanes, None) for lanes in (online, batch) if lanes]
        # One lane's trouble must not lose what the other lane has brought.
        return [
            item
            for reply in execute(client, commands)
            for item in ([reply] if isinstance(reply, ResponseError) else _items(reply))
        ]

    def _wait(self, client: Redis) -> list[Any]:
        """Wait for frames of the lanes wanted."""
        self._waiting_on = frozenset(self._wanted())
        # Asked again now that the runner gives notice: it may have taken a batch in between.
        wanted = self._wanted()
        self._waiting_on = frozenset(wanted)
        if not wanted:
            return []
        is_partial = self._intake.leaves_out(wanted, time.monotonic())
        block_ms = PARTIAL_BLOCK_MS if is_partial else BLOCK_MS
        block_ms = QUIET_MS if self._leaving.is_set() else block_ms
        (reply,) = execute(client, [self._command(wanted, block_ms)])
        if isinstance(reply, ResponseError):
            raise reply
        return _items(reply)

    def _command(self, lanes: Mapping[ModelLane, int], block_ms: int | None) -> Command:
        count = self._intake.count(lanes, time.monotonic())
        blocking = () if block_ms is None else ("BLOCK", block_ms)
        streams = [stream_key(lane) for lane in lanes]
        new = [">"] * len(streams)
        words = ("XREADGROUP", "GROUP", keys.GROUP, self._worker, "COUNT", count, *blocking)
        return (*words, "STREAMS", *streams, *new)

    def _on_refused(self, client: Redis, error: ResponseError) -> None:
        """Make the groups again where the server has lost them, at most once a second."""
        waited_s = time.monotonic() - self._groups_made_s
        if waited_s < GROUPS_RETRY_S:
            self._leaving.wait(GROUPS_RETRY_S - waited_s)
        self._groups_made_s = time.monotonic()
        log.warning("queue_refused_read", reason=str(error)[:80])
        try:
            make_groups(client, self._taker.model_keys)
        except (RedisError, OSError) as again:
            self._connector.lost(client, again)


def make_groups(client: Redis, model_keys: Iterable[str]) -> None:
    """Make the consumer groups that are missing; they begin at the first entry of a stream."""
    for stream in streams_of(model_keys):
        try:
            client.xgroup_create(stream_key(stream), keys.GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise


def _items(reply: Any) -> list[tuple[bytes, list[Entry]]]:
    """The (stream, entries) of a reply, in any version of the protocol."""
    streams = reply.items() if isinstance(reply, dict) else reply or ()
    return [
        (stream, [(entry_id, _fields(words)) for entry_id, words in entries])
        for stream, entries in streams
    ]


def _fields(words: list[bytes] | None) -> dict[bytes, bytes] | None:
    return None if words is None else dict(zip(words[::2], words[1::2], strict=True))
