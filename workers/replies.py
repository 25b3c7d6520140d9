"""Runs to result frames: one per gateway and run, each request's rows in the frame's order."""

from __future__ import annotations

from collections.abc import Iterable

from bridge.wire.block import to_block
from bridge.wire.frame import (
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


def result_frames(
    worker: str, model_key: str, run: Run, report: BatchReport, service: ServiceReport, now_us: int
) -> list[tuple[str, bytes]]:
    """Return (gateway id, frame) for each gateway that has requests in the run.

    `now_us` is when the run began, on the queue's clock. Only the first frame counts the run.
    """
    frames = []
    for index, (gateway, rows) in enumerate(_by_gateway(run.slices).items()):
        pieces = [piece for piece, _ in rows]
        frame = ResultFrame(
            worker=worker,
            model_key=model_key,
            results=[_entry(piece, run.status, now_us) for piece in pieces],
            tensors=_tensors(run, rows),
            batch=BatchReport(report.rows, report.run_us, report.counted_here and index == 0),
            service=service,
        )
        frames.append((gateway, encode_frame(frame)))
    return frames


def _by_gateway(slices: Iterable[Slice]) -> dict[str, list[tuple[Slice, int]]]:
    """Slices by gateway, each with its first row within the run."""
    groups: dict[str, list[tuple[Slice, int]]] = {}
    start = 0
    for piece in slices:
        groups.setdefault(piece.taken.frame.gateway, []).append((piece, start))
        start += piece.entry.rows
    return groups


def _entry(piece: Slice, status: ResultStatus, now_us: int) -> ResultEntry:
    entry, taken_us = piece.entry, piece.taken.taken_us
    return ResultEntry(
        request_id=entry.request_id,
        part=entry.part,
        status=status,
        rows=entry.rows,
        queue_us=max(0, taken_us - entry.enqueued_us),
        batch_us=max(0, now_us - taken_us),
    )


def _tensors(run: Run, rows: list[tuple[Slice, int]]) -> list[Tensor]:
    if run.status is not ResultStatus.OK:
        return []
    if len(rows) == len(run.slices):
        return [to_block(name, [array]) for name, array in run.outputs.items()]
    return [
        to_block(name, [array[start : start + piece.entry.rows] for piece, start in rows])
        for name, array in run.outputs.items()
    ]
