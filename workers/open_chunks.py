"""Chunks of which some rows have run: their outputs wait here until the last one has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bridge.wire.block import block_bytes, to_block
from bridge.wire.chunk import (
    REASON_CHARS_MAX,
    ChunkResult,
    FailedRow,
    chunk_address,
    encode_chunk_result,
    is_chunk,
)
from bridge.wire.frame import ResultStatus, encode_frame
from workers.chunk_finish import FinishedChunk, returned_chunk
from workers.hand import Slice, TakenFrame
from workers.isolation import Array, Failure, Run
from workers.replies import FRAME_BYTES_TARGET

# Chunks in hand are far fewer. Those above are of leases that lapsed, and never finished here.
OPEN_CHUNKS_MAX = 1_024


@dataclass(slots=True)
class _Ran:
    """What has run of one chunk: outputs by their first row, and the rows that failed."""

    outputs: dict[int, Mapping[str, Array]] = field(default_factory=dict)
    failed: dict[int, Failure] = field(default_factory=dict)


class OpenChunks:
    """For the writer's thread. Bounded by what is in hand, and by `OPEN_CHUNKS_MAX`."""

    def __init__(self) -> None:
        self._open: dict[TakenFrame, _Ran] = {}

    def take_in(self, run: Run) -> None:
        """Keep what the run says of chunks' rows."""
        row = 0
        for piece in run.slices:
            rows = piece.rows
            if is_chunk(piece.taken.frame.gateway):
                self._keep(run, piece, row)
            row += rows

    def forget(self, taken: TakenFrame) -> None:
        """Drop what has run of a chunk that nobody waits for."""
        self._open.pop(taken, None)

    def finished(
        self, worker: str, done: Iterable[TakenFrame], batch_rows: int
    ) -> list[FinishedChunk]:
        """Return the results of the chunks among frames of which everything has run.

        `batch_rows`: how many rows the worker's batches hold, which the job fits its requests to.
        """
        return [
            _finished(worker, taken, self._open.pop(taken, _Ran()), batch_rows)
            for taken in done
            if is_chunk(taken.frame.gateway)
        ]

    def _keep(self, run: Run, piece: Slice, row: int) -> None:
        ran = self._open.get(piece.taken)
        if ran is None:
            while len(self._open) >= OPEN_CHUNKS_MAX:
                self._open.pop(next(iter(self._open)))
            ran = self._open[piece.taken] = _Ran()
        if run.status is ResultStatus.OK:
            end = row + piece.rows
            ran.outputs[piece.start] = {name: array[row:end] for name, array in run.outputs.items()}
        elif run.failures and len(run.slices) == 1:
            # The slice was run by halves, and some of its rows have outputs.
            ran.outputs[piece.start] = run.outputs
            ran.failed |= {piece.start + row: failure for row, failure in run.failures.items()}
        else:
            failure = Failure(run.status, run.reason)
            ran.failed |= dict.fromkeys(range(piece.start, piece.end), failure)


def _finished(worker: str, taken: TakenFrame, ran: _Ran, batch_rows: int) -> FinishedChunk:
    address = chunk_address(taken.frame.gateway)
    if address is None:
        raise ValueError(f"no address of a chunk: {taken.frame.gateway[:100]!r}")
    rows = sum(entry.rows for entry in taken.frame.requests)
    parts = [ran.outputs[start] for start in sorted(ran.outputs) if ran.outputs[start]]
    reason = _why_unfit(parts, rows - len(ran.failed))
    if reason:
        frame = encode_frame(taken.frame)
        return returned_chunk(taken.model_key, worker, taken.entry_id, address, frame, reason)
    failed = [
        FailedRow(row, failure.status, failure.reason[:REASON_CHARS_MAX])
        for row, failure in sorted(ran.failed.items())
    ]
    names = parts[0] if parts else {}
    tensors = [to_block(name, [part[name] for part in parts]) for name in names]
    result = ChunkResult(worker, rows, failed, tensors, batch_rows=batch_rows)
    data = encode_chunk_result(result)
    return FinishedChunk(taken.model_key, worker, taken.entry_id, address, data)


def _why_unfit(parts: list[Mapping[str, Array]], rows: int) -> str:
    """Say why these outputs cannot be one result, if so; smaller parts of the chunk may."""
    shapes = {tuple(array.shape[1:] for array in part.values()) for part in parts}
    if len(shapes) > 1:
        return "outputs whose row shapes differ from run to run"
    size = sum(block_bytes(array) for part in parts for array in part.values())
    if size > FRAME_BYTES_TARGET:
        return f"outputs of {size} bytes, more than {FRAME_BYTES_TARGET} in one result"
    if sum(len(next(iter(part.values()))) for part in parts) != rows:
        return "not all of its rows were kept"
    return ""
