"""The writer: results first, then acknowledgements; one thread, one connection.

A job's chunk is finished by one script that does both, see `workers/chunk_finish.py`.

A frame is acknowledged only after the server has confirmed its results: at `maxmemory` a server
refuses the result and performs the acknowledgement, and the work would be lost. So that this costs
no exchange of its own, acknowledgements go with the next results.
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
from redis.exceptions import RedisError

from bridge.wire import keys
from workers.chunk_finish import REFUSED, FinishedChunk, finish_chunks
from workers.connection import Command, Connector, execute

log = structlog.get_logger(__name__)

FINISHED_MAX = 8
GATHERED_MAX = 16
RESULTS_TTL_MS = 60_000
# Acknowledgements wait so long for results to go with. A worker that dies meanwhile leaves frames
# that are run again, for nobody.
SETTLED_WITHIN_S = 0.01
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
        # Frames whose results the server has confirmed, by stream: to be acknowledged. And lists
        # of results that were new, so that nothing ends them if their gateway has gone.
        self._confirmed: dict[str, list[bytes]] = {}
        self._new_lists: set[str] = set()

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
            if gathered or self._is_unsettled:
                self._send(gathered)
            for finished in gathered:
                if finished.afterwards is not None:
                    finished.afterwards()
            if is_last:
                if self._is_unsettled:
                    self._send([])
                return

    def _gather(self) -> tuple[list[Finished], bool]:
        """Wait for something to send, and take what else is there; nothing when that took long."""
        gathered: list[Finished] = []
        try:
            # What is to be acknowledged goes with the next results, if they come soon.
            item = self._waiting.get(timeout=SETTLED_WITHIN_S if self._is_unsettled else None)
        except queue.Empty:
            return [], False
        while item is not None:
            gathered.append(item if isinstance(item, Finished) else item())
            if len(gathered) == GATHERED_MAX:
                return gathered, False
            try:
                item = self._waiting.get_nowait()
            except queue.Empty:
                return gathered, False
        return gathered, True

    @property
    def _is_unsettled(self) -> bool:
        return bool(self._confirmed or self._new_lists)

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
        settling = self._settling()
        results = [_results(finished) for finished in gathered]
        commands = [command for commands in results for command in commands]
        replies = execute(client, [*commands, *settling]) if commands or settling else []
        self._confirmed, self._new_lists = {}, set()
        for finished, own in zip(gathered, results, strict=True):
            self._confirm(finished, own, replies[: len(own)])
            del replies[: len(own)]
        for finished in gathered:
            _unblock(client, finished.unblock)
        chunks = [chunk for finished in gathered for chunk in finished.chunks]
        if chunks:
            _finish_chunks(client, chunks)

    def _settling(self) -> list[Command]:
        """Return what acknowledges the frames whose results are confirmed."""
        commands: list[Command] = []
        for stream, entry_ids in self._confirmed.items():
            commands.append(("XACK", stream, keys.GROUP, *entry_ids))
            commands.append(("XDEL", stream, *entry_ids))
        commands += [("PEXPIRE", key, RESULTS_TTL_MS) for key in self._new_lists]
        return commands

    def _confirm(self, finished: Finished, commands: list[Command], replies: list[Any]) -> None:
        """Note the frames of which the server has all results."""
        refused = [reply for reply in replies if isinstance(reply, Exception)]
        for command, length in zip(commands, replies, strict=True):
            if command[0] == "RPUSH" and length == 1:
                self._new_lists.add(str(command[1]))
        if refused:
            log.warning("results_refused", reason=str(refused[0])[:80])
            return
        for stream, entry_id in finished.acknowledged:
            self._confirmed.setdefault(stream, []).append(entry_id)


def _results(finished: Finished) -> list[Command]:
    commands: list[Command] = [
        ("RPUSH", keys.results_key(gateway), frame) for gateway, frame in finished.frames
    ]
    dead = finished.dead
    if dead is not None:
        commands.append(
            (
                "XADD",
                keys.dead_key(dead.model_key),
                "MAXLEN",
                "~",
                DEAD_FRAMES_MAX,
                "*",
                keys.FRAME_FIELD,
                dead.data,
                keys.REASON_FIELD,
                dead.reason,
                "entry",
                dead.entry_id,
                "at",
                int(time.time()),
            )
        )
    return commands


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
        (reply,) = execute(client, [("CLIENT", "UNBLOCK", unblock.connection_id)])
        # An error: not permitted here, and the read ends by itself.
        if reply:
            return
