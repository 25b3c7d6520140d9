"""From the runner to the writer: what became of requests, made into frames on the way."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from bridge.wire.chunk import is_chunk
from bridge.wire.frame import BatchReport, ServiceReport
from workers.gateway_loads import GatewayLoads
from workers.hand import Hand, Slice, TakenFrame
from workers.isolation import Run
from workers.open_chunks import OpenChunks
from workers.replies import result_frames
from workers.stream import stream_key
from workers.writer import Finished, Writer


@dataclass(frozen=True, slots=True)
class Answers:
    """Where the runner's results go: the writer's thread makes frames of them.

    Not the runner's, or the session would stand idle meanwhile: with 64 to 100 single rows a run
    the gaps took 3 to 5 % of the time (measured 2026-11-23).
    """

    worker: str
    hand: Hand
    writer: Writer
    loads: GatewayLoads
    open_chunks: OpenChunks = field(default_factory=OpenChunks)

    def give(
        self,
        model_key: str,
        run: Run,
        report: BatchReport,
        service: ServiceReport,
        afterwards: Callable[[], None] | None = None,
    ) -> None:
        """Hand over what became of some requests; do `afterwards` when it has been sent."""
        self.writer.put(partial(self._finished, model_key, run, report, service, afterwards))

    def drop(self, slices: list[Slice]) -> None:
        """Acknowledge requests that nobody waits for."""
        self.writer.put(partial(self._dropped, slices))

    def _dropped(self, slices: list[Slice]) -> Finished:
        done = self.hand.finish(slices)
        for taken in done:
            self.open_chunks.forget(taken)
        return Finished([], _acknowledged(done))

    def _finished(
        self,
        model_key: str,
        run: Run,
        report: BatchReport,
        service: ServiceReport,
        afterwards: Callable[[], None] | None,
    ) -> Finished:
        gateways = {piece.taken.frame.gateway for piece in run.slices}
        others_rows = self.loads.others(model_key, gateways, time.monotonic())
        frames = result_frames(self.worker, model_key, run, report, service, others_rows)
        if any(map(is_chunk, gateways)):
            self.open_chunks.take_in(run)
        done = self.hand.finish(run.slices)
        requests = [taken for taken in done if not is_chunk(taken.frame.gateway)]
        return Finished(
            frames,
            _acknowledged(requests),
            chunks=self.open_chunks.finished(self.worker, done, service.batch_rows),
            afterwards=afterwards,
        )


def _acknowledged(done: list[TakenFrame]) -> list[tuple[str, bytes]]:
    return [(stream_key(taken.stream), taken.entry_id) for taken in done]
