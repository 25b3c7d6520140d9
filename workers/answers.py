"""From the runner to the writer: what became of requests, made into frames on the way."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from bridge.wire.frame import BatchReport, ServiceReport
from workers.gateway_loads import GatewayLoads
from workers.hand import Hand, Slice
from workers.isolation import Run
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
        self.writer.put(lambda: Finished([], self._acknowledged(slices)))

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
        return Finished(frames, self._acknowledged(run.slices), afterwards=afterwards)

    def _acknowledged(self, slices: list[Slice]) -> list[tuple[str, bytes]]:
        return [(stream_key(taken.stream), taken.entry_id) for taken in self.hand.finish(slices)]
