"""The writer: results first, then acknowledgements; one thread, one connection.

A job's chunk is finished by one script that does both, see `workers/chunk_finish.py`.

A frame is acknowledged only after the server has confirmed its results: at `maxmemory` a server
refuses the result and performs the acknowledgement, and the work would be lost.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import structlog
from redis import Redis
from redis.exceptions import RedisError, ResponseError

from bridge.wire import keys
from workers.chunk_finish import REFUSED, FinishedChunk, finish_chunks
from workers.connection import Connector

log = structlog.get_logger(__name__)

FINISHED_MAX = 8
GATHERED_MAX = 16
RESULTS_TTL_MS = 60_000
DEAD_FRAMES_MAX = 1_000


@dataclass(frozen=True, slots=True)
class DeadFrame:
    """A frame given up on, and why."""

    model_key: str
    entry_id: bytes
    data: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Unblock:
    """A connection whose blocking read is to be ended, as long as `is_needed`."""

    connection_id: int
    is_needed: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Finished:
    """Result frames to send, by gateway, and the frames (stream key, entry id) to acknowledge.

    `chunks`: those of which the last rows have run. `afterwards`: what the writer's thread does
    when this has been sent.
    """

    frames: list[tuple[str, bytes]] = field(default_factory=list)
    acknowledged: list[tuple[str, bytes]] = field(default_factory=list)
    dead: DeadFrame | None = None
    chunks: list[FinishedChunk] = field(default_factory=list)
    unblock: Unblock | None = None
    afterwards: Callable[[], None] | None = None


# Results that the writer makes itself, so that their encoding holds up no run.
Later = Callable[[], Finished]


class Writer:
    """Owns the bounded hand-over from runner and reader to the server."""

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        self._waiting: queue.Queue[Finished | Later | None] = queue.Queue(FINISHED_MAX)
        self._given_up = threading.Event()

    def put(self, finished: Finished | Later) -> None:
        """Hand results over, or what makes them; waits while too many are unsent."""
        self._waiting.put(finished)

    def close(self) -> None:
        """Let `run` return when everything handed over has been sent."""
        self._waiting.put(None)

    def give_up(self) -> None:
        """Let `run` return although the server does not answer."""
        self._given_up.set()
        self._connector.wake()

    def run(self) -> None:
        """Send until closed."""
        while True:
            gathered, is_last = self._gather()
            if gathered:
                self._send(gathered)
            for finished in gathered:
                if finished.afterwards is not None:
                    finished.afterwards()
            if is_last:
                return

    def _gather(self) -> tuple[list[Finished], bool]:
        """Wait for something to send, and take what else is there."""
        gathered: list[Finished] = []
        item = self._waiting.get()
        while item is not None:
            gathered.append(item if isinstance(item, Finished) else item())
            if len(gathered) == GATHERED_MAX:
                return gathered, False
            try:
                item = self._waiting.get_nowait()
            except queue.Empty:
                return gathered, False
        return gathered, True

    def _send(self, gathered: list[Finished]) -> None:
        """Send once the server answers: repeating a result is harmless, the gateway takes one."""
        while not self._given_up.is_set():
            client = self._connector.connected(self._given_up)
            if client is None:
                return
            try:
                self._exchange(client, gathered)
            except (RedisError, OSError) as error:
                self._connector.lost(client, error)
            else:
                return

    def _exchange(self, client: Redis, gathered: list[Finished]) -> None:
        results = client.pipeline(transaction=False)
        counts = [self._add_results(results, finished) for finished in gathered]
        replies: list[Any] = results.execute(raise_on_error=False) if len(results) else []
        for finished in gathered:
            _unblock(client, finished.unblock)
        acknowledgements = client.pipeline(transaction=False)
        for finished, count in zip(gathered, counts, strict=True):
            refused = [reply for reply in replies[:count] if isinstance(reply, Exception)]
            del replies[:count]
            if refused:
                log.warning("results_refused", reason=str(refused[0])[:80])
                continue
            for stream, entry_id in finished.acknowledged:
                acknowledgements.xack(stream, keys.GROUP, entry_id)
                acknowledgements.xdel(stream, entry_id)
        if len(acknowledgements):
            acknowledgements.execute(raise_on_error=False)
        chunks = [chunk for finished in gathered for chunk in finished.chunks]
        if chunks:
            _finish_chunks(client, chunks)

    def _add_results(self, pipeline: Any, finished: Finished) -> int:
        before = len(pipeline)
        for gateway, frame in finished.frames:
            key = keys.results_key(gateway)
            pipeline.rpush(key, frame)
            pipeline.pexpire(key, RESULTS_TTL_MS)
        dead = finished.dead
        if dead is not None:
            pipeline.xadd(
                keys.dead_key(dead.model_key),
                {
                    keys.FRAME_FIELD: dead.data,
                    keys.REASON_FIELD: dead.reason,
                    b"entry": dead.entry_id,
                    b"at": str(int(time.time())),
                },
                maxlen=DEAD_FRAMES_MAX,
                approximate=True,
            )
        return len(pipeline) - before


def _finish_chunks(client: Redis, chunks: list[FinishedChunk]) -> None:
    """Finish chunks; one that the server refuses stays with its lease, and runs again after it."""
    for chunk, reply in zip(chunks, finish_chunks(client, chunks), strict=True):
        if isinstance(reply, Exception):
            log.warning("results_refused", part=chunk.address.part, reason=str(reply)[:80])
        elif reply == REFUSED:
            log.warning("late_result_refused", job=chunk.address.job, part=chunk.address.part)


def _unblock(client: Redis, unblock: Unblock | None) -> None:
    """End the read, also when the command overtakes it: then it has not begun, and the reply is 0.

    Bounded by the read, which ends by itself.
    """
    while unblock is not None and unblock.is_needed():
        try:
            if client.client_unblock(unblock.connection_id):
                return
        except ResponseError:
            return  # not permitted here: the read ends by itself
