"""The simulated streams: frames that no worker has taken yet, and the workers that wait."""

from __future__ import annotations

import math
from collections import deque

from bridge.scheduling.ask import Priority
from bridge.scheduling.lanes import LANES, ModelLane
from bridge.scheduling.simulated_gateway import US, Call, Frame
from bridge.scheduling.simulated_setup import Setup
from bridge.scheduling.simulated_worker import SimulatedWorker


class Queue:
    """The streams: frames that no worker has taken yet, and the workers that wait for some.

    As in the real queue, the worker that has waited longest gets a frame, busy or not.
    """

    def __init__(self, setup: Setup) -> None:
        self._ends_s = setup.duration_s
        self._endless = {
            ModelLane(model.key, "batch"): model.batch_request_rows
            for model in setup.models
            if model.batch_lane_rows_per_s == math.inf
        }
        self._frames: dict[ModelLane, deque[Frame]] = {
            ModelLane(model.key, lane): deque() for lane in LANES for model in setup.models
        }
        self._waiting: list[SimulatedWorker] = []

    def add(self, now_s: float, frame: Frame, lane: ModelLane) -> None:
        """Add a frame at the end, for the worker that has waited longest."""
        for index, worker in enumerate(self._waiting):
            if worker.wants(lane):
                self._waiting.append(self._waiting.pop(index))
                worker.take(now_s, frame, lane)
                return
        self._frames[lane].append(frame)

    def reclaim(self, frames: list[Frame], now_s: float) -> None:
        """Give a dead worker's frames to others, before all that is new."""
        for frame in reversed(frames):
            if frame.gateway >= 0:
                self._frames[ModelLane(frame.model_key, "online")].appendleft(frame)
        for worker in list(self._waiting):
            self.fetch(now_s, worker)

    def leave(self, worker: SimulatedWorker) -> None:
        """Forget a worker that has died."""
        if worker in self._waiting:
            self._waiting.remove(worker)

    def fetch(self, now_s: float, worker: SimulatedWorker) -> None:
        """Give a worker what it wants, as far as there is any; it waits for the rest."""
        if worker not in self._waiting:
            self._waiting.append(worker)
        is_fed = True
        while is_fed:
            is_fed = False
            for lane in worker.formation.rows_wanted():
                frame = self._next(now_s, lane)
                if frame is not None:
                    is_fed = True
                    worker.take(now_s, frame, lane)

    def _next(self, now_s: float, lane: ModelLane) -> Frame | None:
        frames = self._frames[lane]
        if frames:
            return frames.popleft()
        if lane in self._endless and now_s < self._ends_s:
            return batch_entry(lane.model_key, self._endless[lane], now_s)
        return None


def batch_entry(model_key: str, rows: int, now_s: float) -> Frame:
    """Return an entry of the batch lane with one request; nobody waits for its result."""
    call = Call(-1, model_key, rows, Priority.SHEDDABLE, None, 0)
    call.enqueued_us = int(now_s * US)
    call.deadline_s = math.inf
    return Frame(-1, model_key, [call], 0)
