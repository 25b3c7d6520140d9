"""What the gateway counts, for Prometheus; every label comes from a fixed or bounded set.

prometheus_client's multi-process mode is used when PROMETHEUS_MULTIPROC_DIR is set before this
file is imported (the composition root does it), so that any gateway's /metrics shows them all.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    values,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

SECONDS_BUCKETS = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
ROWS_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
MODEL_LABELS_MAX = 256
OTHER = "other"


class GatewayMetrics:
    """The gateway's series; made once per process."""

    def __init__(self, multiprocess_dir: str | None) -> None:
        self._multiprocess_dir = multiprocess_dir
        if multiprocess_dir is not None:
            # By default each increment asks the system for the process id, in case of a fork; a
            # gateway never forks, and the calls cost 7 % of a request.
            pid = os.getpid()
            values.ValueClass = values.MultiProcessValue(lambda: pid)  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._models: set[str] = set()
        self.requests = self._counter(
            "requests", "Inference requests by outcome", ("model", "outcome")
        )
        self.refused = self._counter("refused", "Requests refused at the door", ("reason",))
        self.expired = self._counter("expired", "Admitted requests that met their deadline", ())
        self.abandoned = self._counter("abandoned", "Requests whose caller has gone", ())
        self.strays = self._counter("stray_results", "Results that nobody waited for", ())
        self.steps = self._counter(
            "steps", "Places for values in padded rows: rows times the length of their bucket",
            ("model",),
        )  # fmt: skip
        self.padding_steps = self._counter(
            "padding_steps", "How many of batchbridge_steps hold padding", ("model",)
        )
        self.frames = self._counter("frames", "Request frames sent", ())
        self.bad_replies = self._counter("bad_replies", "Replies that could not be decoded", ())
        self.reclaimed = self._counter("reclaimed", "Frames taken over from other workers", ())
        self.dead_letters = self._counter("dead_letters", "Frames given up on by workers", ())
        self.in_flight = Gauge(
            "batchbridge_in_flight", "Requests admitted and not yet answered",
            registry=self.registry, multiprocess_mode="livesum",
        )  # fmt: skip
        self.queue_up = Gauge(
            "batchbridge_queue_up", "Whether the queue can be used",
            registry=self.registry, multiprocess_mode="livemin",
        )  # fmt: skip
        self.workers = Gauge(
            "batchbridge_workers", "Workers alive, as the gateways see it",
            registry=self.registry, multiprocess_mode="livemax",
        )  # fmt: skip
        self.overhead = Gauge(
            "batchbridge_overhead_seconds", "A request's way without waiting and run, p95",
            registry=self.registry, multiprocess_mode="livemax",
        )  # fmt: skip
        self.forecast_error = Gauge(
            "batchbridge_forecast_error_seconds",
            "Actual against expected time of the answer, p95 of the last ones", ("model",),
            registry=self.registry, multiprocess_mode="livemax",
        )  # fmt: skip
        self.keeps_target = Gauge(
            "batchbridge_keeps_latency_target", "Whether any batch size keeps the latency target",
            ("model",), registry=self.registry, multiprocess_mode="livemin",
        )  # fmt: skip
        self.jobs = Gauge(
            "batchbridge_jobs", "Jobs in the store, by state", ("state",),
            registry=self.registry, multiprocess_mode="livemostrecent",
        )  # fmt: skip
        self.job_bytes = Gauge(
            "batchbridge_job_bytes", "Bytes that jobs occupy in the store",
            registry=self.registry, multiprocess_mode="livemostrecent",
        )  # fmt: skip
        self.worker_busy = self._counter("worker_busy_seconds", "Time of workers in runs", ())
        self.worker_gap = self._counter(
            "worker_gap_seconds", "Time of workers between runs with work in hand", ()
        )
        self.latency = self._histogram(
            "request_seconds", "From admission to answer", SECONDS_BUCKETS, ("model",)
        )
        self.queue_delay = self._histogram(
            "queue_delay_seconds", "From admission to the start of the run", SECONDS_BUCKETS,
            ("model",),
        )  # fmt: skip
        self.batch_rows = self._histogram("batch_rows", "Rows in a run", ROWS_BUCKETS, ("model",))
        self.run_time = self._histogram(
            "run_seconds", "Time of a run, with pre- and postprocessing", SECONDS_BUCKETS,
            ("model",),
        )  # fmt: skip

    def model_label(self, model: str) -> str:
        """Return the model's name as a label; past `MODEL_LABELS_MAX` names, "other"."""
        if model in self._models:
            return model
        if len(self._models) < MODEL_LABELS_MAX:
            self._models.add(model)
            return model
        return OTHER

    def exposition(self, refresh: Callable[[GatewayMetrics], None]) -> bytes:
        """Return all series in Prometheus's text format; `refresh` sets the gauges first."""
        refresh(self)
        if self._multiprocess_dir is None:
            return generate_latest(self.registry)
        _forget_dead_processes(Path(self._multiprocess_dir))
        combined = CollectorRegistry()
        MultiProcessCollector(combined, path=self._multiprocess_dir)  # type: ignore[no-untyped-call]
        return generate_latest(combined)

    def _counter(self, name: str, text: str, labels: tuple[str, ...]) -> Counter:
        return Counter(f"batchbridge_{name}", text, labels, registry=self.registry)

    def _histogram(
        self, name: str, text: str, buckets: tuple[float, ...], labels: tuple[str, ...]
    ) -> Histogram:
        return Histogram(
            f"batchbridge_{name}", text, labels, buckets=buckets, registry=self.registry
        )


def _forget_dead_processes(folder: Path) -> None:
    """Drop the gauges of gateways that have gone; their counters stay."""
    for pid in {int(path.stem.rpartition("_")[2]) for path in folder.glob("gauge_live*_*.db")}:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
