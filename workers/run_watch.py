"""How long the runner's time goes into runs, and how long into gaps while there was work."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from bridge.wire.clock import MICROSECONDS
from workers.isolation import Runnable

Array = np.ndarray[Any, np.dtype[Any]]


class RunWatch:
    """Sums, in seconds, since the last `take_us`; for the runner's thread.

    `busy_s`: in runs. `gap_s`: between the end of a run and the start of the next, where the
    next batch's requests were in hand already.
    """

    def __init__(self) -> None:
        self.busy_s = 0.0
        self.gap_s = 0.0
        self._ended_s: float | None = None

    def rest(self) -> None:
        """Note that there was nothing to run: the time until the next run is no gap."""
        self._ended_s = None

    def begin(self, now_s: float) -> None:
        """Note that a run begins."""
        if self._ended_s is not None:
            self.gap_s += now_s - self._ended_s
        self._ended_s = now_s

    def end(self, now_s: float) -> None:
        """Note that the run has ended."""
        if self._ended_s is not None:
            self.busy_s += now_s - self._ended_s
        self._ended_s = now_s

    def take_us(self) -> tuple[int, int]:
        """Return `busy_s` and `gap_s` in whole microseconds, and begin again at 0."""
        taken = (int(self.busy_s * MICROSECONDS), int(self.gap_s * MICROSECONDS))
        self.busy_s = self.gap_s = 0.0
        return taken


class Watched:
    """A model whose runs a watch measures."""

    def __init__(self, model: Runnable, watch: RunWatch) -> None:
        self._model = model
        self._watch = watch

    @property
    def needs_own_arrays(self) -> bool:
        """As the model says."""
        return self._model.needs_own_arrays

    def run(self, inputs: Mapping[str, Array], rows: int) -> dict[str, Array]:
        """Run the model; raises what it raises."""
        self._watch.begin(time.monotonic())
        try:
            return self._model.run(inputs, rows)
        finally:
            self._watch.end(time.monotonic())
