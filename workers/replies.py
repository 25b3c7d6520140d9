"""Runs to result frames: one per gateway and run, each request's rows in the frame's order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from msgspec.structs import replace

from bridge.wire.block import block_bytes, to_block
from bridge.wire.chunk import is_chunk
from bridge.wire.frame import (
    FRAME_BYTES_MAX,
    BatchReport,
    ResultEntry,
    ResultFrame,
    ResultStatus,
    ServiceReport,
    Tensor,
    encode_frame,
)
from workers.hand import Slice
from workers.isolation import Run

# The rest is for the entries and names.
FRAME_BYTES_TARGET = FRAME_BYTES_MAX // 2

# A slice and its first row within the run.
Located = tuple[Slice, int]


def result_frames(
    worker: str,
    model_key: str,
    run: Run,
    report: BatchReport,
    service: ServiceReport,
    others_rows: Mapping[str, int],
) -> list[tuple[str, bytes]]:
    """Return (gateway id, frame) for each gateway that has requests in the run; none for chunks.

    `others_rows`: by gateway, what the others have in flight. Only the first frame counts the run.
    A frame holds at most `FRAME_BYTES_TARGET` of outputs; where one request alone has more, its
    status becomes BAD_OUTPUT.
    """
    began_us = report.ended_us - report.run_us
    frames: list[tuple[str, bytes]] = []
    loads = [
        (gateway, load)
        for gateway, rows in _by_gateway(run.slices).items()
        for load in _loads(run, rows)
    ]
    for index, (gateway, rows) in enumerate(loads):
        status = run.status
        if len(rows) == 1 and _output_bytes(run, *rows[0]) > FRAME_BYTES_TARGET:
            status = ResultStatus.BAD_OUTPUT
        frame = ResultFrame(
            worker=worker,
            model_key=model_key,
            results=[_entry(piece, status, began_us) for piece, _ in rows],
            tensors=_tensors(run, rows) if status is ResultStatus.OK else [],
            batch=report if index == 0 else replace(report, counted_here=False),
            service=service,
            others_rows=others_rows.get(gateway, 0),
        )
        frames.append((gateway, encode_frame(frame)))
    return frames


def _by_gateway(slices: Iterable[Slice]) -> dict[str, list[Located]]:
    """Slices by gateway, each with its first row within the run."""
    groups: dict[str, list[Located]] = {}
    start = 0
    for piece in slices:
        groups.setdefault(piece.taken.frame.gateway, []).append((piece, start))
        start += piece.entry.rows
    return {gateway: rows for gateway, rows in groups.items() if not is_chunk(gateway)}


def _loads(run: Run, rows: list[Located]) -> Iterator[list[Located]]:
    """Slices that travel in one frame, in order."""
    load: list[Located] = []
    size = 0
    for piece, start in rows:
        piece_bytes = _output_bytes(run, piece, start)
        if load and size + piece_bytes > FRAME_BYTES_TARGET:
            yield load
            load, size = [], 0
        load.append((piece, start))
        size += piece_bytes
    yield load


def _output_bytes(run: Run, piece: Slice, start: int) -> int:
    """The bytes of one request's outputs in a frame."""
    end = start + piece.entry.rows
    return sum(block_bytes(array[start:end]) for array in run.outputs.values())


def _entry(piece: Slice, status: ResultStatus, began_us: int) -> ResultEntry:
    entry, taken_us = piece.entry, piece.taken.taken_us
    return ResultEntry(
        request_id=entry.request_id,
        part=entry.part,
        status=status,
        rows=entry.rows,
        queue_us=max(0, taken_us - entry.enqueued_us),
        batch_us=max(0, began_us - taken_us),
    )


def _tensors(run: Run, rows: list[Located]) -> list[Tensor]:
    if len(rows) == len(run.slices):
        return [to_block(name, [array]) for name, array in run.outputs.items()]
    return [
        to_block(name, [array[start : start + piece.entry.rows] for piece, start in rows])
        for name, array in run.outputs.items()
    ]
