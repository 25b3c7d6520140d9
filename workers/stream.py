"""The streams of a worker: one for each lane of each model version."""

from __future__ import annotations

from collections.abc import Iterable

from bridge.scheduling.lanes import LANES, ModelLane
from bridge.wire import keys


def stream_key(stream: ModelLane) -> str:
    """Return the key of a lane's stream."""
    return keys.lane_key(*stream)


def streams_of(model_keys: Iterable[str]) -> list[ModelLane]:
    """Return both lanes of each model version."""
    return [ModelLane(key, lane) for key in model_keys for lane in LANES]
