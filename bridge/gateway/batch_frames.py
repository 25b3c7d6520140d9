"""Batch-lane frames in the queue: those that nobody waits for any more are taken out of it."""

from __future__ import annotations

from collections.abc import Callable

from bridge.gateway.framer import PackedFrame
from bridge.gateway.launch import Flight
from bridge.wire import keys


class BatchFrames:
    """The frames of this gateway that the batch lane has taken, by their place in the queue.

    An online frame that nobody waits for leaves the queue at its deadline at the latest. In the
    batch lane it may lie for long behind others, and callers who come and go would fill the queue:
    what bounds them is the room that they give back when they go.
    """

    def __init__(self, waits_for: Callable[[Flight], bool]) -> None:
        """`waits_for` says whether a request is still unanswered."""
        self._waits_for = waits_for
        self._flights: dict[tuple[str, bytes], tuple[Flight, ...]] = {}

    def queued(self, frame: PackedFrame, entry_id: bytes) -> None:
        """Note where a batch-lane frame is; others are not noted."""
        if frame.lane.lane == "batch":
            self._flights[keys.lane_key(*frame.lane), entry_id] = frame.flights

    def take_unwanted(self) -> dict[str, list[bytes]]:
        """Return, by stream, the frames none of whose requests waits; they are forgotten here.

        Among them are those that were answered, which workers have taken out already.
        """
        unwanted: dict[str, list[bytes]] = {}
        for (stream, entry_id), flights in list(self._flights.items()):
            if not any(map(self._waits_for, flights)):
                unwanted.setdefault(stream, []).append(entry_id)
                del self._flights[stream, entry_id]
        return unwanted
