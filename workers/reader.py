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

from bridge.contract.model import TensorSpec
from bridge.wire import keys
from bridge.wire.block import from_block
from bridge.wire.clock import ServerClock
from bridge.wire.frame import MalformedFrame, RequestFrame, Tensor, WireError, decode_request
from workers.connection import Connector
from workers.hand import Hand, TakenFrame
from workers.tally import Tally
from workers.writer import DeadFrame, Finished, Unblock, Writer

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
READ_FRAMES_MAX = 128
GROUPS_RETRY_S = 1.0
# Weight of the last read in the running mean of rows per frame.
MEAN_WEIGHT = 0.25
# A model had frames "just now" for so long.
ACTIVE_S = 1.0


class FrameTaker:
    """Turns stream entries into frames in hand, and junk into dead letters."""

    def __init__(
        self,
        inputs: Mapping[str, tuple[TensorSpec, ...]],
        writer: Writer,
        tally: Tally,
        clock: ServerClock,
    ) -> None:
        """`inputs`: what each model version takes, in order."""
        self._inputs = inputs
        self._writer = writer
        self._tally = tally
        self._clock = clock

    @property
    def model_keys(self) -> list[str]:
        """The model versions served."""
        return list(self._inputs)

    def take(
        self,
        model_key: str,
        entries: Iterable[tuple[bytes, Mapping[bytes, bytes] | None]],
        runs_alone: bool = False,
    ) -> list[TakenFrame]:
        """Return the frames among stream entries; the rest is dead-lettered, once."""
        now_s = time.monotonic()
        taken = []
        for entry_id, fields in entries:
            if fields is None:
                continue  # deleted meanwhile: whoever had it has finished it
            data = fields.get(keys.FRAME_FIELD, b"")
            try:
                taken.append(self._frame(model_key, entry_id, data, now_s, runs_alone))
            except WireError as error:
                self.bury(model_key, entry_id, data, str(error))
        return taken

    def bury(self, model_key: str, entry_id: bytes, data: bytes, reason: str) -> None:
        """Give an entry up: to the dead letters, then acknowledged."""
        log.warning("dead_letter", model=model_key, entry=entry_id.decode(), reason=reason[:200])
        self._tally.add_dead_letter()
        dead = DeadFrame(model_key, entry_id, data, reason[:500])
        self._writer.put(Finished([], [(model_key, entry_id)], dead))

    def _frame(
        self, model_key: str, entry_id: bytes, data: bytes, now_s: float, runs_alone: bool
    ) -> TakenFrame:
        frame = decode_request(data)
        return TakenFrame(
            model_key=model_key,
            entry_id=entry_id,
            frame=frame,
            arrays=self._arrays(model_key, frame),
            taken_us=self._clock.server_us(now_s),
            renewed_s=now_s,
            runs_alone=runs_alone,
        )

    def _arrays(self, model_key: str, frame: RequestFrame) -> dict[str, Any]:
        specs = self._inputs[model_key]
        # Datatypes and shapes too: joined with others of its batch, a block of another datatype
        # would turn all their rows into that datatype.
        if len(frame.tensors) != len(specs) or not all(map(_fits, frame.tensors, specs)):
            raise MalformedFrame("the frame's tensors are not the model's inputs")
        rows = sum(entry.rows for entry in frame.requests)
        return {tensor.name: from_block(tensor, rows) for tensor in frame.tensors}


class Reader:
    """One thread: reads while the hand is hungry, until told to leave."""

    def __init__(
        self, worker: str, connector: Connector, hand: Hand, taker: FrameTaker, writer: Writer
    ) -> None:
        self._worker = worker
        self._connector = connector
        self._hand = hand
        self._taker = taker
        self._writer = writer
        self._leaving = threading.Event()
        self._rows_per_frame: dict[str, float] = {}
        self._seen_s: dict[str, float] = {}
        self._connection_id: int | None = None
        self._waiting_on: frozenset[str] | None = None
        self._groups_made_s = -GROUPS_RETRY_S

    def leave(self) -> None:
        """Let `run` return once the queue is quiet."""
        self._leaving.set()
        self._connector.wake()

    def notice_hungry(self, model_key: str) -> None:
        """End a blocking read that waits on other models only; called by the runner."""
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
            if not self._read(client, wanted) and is_last:
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

    def _read(self, client: Redis, wanted: dict[str, int]) -> bool:
        """Take frames of the models wanted; return whether there were any."""
        try:
            if self._connection_id is None:
                self._connection_id = int(client.client_id())
            reply = self._read_streams(client, wanted)
        except ResponseError as error:
            self._on_refused(client, error)
            return False
        except (RedisError, OSError) as error:
            self._connection_id = None
            self._connector.lost(client, error)
            return False
        finally:
            self._waiting_on = None
        for stream, entries in reply:
            model_key = _model_key(stream)
            frames = self._taker.take(model_key, entries)
            self._learn(model_key, frames)
            self._hand.put(frames)
        return bool(reply)

    def _leaves_out(self, model_key: str) -> bool:
        """Return whether a read is under way that does not wait on this model."""
        waiting_on = self._waiting_on
        return waiting_on is not None and model_key not in waiting_on

    def _read_streams(self, client: Redis, wanted: dict[str, int]) -> list[Any]:
        self._waiting_on = frozenset(wanted)
        # Asked again now that the runner gives notice: it may have taken a batch in between.
        wanted = self._hand.rows_wanted()
        self._waiting_on = frozenset(wanted)
        is_partial = bool(self._rows_per_frame.keys() - wanted.keys())
        block_ms = PARTIAL_BLOCK_MS if is_partial else BLOCK_MS
        reply: Any = client.xreadgroup(
            keys.GROUP,
            self._worker,
            {keys.online_key(model_key): ">" for model_key in wanted},
            count=self._count(wanted),
            block=QUIET_MS if self._leaving.is_set() else block_ms,
        )
        return list(reply.items() if isinstance(reply, dict) else reply or [])

    def _count(self, wanted: dict[str, int]) -> int:
        """Frames to take from each stream.

        COUNT is per stream, so it is the least that any may take among the models that had frames
        just now; an idle model with small batches must not slow the others down.
        """
        oldest_s = time.monotonic() - ACTIVE_S
        counts = [
            rows / self._rows_per_frame[key]
            for key, rows in wanted.items()
            if self._seen_s.get(key, 0.0) > oldest_s
        ]
        return max(1, min(READ_FRAMES_MAX, int(min(counts, default=READ_FRAMES_MAX))))

    def _learn(self, model_key: str, frames: list[TakenFrame]) -> None:
        if frames:  # and not only junk, from which nothing is learned
            self._seen_s[model_key] = time.monotonic()
        for taken in frames:
            rows = sum(entry.rows for entry in taken.frame.requests)
            mean = self._rows_per_frame.get(model_key, float(rows))
            self._rows_per_frame[model_key] = mean + MEAN_WEIGHT * (rows - mean)

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
    for model_key in model_keys:
        try:
            client.xgroup_create(keys.online_key(model_key), keys.GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise


def _fits(tensor: Tensor, spec: TensorSpec) -> bool:
    """Whether a block is of the kind that the model takes: name, datatype, shape of a row."""
    if (tensor.name, tensor.datatype) != (spec.name, spec.datatype):
        return False
    wanted = spec.row_shape
    return len(wanted) == len(tensor.row_shape) and all(
        size in (-1, given) for size, given in zip(wanted, tensor.row_shape, strict=True)
    )


def _model_key(stream: bytes) -> str:
    text = stream.decode()
    return text[text.index("{") + 1 : text.index("}")]
