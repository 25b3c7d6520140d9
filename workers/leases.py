"""Leases: a frame in a worker's hands stays there while it is renewed, then another takes it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import structlog
from redis import Redis

from bridge.scheduling.lanes import ModelLane
from bridge.wire import keys
from bridge.wire.chunk import ChunkAddress, chunk_address
from bridge.wire.frame import WireError, decode_request
from workers.chunk_finish import finish_chunks, returned_chunk
from workers.frame_taker import FrameTaker
from workers.hand import Hand, TakenFrame
from workers.stream import stream_key
from workers.tally import Tally

log = structlog.get_logger(__name__)

RECLAIMED_FRAMES_MAX = 16
# Deliveries that ended with a worker's death or silence: from the first number on a frame's
# requests run alone, from the second on it is given up. A job's chunk says itself when it goes
# back, so that the job can try its rows in smaller parts.
RUNS_ALONE_AFTER = 2
DEAD_AFTER = 3
CONSUMER_FORGOTTEN_MS = 600_000
# What was lost in the batch lane is taken over by a worker that has lived for so long. One that is
# killed again and again would otherwise take the same rows each time, and they would be blamed.
STEADY_S = 3.0


class Leases:
    """Renews this worker's frames and takes over those that nobody renews."""

    def __init__(
        self, worker: str, hand: Hand, taker: FrameTaker, tally: Tally, lease_s: float
    ) -> None:
        self._worker = worker
        self._hand = hand
        self._taker = taker
        self.tally = tally
        self._lease_ms = int(lease_s * 1000)
        self._steady_from_s = time.monotonic() + STEADY_S

    def add_search(self, pipeline: Any, stream: ModelLane) -> None:
        """Add the command whose reply lists the frames that nobody renews."""
        pipeline.xpending_range(
            stream_key(stream),
            keys.GROUP,
            "-",
            "+",
            RECLAIMED_FRAMES_MAX,
            idle=self._lease_ms,
        )

    def add_renewals(self, pipeline: Any) -> None:
        """Add the commands that renew what is in hand."""
        renewed: list[TakenFrame] = self._hand.frames_to_renew(time.monotonic())
        by_stream: dict[ModelLane, list[bytes]] = {}
        for taken in renewed:
            by_stream.setdefault(taken.stream, []).append(taken.entry_id)
        for stream, entry_ids in by_stream.items():
            pipeline.xclaim(stream_key(stream), keys.GROUP, self._worker, 0, entry_ids, justid=True)

    def reclaim(self, client: Redis, stream: ModelLane, entries: Iterable[Any]) -> None:
        """Take over the frames that a search has found, unless they are in hand already."""
        if stream.lane == "batch" and time.monotonic() < self._steady_from_s:
            return
        for pending in entries:
            entry_id, deliveries = pending["message_id"], int(pending["times_delivered"])
            if self._hand.holds(stream, entry_id):
                continue
            is_suspect = RUNS_ALONE_AFTER <= deliveries < DEAD_AFTER
            if is_suspect and self._hand.holds_suspect():
                continue  # one at a time: the next death must tell which of them it was
            claimed: Any = client.xclaim(
                stream_key(stream), keys.GROUP, self._worker, self._lease_ms, [entry_id]
            )
            if not claimed:
                continue  # another worker was quicker
            log.warning(
                "reclaimed",
                model=stream.model_key,
                lane=stream.lane,
                entry=entry_id.decode(),
                count=deliveries,
            )
            self.tally.add_reclaimed()
            data = (claimed[0][1] or {}).get(keys.FRAME_FIELD, b"")
            address = _chunk_in(stream, data)
            if deliveries < (DEAD_AFTER if address is None else address.losses_max):
                self._hand.put(self._taker.take(stream, claimed, is_suspect))
                continue
            reason = f"in the hands of {deliveries} workers that died or went silent"
            if address is None:
                self._taker.bury(stream, entry_id, data, reason)
            else:
                self._give_back(client, stream, entry_id, address, data, reason)

    def _give_back(
        self,
        client: Redis,
        stream: ModelLane,
        entry_id: bytes,
        address: ChunkAddress,
        data: bytes,
        reason: str,
    ) -> None:
        """Give a chunk back to its job, which tries its rows in smaller parts."""
        chunk = returned_chunk(stream.model_key, self._worker, entry_id, address, data, reason)
        (reply,) = finish_chunks(client, [chunk])
        if isinstance(reply, Exception):
            # The server is full, say: the next search finds it again.
            log.warning("results_refused", part=address.part, reason=str(reply)[:80])
            return
        log.warning("chunk_returned", job=address.job, part=address.part, reason=reason)
        if address.rows == 1:
            self.tally.add_dead_letter()

    def forget_consumers(self, client: Redis, stream: ModelLane) -> None:
        """Remove the names of workers long gone; never one that still holds an entry."""
        key = stream_key(stream)
        consumers: Any = client.xinfo_consumers(key, keys.GROUP)
        for consumer in consumers:
            if consumer["pending"] == 0 and consumer["idle"] > CONSUMER_FORGOTTEN_MS:
                client.xgroup_delconsumer(key, keys.GROUP, consumer["name"])


def _chunk_in(stream: ModelLane, data: bytes) -> ChunkAddress | None:
    """The address of a job's chunk; None for other frames, and for junk."""
    if stream.lane != "batch":
        return None
    try:
        return chunk_address(decode_request(data).gateway)
    except WireError:
        return None
