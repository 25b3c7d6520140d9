"""The beat: tells the gateways that this worker lives, keeps its leases, takes over from the dead.

Twice a second and more, in two round trips: the queue's time, contracts, renewals and the frames
that somebody has left lying; then a heartbeat to every gateway and the claims on these frames.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from redis import Redis
from redis.exceptions import RedisError

from bridge.contract.model import contract_digest, encode_contract
from bridge.scheduling.lanes import ModelLane
from bridge.wire import keys
from bridge.wire.clock import MICROSECONDS, ServerClock
from bridge.wire.frame import Heartbeat, ServedModel, encode_frame
from workers.connection import Connector
from workers.leases import Leases
from workers.reader import make_groups
from workers.runner import Runner, ServedVersion
from workers.stream import streams_of
from workers.tally import NOTHING_COUNTED, Counts

log = structlog.get_logger(__name__)

BEAT_S = 0.3
CONTRACT_TTL_S = 60
CONTRACTS_EVERY_S = 10.0
GATEWAY_SILENT_S_MAX = 3.0
RESULTS_TTL_MS = 60_000
EXIT_HUNG = 70


class Beat:
    """One thread; its first successful beat makes the worker known."""

    def __init__(
        self,
        worker: str,
        connector: Connector,
        versions: Mapping[str, ServedVersion],
        leases: Leases,
        runner: Runner,
        clock: ServerClock,
        run_s_max: float,
        on_first: Callable[[], None],
    ) -> None:
        self._worker = worker
        self._connector = connector
        self._versions = versions
        self._leases = leases
        self._runner = runner
        self._clock = clock
        self._run_s_max = run_s_max
        self._on_first = on_first
        self._contracts = {
            key: encode_contract(version.model.contract) for key, version in versions.items()
        }
        self._digests = {key: contract_digest(data) for key, data in self._contracts.items()}
        self._streams = streams_of(versions)
        self._published_s = -CONTRACTS_EVERY_S
        self._leaving = False
        self._is_first = True
        self._stop = threading.Event()
        self._now = threading.Event()

    def leave(self) -> None:
        """From now on tell the gateways that this worker takes nothing more; beat at once."""
        self._leaving = True
        self._now.set()

    def stop(self) -> None:
        """Let `run` return."""
        self._stop.set()
        self._now.set()
        self._connector.wake()

    def run(self) -> None:
        """Beat until stopped."""
        while not self._stop.is_set():
            client = self._connector.connected(self._stop)
            if client is None:
                return
            try:
                self._beat(client)
            except (RedisError, OSError) as error:
                self._published_s = -CONTRACTS_EVERY_S
                self._connector.lost(client, error)
            self._end_if_hung()
            self._now.wait(BEAT_S)
            self._now.clear()

    def _beat(self, client: Redis) -> None:
        now_s = time.monotonic()
        if now_s - self._published_s >= CONTRACTS_EVERY_S:
            self._publish(client)
            self._published_s = now_s
        gateways, abandoned = self._look(client)
        pipeline = client.pipeline(transaction=False)
        counts = self._leases.tally.take() if gateways else NOTHING_COUNTED
        for index, gateway in enumerate(gateways):
            key = keys.results_key(gateway.decode())
            heartbeat = self._heartbeat(NOTHING_COUNTED if index else counts)
            pipeline.rpush(key, encode_frame(heartbeat))
            pipeline.pexpire(key, RESULTS_TTL_MS)
        if len(pipeline):
            pipeline.execute(raise_on_error=False)
        if not self._leaving:
            for stream, entries in abandoned.items():
                self._leases.reclaim(client, stream, entries)
        if self._is_first:
            self._is_first = False
            self._on_first()

    def _publish(self, client: Redis) -> None:
        make_groups(client, self._contracts)
        for key, data in self._contracts.items():
            client.set(keys.contract_key(key), data, ex=CONTRACT_TTL_S)
        for stream in self._streams:
            self._leases.forget_consumers(client, stream)

    def _look(self, client: Redis) -> tuple[list[bytes], dict[ModelLane, list[Any]]]:
        """Return the live gateways, and by stream the entries that nobody renews."""
        pipeline = client.pipeline(transaction=False)
        pipeline.time()
        oldest_s = self._clock.server_us(time.monotonic()) / MICROSECONDS - GATEWAY_SILENT_S_MAX
        pipeline.zrangebyscore(keys.GATEWAYS_KEY, oldest_s, "+inf")
        for stream in self._streams:
            self._leases.add_search(pipeline, stream)
        pipeline.exists(*(keys.contract_key(key) for key in self._versions))
        self._leases.add_renewals(pipeline)
        sent_s = time.monotonic()
        time_reply, gateways, *rest = pipeline.execute(raise_on_error=False)
        for reply in (time_reply, gateways):
            if isinstance(reply, Exception):
                raise reply
        seconds, microseconds = time_reply
        server_us = int(seconds) * MICROSECONDS + int(microseconds)
        self._clock.observe(sent_s, time.monotonic(), server_us)
        if rest[len(self._streams)] != len(self._versions):
            # The queue has lost them (it came back empty): gateways that start now need them.
            self._published_s = -CONTRACTS_EVERY_S
            self._now.set()
        pending = zip(self._streams, rest, strict=False)
        return gateways, {
            stream: found for stream, found in pending if isinstance(found, list) and found
        }

    def _heartbeat(self, counts: Counts) -> Heartbeat:
        return Heartbeat(
            worker=self._worker,
            leaving=self._leaving,
            progress=self._runner.progress,
            stalled_s=self._runner.stalled_s(),
            reclaimed=counts.reclaimed,
            dead_lettered=counts.dead_lettered,
            busy_us=counts.busy_us,
            gap_us=counts.gap_us,
            models=[
                ServedModel(key, self._digests[key], version.report)
                for key, version in self._versions.items()
            ],
        )

    def _end_if_hung(self) -> None:
        stalled_s = self._runner.stalled_s()
        if stalled_s > self._run_s_max:
            log.error("run_hung", stalled_s=round(stalled_s, 1))
            # Nothing in Python can end a thread inside ONNX Runtime; the supervisor, or the
            # orchestrator, starts a new process, and the lease brings the work to it.
            os._exit(EXIT_HUNG)
