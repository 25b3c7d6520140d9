"""The ceiling: `session.run` in a loop, with nothing around it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

RUNS_MIN = 5


@dataclass(frozen=True, slots=True)
class BareLoop:
    """One graph on one thread, run on random rows of its only input."""

    session: ort.InferenceSession
    input_name: str
    width: int

    def run_times_s(self, rows: int, seconds: float) -> list[float]:
        """Return how long each run of `rows` rows took, over `seconds`, at least five runs."""
        batch: Any = np.random.default_rng(0).random((rows, self.width), dtype=np.float32)
        self.session.run(None, {self.input_name: batch})
        times_s: list[float] = []
        ends_s = time.perf_counter() + seconds
        while len(times_s) < RUNS_MIN or time.perf_counter() < ends_s:
            started_s = time.perf_counter()
            self.session.run(None, {self.input_name: batch})
            times_s.append(time.perf_counter() - started_s)
        return times_s

    def rows_per_s(self, rows: int, seconds: float) -> float:
        """Return the throughput with batches of `rows` rows, measured for `seconds`."""
        batch: Any = np.random.default_rng(0).random((rows, self.width), dtype=np.float32)
        self.session.run(None, {self.input_name: batch})
        done, started_s = 0, time.perf_counter()
        while (elapsed_s := time.perf_counter() - started_s) < seconds:
            self.session.run(None, {self.input_name: batch})
            done += rows
        return done / elapsed_s


def open_bare_loop(model: Path) -> BareLoop:
    """Load a graph with one input of shape (rows, width), on one thread, without spinning."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    node = session.get_inputs()[0]
    return BareLoop(session, node.name, int(node.shape[1]))
