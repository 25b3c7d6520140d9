"""What a gateway hears from the workers: results of its requests, and heartbeats."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from bridge.gateway.catalog import Catalog
from bridge.gateway.flight import FlightTable
from bridge.gateway.tally import RequestTally
from bridge.scheduling.admission import Admission
from bridge.scheduling.overhead import Overhead
from bridge.wire.clock import ServerClock
from bridge.wire.frame import Heartbeat, ResultFrame, ServedModel, WireError, decode_reply

log = structlog.get_logger(__name__)


class WorkerNews:
    """Takes in what workers send, and tells everyone in the gateway whom it concerns."""

    def __init__(
        self,
        catalog: Catalog,
        flights: FlightTable,
        admission: Admission,
        overhead: Overhead,
        clock: ServerClock,
        tally: RequestTally,
        want_contract: Callable[[ServedModel], None],
    ) -> None:
        """`want_contract` asks for the contract of a model version that is not known."""
        self._catalog = catalog
        self._flights = flights
        self._admission = admission
        self._overhead = overhead
        self._clock = clock
        self._tally = tally
        self._metrics = tally.metrics
        self._want_contract = want_contract

    def take(self, data: bytes) -> None:
        """Take in a result frame or heartbeat; bytes that are neither are counted and dropped."""
        try:
            reply = decode_reply(data)
        except WireError as error:
            self._metrics.bad_replies.inc()
            log.warning("bad_reply", reason=str(error)[:200])
            return
        if isinstance(reply, Heartbeat):
            self._on_heartbeat(reply)
        else:
            self._on_result(reply)

    def _on_heartbeat(self, heartbeat: Heartbeat) -> None:
        now_s = time.monotonic()
        for model in self._catalog.observe(heartbeat, now_s):
            self._want_contract(model)
        self._catalog.forget_stale(now_s)
        self._metrics.reclaimed.inc(heartbeat.reclaimed)
        self._metrics.dead_letters.inc(heartbeat.dead_lettered)
        self._metrics.worker_busy.inc(heartbeat.busy_us / 1e6)
        self._metrics.worker_gap.inc(heartbeat.gap_us / 1e6)
        if heartbeat.leaving:
            log.info("worker_left", worker=heartbeat.worker)

    def _on_result(self, frame: ResultFrame) -> None:
        now_s = time.monotonic()
        self._catalog.observe_result(frame.worker, frame.model_key, frame.service, now_s)
        flights = self._flights
        landing = flights.land(frame) if self._catalog.fits(frame) else flights.refuse(frame)
        self._forecast(frame, now_s)
        if landing.strays:
            self._metrics.strays.inc(landing.strays)
        if frame.batch.counted_here:
            model = frame.model_key.rpartition("@")[0]
            self._tally.ran(model, frame.batch.rows, frame.batch.run_us / 1e6)

    def _forecast(self, frame: ResultFrame, now_s: float) -> None:
        """Tell the forecast what the frame says of its worker's runs."""
        forecast = self._admission.forecast(frame.model_key)
        if forecast is None or not frame.batch.ended_us:
            return
        ended_s = self._clock.monotonic_s(frame.batch.ended_us)
        self._overhead.observe_return(now_s, now_s - ended_s)
        forecast.observe_run(frame.worker, min(ended_s, now_s), frame.batch.waiting_rows)
        forecast.observe_others(now_s, frame.others_rows)
        self._admission.end_frame(frame.model_key)
