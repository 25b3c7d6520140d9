"""The flow of a job: chunks out, at most a window of them unanswered, and results in input order.

Nothing is sent while a chunk of the job is under suspicion and others are under way: the parts of
such a chunk run with nothing else of the job beside them, so that a death tells which it was.

Where several jobs share the lane, a chunk is sent when it is the job's turn.
"""

from __future__ import annotations

import math
import secrets
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from bridge.contract.model import ModelContract, contract_digest, encode_contract
from bridge.jobs.chunk_queue import HAS_RESULT, SENT, SENT_AGAIN, ChunkQueue
from bridge.jobs.chunks import Chunk, RejectedRow
from bridge.jobs.errors import BadInput, BadResult, QueueAway, Stopped
from bridge.jobs.outputs import OutputTable
from bridge.jobs.pending_chunk import PendingChunk
from bridge.wire.block import to_block
from bridge.wire.chunk import ChunkAddress
from bridge.wire.frame import (
    FRAME_BYTES_MAX,
    FRAME_REQUESTS_MAX,
    REQUEST_ID_BYTES,
    RequestEntry,
    RequestFrame,
    encode_frame,
)

WINDOW_CHUNKS = 32
WINDOW_BYTES = 64 << 20
# A worker fills its batches up with whole requests of a chunk, after those of online callers: of
# this share of a batch they leave few places empty and delay nobody. Larger requests cost a worker
# less each: with 64 rows a fast model scores 1.3 times as many as with 16 (measured 2026-11-24).
REQUEST_SHARE = 16
REQUEST_ROWS_MAX = 64
# Before the first result has told how large a batch is; meanwhile one chunk is under way.
REQUEST_ROWS_FIRST = 8
# After so long without a result each chunk under way is looked up, and sent again if it is gone.
RECONCILE_S = 5.0
# An entry that vanishes so often without a result does so because of what is in it.
VANISHED_MAX = 3
# Work of the batch lane has no deadline: the farthest that a frame can say.
NO_DEADLINE_US = 2**53


@dataclass(frozen=True, slots=True)
class ScoredChunk:
    """What became of the input's rows up to `end_row`, from where the chunk before it ended.

    `batch`: the key column, or the row's number, and the outputs, of the rows that were scored;
    `parts`: what the queue still keeps of it.
    """

    number: int
    end_row: int
    batch: pa.RecordBatch
    rejected: tuple[RejectedRow, ...]
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """How much may be under way: chunks, and bytes of their inputs."""

    chunks: int = WINDOW_CHUNKS
    tensor_bytes: int = WINDOW_BYTES


class Turn(Protocol):
    """A job's place among those that share the lane."""

    def ask(self, rows: int) -> bool:
        """Ask to send a chunk, again and again until the answer is yes; who waits is nudged."""

    def give_back(self, rows: int, worker: str) -> None:
        """Note that rows which were sent have their results, by this worker."""


class AlwaysOwn:
    """The turn of a job that shares the lane with nobody."""

    def ask(self, rows: int) -> bool:
        """Return True."""
        return True

    def give_back(self, rows: int, worker: str) -> None:
        """Do nothing."""


class Scoring:
    """Sends the chunks of one job and gives out what became of them; for one thread."""

    def __init__(
        self,
        queue: ChunkQueue,
        contract: ModelContract,
        table: OutputTable,
        chunks: Iterator[Chunk],
        stopping: threading.Event,
        window: Window | None = None,
        turn: Turn | None = None,
    ) -> None:
        self._queue = queue
        self._contract = contract
        self._digest = contract_digest(encode_contract(contract))
        self._table = table
        self._chunks = chunks
        self._stopping = stopping
        self._window = window or Window()
        self._turn = turn or AlwaysOwn()
        self._pending: deque[PendingChunk] = deque()
        self._bytes = 0
        self._is_read = False
        self._held: Chunk | None = None
        self._request_ids: dict[str, bytes] = {}
        self._request_rows: int | None = None
        self._vanished: dict[str, int] = {}
        self._heard_s = time.monotonic()
        self._served_s = self._heard_s

    def results(self) -> Iterator[ScoredChunk]:
        """Yield every chunk in input order; the next ones are sent when results are taken.

        Raises:
            JobError: the job cannot go on, or was stopped.
        """
        while True:
            if self._stopping.is_set():
                raise Stopped("stopped")
            self._send()
            if not self._pending and self._held is None:
                return
            if self._pending and self._pending[0].is_done:
                pending = self._pending.popleft()
                self._bytes -= pending.chunk.tensor_bytes
                yield self._scored(pending)
            else:
                self._collect()

    def withdraw(self) -> None:
        """Let workers drop what they have in hand, and remove what they have not yet taken.

        Raises:
            JobError: the queue is away.
        """
        self._queue.cancel(self._request_ids.values())
        self._queue.end()

    def _send(self) -> None:
        """Send what may be sent now."""
        suspected = next((item for item in self._pending if item.is_suspected), None)
        if suspected is None:
            while self._has_room() and (chunk := self._next_chunk()) is not None:
                pending = PendingChunk(chunk, self._queue.job, self._contract.outputs)
                self._pending.append(pending)
                self._bytes += chunk.tensor_bytes
                self._push(pending, pending.send_next())
        elif all(item.out is None for item in self._pending):
            self._push(suspected, suspected.send_next())

    def _has_room(self) -> bool:
        if self._request_rows is None and self._pending:
            return False
        fits = self._bytes < self._window.tensor_bytes
        return len(self._pending) < self._window.chunks and (fits or not self._pending)

    def _next_chunk(self) -> Chunk | None:
        """The next chunk that may be sent now."""
        if self._held is None and not self._is_read:
            self._held = next(self._chunks, None)
            self._is_read = self._held is None
        if self._held is None or (self._held.rows and not self._turn.ask(self._held.rows)):
            return None
        chunk, self._held = self._held, None
        return chunk

    def _push(self, pending: PendingChunk, address: ChunkAddress | None) -> None:
        if address is None:
            return
        entries = self._entries(address.rows)
        found = self._queue.push(address, _frame(pending, address, entries))
        if found in (SENT, SENT_AGAIN):
            self._request_ids[address.part] = b"".join(entry.request_id for entry in entries)
        if found == HAS_RESULT:
            self._take([address.part])
        elif found == SENT_AGAIN:
            self._note_vanished(address.part)

    def _entries(self, chunk_rows: int) -> list[RequestEntry]:
        """The requests that a worker fills its batches with."""
        now_us = self._queue.now_us()
        rows = self._request_rows or REQUEST_ROWS_FIRST
        rows = max(rows, math.ceil(chunk_rows / FRAME_REQUESTS_MAX))
        starts = range(0, chunk_rows, rows)
        # Drawn at once: asking the system for each took as long as all else here.
        names = secrets.token_bytes(REQUEST_ID_BYTES * len(starts))
        return [
            RequestEntry(
                names[REQUEST_ID_BYTES * index : REQUEST_ID_BYTES * (index + 1)],
                0,
                min(rows, chunk_rows - start),
                now_us,
                NO_DEADLINE_US,
            )
            for index, start in enumerate(starts)
        ]

    def _collect(self) -> None:
        """Wait for results; look for what is under way when there are none for long."""
        parts = self._queue.done_parts()
        now_s = time.monotonic()
        if parts:
            self._heard_s = now_s
            self._take(parts)
        if self._queue.was_away or now_s - self._heard_s > RECONCILE_S:
            self._queue.was_away = False
            self._heard_s = now_s
            self._check_served(now_s)
            for pending in self._pending:
                self._push(pending, pending.out)

    def _take(self, parts: list[str]) -> None:
        by_part = {
            address.part: item for item in self._pending if (address := item.out) is not None
        }
        wanted = [part for part in dict.fromkeys(parts) if part in by_part]
        for part, result in self._queue.results(wanted).items():
            self._request_ids.pop(part, None)
            pending = by_part[part]
            pending.take(result)
            if pending.is_done:
                self._turn.give_back(pending.chunk.rows, result.worker)
            if result.batch_rows:
                share = result.batch_rows // REQUEST_SHARE
                self._request_rows = max(1, min(REQUEST_ROWS_MAX, share))

    def _check_served(self, now_s: float) -> None:
        digest = self._queue.contract_digest()
        if digest is None:
            self._queue.note_no_worker(now_s - self._served_s)
            return
        self._served_s = now_s
        if digest != self._digest:
            raise BadInput(
                f"{self._contract.key} is another model now than when the job began: its rows "
                "would be scored by two; begin anew with --restart"
            )

    def _note_vanished(self, part: str) -> None:
        count = self._vanished[part] = self._vanished.get(part, 0) + 1
        if count >= VANISHED_MAX:
            raise QueueAway(
                f"chunk {part} has left the queue {count} times without a result; the dead "
                f"letters of {self._contract.key} may say why"
            )

    def _scored(self, pending: PendingChunk) -> ScoredChunk:
        chunk = pending.chunk
        places, tensors = pending.outputs()
        keys = None if chunk.keys is None else chunk.keys.take(pa.array(places))
        try:
            lengths = None if chunk.lengths is None else chunk.lengths[places]
            batch = self._table.batch(tensors, chunk.row_numbers[places], keys, lengths)
        except BadResult as error:
            raise BadResult(f"rows {chunk.first_row} to {chunk.end_row}: {error}") from error
        return ScoredChunk(
            chunk.number, chunk.end_row, batch, pending.rejected(), tuple(pending.parts)
        )


def _frame(pending: PendingChunk, address: ChunkAddress, entries: list[RequestEntry]) -> bytes:
    tensors = pending.tensors(address)
    frame = encode_frame(
        RequestFrame(
            secrets.token_bytes(REQUEST_ID_BYTES),
            str(address),
            "batch",
            entries,
            [to_block(name, [array]) for name, array in tensors.items()],
        )
    )
    if len(frame) > FRAME_BYTES_MAX:
        raise BadInput(
            f"rows {pending.chunk.first_row} to {pending.chunk.end_row} take {len(frame)} "
            f"bytes, a chunk at most {FRAME_BYTES_MAX}: choose fewer --chunk-rows"
        )
    return frame
