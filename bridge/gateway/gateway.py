"""The gateway without HTTP: door, admission, framer, flights and the link, held together.

A request's way: find the version, admit its rows (a permit), launch a flight, frame it; the
link's writer sends the frame, the reader brings the result, the flight lands.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import structlog

from bridge.contract.model import ModelContract
from bridge.gateway.batch_frames import BatchFrames
from bridge.gateway.catalog import Catalog, ModelVersion
from bridge.gateway.dialects.call import Array, InputLimits
from bridge.gateway.dialects.metadata import Measured
from bridge.gateway.entrance import Admitted, Entrance, ends_s
from bridge.gateway.flight import FlightTable
from bridge.gateway.framer import Framer, PackedFrame
from bridge.gateway.launch import Caller, Destination, Flight, Landed, Launch, Outcome
from bridge.gateway.metrics import GatewayMetrics
from bridge.gateway.problem import (
    Problem,
    ProblemCode,
    queue_unavailable,
)
from bridge.gateway.queue_link import Outbox, QueueLink
from bridge.gateway.tally import RequestTally
from bridge.gateway.worker_news import WorkerNews
from bridge.scheduling.admission import Admission, Permit
from bridge.scheduling.overhead import Overhead
from bridge.wire.clock import ServerClock

log = structlog.get_logger(__name__)

GATEWAY_ID_BYTES = 8


class Gateway:
    """One gateway process's state; everything runs on its event loop."""

    def __init__(self, redis_url: str, limits: InputLimits, metrics: GatewayMetrics) -> None:
        loop = asyncio.get_running_loop()
        # Not the loop's time: that stands still during a turn, and uvloop's counts milliseconds.
        self._now_s: Callable[[], float] = time.monotonic
        self.gateway_id = secrets.token_hex(GATEWAY_ID_BYTES)
        self.metrics = metrics
        self.tally = RequestTally(metrics)
        self.catalog = Catalog(limits)
        self.flights = FlightTable(loop)
        self.is_draining = False
        self._ready = asyncio.Event()
        self._units_loaded: asyncio.Future[None] | None = None
        self._overhead = Overhead()
        self.admission = Admission(self._overhead)
        clock = ServerClock()
        self._framer = Framer(
            self.gateway_id,
            self.catalog.frame_rows,
            clock.server_us,
            self.admission.own_rows,
            lambda: self._overhead.worst_s,
        )
        self._batch_frames = BatchFrames(self.flights.waits_for)
        outbox = Outbox(
            self._take_frames, self.flights.take_abandoned, self._batch_frames.take_unwanted
        )
        self.link = link = QueueLink(redis_url, self.gateway_id, self, outbox, clock)
        self.entrance = Entrance(self.catalog, self.admission, lambda: link.is_up, self._now_s)
        self._news = WorkerNews(
            self.catalog,
            self.flights,
            self.admission,
            self._overhead,
            clock,
            self.tally,
            link.want_contract,
        )

    @property
    def is_ready(self) -> bool:
        """Whether requests sent now would be answered: queue up, a worker alive, not draining."""
        return (
            self.link.is_up
            and not self.is_draining
            and self.catalog.workers_alive(self._now_s()) > 0
        )

    async def wait_ready(self) -> None:
        """Return when the queue is connected and a worker's contracts have arrived."""
        await self._ready.wait()

    async def load_units(self) -> float:
        """Return when conversions between units wait for nothing, and how many seconds that took.

        The first time it is about a second of CPU, in a thread beside the event loop. That is no
        fault of the request that needs it, and is not to count against its deadline.
        """
        if self.catalog.units.is_loaded:
            return 0.0
        began_s = self._now_s()
        # One that is done and has not loaded them failed: the next request tries again.
        if self._units_loaded is None or self._units_loaded.done():
            self._units_loaded = asyncio.ensure_future(asyncio.to_thread(self.catalog.units.load))
        # Shielded: others wait for it, too.
        await asyncio.shield(self._units_loaded)
        return self._now_s() - began_s

    def find(self, model: str, version: str | None) -> ModelVersion:
        """Return a model version; see `Catalog.find`."""
        return self.catalog.find(model, version)

    def serves(self, version: ModelVersion) -> bool:
        """Return whether a live worker serves the version."""
        return self.catalog.capacity(version.contract.key, self._now_s()) is not None

    def measured(self, version: ModelVersion) -> Measured | None:
        """Return what the version's workers have measured, None if nothing serves it."""
        key = version.contract.key
        capacity = self.catalog.capacity(key, self._now_s())
        return None if capacity is None else Measured(capacity, self.catalog.keeps_target(key))

    def launch(self, admitted: Admitted, settle: Callable[[Outcome], None]) -> Flight:
        """Send an admitted call on its way; `settle` is called once, on the event loop."""
        launch = Launch(
            admitted.version.contract.key,
            admitted.call.tensors,
            admitted.permit,
            self._now_s(),
            admitted.deadline_s,
        )
        if (padded := admitted.call.padded) is not None:
            model = admitted.version.contract.name
            self.tally.padded(model, admitted.call.rows, padded.length, padded.bucket)
        return self._launch(launch, (admitted.call.rows,), (_Listener(settle),))[0]

    def launch_together(
        self,
        version: ModelVersion,
        tensors: Mapping[str, Array],
        permit: Permit,
        timeout_s: float | None,
        received_s: float,
        destination: Destination,
        sizes: Sequence[int],
        callers: Sequence[Caller],
    ) -> list[Flight]:
        """Send requests that were let in together on their way.

        `tensors` hold the rows of all of them, `sizes` how many are each one's. Their answers go
        to `destination`, their problems to their callers, on the event loop.
        """
        launch = Launch(
            version.contract.key,
            tensors,
            permit,
            received_s,
            ends_s(version, timeout_s, received_s),
            destination,
        )
        return self._launch(launch, sizes, callers)

    def _launch(
        self, launch: Launch, sizes: Sequence[int], callers: Sequence[Caller]
    ) -> list[Flight]:
        self.flights.enter(launch, sizes, callers)
        self._framer.put(launch)
        self.link.wake()
        return launch.flights

    def abandon(self, flight: Flight) -> None:
        """Note that a flight's caller has gone; it is not run if it has not started."""
        if self.flights.waits_for(flight):
            self.flights.abandon(flight)
            self.metrics.abandoned.inc()
            self.link.wake()

    async def answer(self, admitted: Admitted) -> Landed:
        """Launch a call and wait for its outcome; abandon it when the awaiting task is cancelled.

        Raises:
            Problem: the call was admitted but not answered.
        """
        arrived: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        flight = self.launch(admitted, partial(_settle, arrived))
        try:
            outcome = await arrived
        except asyncio.CancelledError:
            self.abandon(flight)
            raise
        self.count(flight, admitted.version.contract.name, outcome)
        if isinstance(outcome, Problem):
            raise outcome
        return outcome

    def on_reply(self, data: bytes) -> None:
        """Take in a result frame or heartbeat; bytes that are neither are counted and dropped."""
        self._news.take(data)

    def on_contract(self, contract: ModelContract, digest: str) -> None:
        """Learn a model version."""
        self.catalog.learn(contract, digest, self._now_s())
        log.info("model_learned", model=contract.key)
        self._ready.set()

    def on_frame_lost(self, frame: PackedFrame) -> None:
        """Answer 503 to the requests of a frame that was not, or may not have been, queued."""
        for flight in frame.flights:
            self.flights.fail(flight, queue_unavailable())

    def on_frame_queued(self, frame: PackedFrame, entry_id: bytes) -> None:
        """Note where a frame is."""
        self._batch_frames.queued(frame, entry_id)

    def on_queue_lost(self) -> None:
        """Answer 503 to everything in flight: its queue is gone."""
        lost = self.flights.fail_all(queue_unavailable)
        if lost:
            log.warning("flights_lost", count=lost)
        self.catalog.forget_workers()
        self.admission.forget_runs()
        self.set_gauges(self.metrics)

    def on_gateways(self, count: int) -> None:
        """Share the capacity with so many gateways."""
        self.catalog.set_gateways(count)
        self._overhead.refresh(self._now_s())
        # The gateway's own beat: models are forgotten although no worker is left to beat.
        self.catalog.forget_stale(self._now_s())
        # Another gateway of this machine may be asked for the gauges of both.
        self.set_gauges(self.metrics)

    def set_gauges(self, metrics: GatewayMetrics) -> None:
        """Bring the series up to date before they are shown."""
        self.tally.flush()
        metrics.in_flight.set(len(self.flights))
        metrics.queue_up.set(float(self.link.is_up))
        metrics.workers.set(self.catalog.workers_alive(self._now_s()))
        metrics.overhead.set(self._overhead.worst_s)
        for version in self.catalog.all_versions():
            key = version.contract.key
            label = metrics.model_label(version.contract.name)
            metrics.forecast_error.labels(label).set(self.admission.error_s(key))
            metrics.keeps_target.labels(label).set(float(self.catalog.keeps_target(key)))

    def _take_frames(self) -> list[PackedFrame]:
        oldest_s = self._framer.oldest_s()
        if oldest_s is not None:
            now_s = self._now_s()
            self._overhead.observe_lag(now_s, now_s - oldest_s)
        frames = self._framer.drain(self.flights.waits_for)
        self.tally.sent(len(frames))
        return frames

    def count(self, flight: Flight, model: str, outcome: Outcome) -> None:
        """Count the outcome of an admitted request."""
        launch = flight.launch
        if not isinstance(outcome, Problem):
            timings = outcome.timings
            self.count_answers(launch, model, [timings.queue_s + timings.batch_s])
            return
        self.tally.failed(model, outcome.code.value)
        if outcome.code is ProblemCode.EXPIRED:
            self.metrics.expired.inc()
            if isinstance(launch.permit, Permit):
                self.admission.observe_answers(launch.model_key, launch.permit, self._now_s())

    def count_answers(self, launch: Launch, model: str, queue_delays_s: list[float]) -> None:
        """Count requests of a launch that are answered now, after so many seconds before a run."""
        now_s = self._now_s()
        requests = len(queue_delays_s)
        if not isinstance(launch.permit, Permit):
            # Of the batch lane: nobody was promised a time.
            self.tally.scored(model, requests)
            return
        self.admission.observe_answers(launch.model_key, launch.permit, now_s, requests)
        self.tally.answered(model, now_s - launch.launched_s, queue_delays_s)


class _Listener:
    """A caller that is a function."""

    __slots__ = ("settle",)

    def __init__(self, settle: Callable[[Outcome], None]) -> None:
        self.settle = settle


def _settle(arrived: asyncio.Future[Outcome], outcome: Outcome) -> None:
    # The awaiting task may have been cancelled in the same turn of the loop.
    if not arrived.done():
        arrived.set_result(outcome)
