"""A worker process: models loaded, five threads, drained on SIGTERM."""

from __future__ import annotations

import secrets
import signal
import threading
from collections.abc import Callable
from queue import SimpleQueue

import structlog

from bridge.wire.clock import ServerClock
from workers.answers import Answers
from workers.beat import Beat
from workers.cancellations import Cancellations
from workers.connection import Connector
from workers.frame_taker import FrameTaker
from workers.gateway_loads import GatewayLoads
from workers.hand import Hand
from workers.leases import Leases
from workers.loading import load_models
from workers.reader import Reader
from workers.runner import Runner, ServedVersion, served_versions
from workers.settings import WorkerSettings
from workers.tally import Tally
from workers.writer import Writer

log = structlog.get_logger(__name__)

WORKER_ID_BYTES = 6
WRITE_S_MAX = 5.0


class WorkerFailedError(Exception):
    """One of the worker's loops ended with an error; the process cannot go on."""


class Stop:
    """The wish to end, which signal handlers and threads may state any number of times.

    Not a `threading.Event`: a second signal that arrives while the first one wakes the waiting
    thread would wait for a lock which that very thread holds. `SimpleQueue.put` is reentrant.
    """

    def __init__(self) -> None:
        self._wishes: SimpleQueue[None] = SimpleQueue()

    def set(self) -> None:
        """State the wish."""
        self._wishes.put(None)

    def wait(self) -> None:
        """Return when it has been stated; for one waiter."""
        self._wishes.get()


class Worker:
    """The loops of one worker and what they share."""

    def __init__(
        self,
        settings: WorkerSettings,
        versions: dict[str, ServedVersion],
        stop: Stop,
        on_ready: Callable[[], None],
    ) -> None:
        self.name = secrets.token_hex(WORKER_ID_BYTES)
        self._stop = stop
        self._errors: list[BaseException] = []
        clock = ServerClock()
        tally = Tally()
        url = settings.redis_url
        loads = GatewayLoads()
        paces = {key: version.pace for key, version in versions.items()}
        self._hand = Hand(paces, settings.lease_s, settings.lane_shares)
        self._writer = Writer(Connector(url, "writer"))
        inputs = {key: version.model.contract.run_inputs for key, version in versions.items()}
        taker = FrameTaker(inputs, self._writer, tally, clock)
        self._reader = Reader(
            self.name, Connector(url, "reader"), self._hand, taker, self._writer, loads
        )
        answers = Answers(self.name, self._hand, self._writer, loads)
        self._runner = Runner(versions, self._hand, self._reader, answers, tally, clock)
        self._beat = Beat(
            self.name,
            Connector(url, "beat"),
            versions,
            Leases(self.name, self._hand, taker, tally, settings.lease_s),
            self._runner,
            clock,
            settings.run_s_max,
            on_ready,
        )
        self._cancellations = Cancellations(Connector(url, "cancellations"), self._hand)

    def run(self) -> None:
        """Work until told to stop, then drain: nothing new, everything in hand answered.

        Raises:
            WorkerFailedError: a loop ended with an error.
        """
        beat = self._start("beat", self._beat.run)
        cancellations = self._start("cancellations", self._cancellations.run)
        reader = self._start("reader", self._reader.run)
        runner = self._start("runner", self._runner.run)
        writer = self._start("writer", self._writer.run)
        self._stop.wait()
        log.info("draining", worker=self.name)
        self._beat.leave()
        self._reader.leave()
        reader.join()
        self._hand.close()
        runner.join()
        self._writer.close()
        writer.join(WRITE_S_MAX)
        self._writer.give_up()
        self._cancellations.stop()
        self._beat.stop()
        for thread in (writer, cancellations, beat):
            thread.join()
        if self._errors:
            raise WorkerFailedError(repr(self._errors[0])) from self._errors[0]

    def _start(self, name: str, loop: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=self._guarded, args=(name, loop), name=name, daemon=True)
        thread.start()
        return thread

    def _guarded(self, name: str, loop: Callable[[], None]) -> None:
        try:
            loop()
        except BaseException as error:
            log.exception("loop_failed", loop=name)
            self._errors.append(error)
            self._hand.close()
            self._stop.set()


def run_worker(settings: WorkerSettings, on_ready: Callable[[], None]) -> None:
    """Load the models and serve them until SIGTERM or SIGINT; drain and return.

    `on_ready` is called once, when the gateways can learn of the models.

    Raises:
        LoadError: the repository cannot be served.
        WorkerFailedError: a loop ended with an error.
    """
    stop = Stop()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    loaded = load_models(settings.models, settings.threads, jobs_only=settings.jobs_only)
    versions = served_versions(loaded)
    worker = Worker(settings, versions, stop, on_ready)
    log.info("loaded", worker=worker.name, models=list(versions))
    worker.run()
    log.info("stopped", worker=worker.name)
