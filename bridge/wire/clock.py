"""The clock that gateways and workers share: the Redis server's, reached by an offset."""

from __future__ import annotations

from collections import deque

SAMPLES_KEPT = 16
MICROSECONDS = 1_000_000


class ServerClock:
    """Converts this process's monotonic seconds to microseconds on the Redis server's clock.

    Deadlines travel between machines as instants on the server's clock; within a process,
    everything is measured on the monotonic clock. Each sample of the server's `TIME` gives an
    offset whose error is at most half the round trip, so the sample with the shortest round trip
    among the recent ones decides (Cristian, "Probabilistic clock synchronization", 1989).
    """

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque(maxlen=SAMPLES_KEPT)
        self._offset_s = 0.0

    def observe(self, sent_s: float, received_s: float, server_us: int) -> None:
        """Take in one `TIME` reply; `sent_s` and `received_s` are monotonic seconds."""
        offset_s = server_us / MICROSECONDS - (sent_s + received_s) / 2
        self._samples.append((received_s - sent_s, offset_s))
        self._offset_s = min(self._samples)[1]

    def forget(self) -> None:
        """Drop all samples: the next one may come from another server."""
        self._samples.clear()

    def server_us(self, monotonic_s: float) -> int:
        """Return the instant on the server's clock, in microseconds since its epoch."""
        return int((monotonic_s + self._offset_s) * MICROSECONDS)

    def monotonic_s(self, server_us: int) -> float:
        """Return an instant of the server's clock as seconds of this process's monotonic clock."""
        return server_us / MICROSECONDS - self._offset_s
