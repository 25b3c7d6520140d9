"""What a request's way costs besides waiting and running: o in the formulas, measured."""

from __future__ import annotations

from collections import deque

SAMPLES_KEPT = 512
# Older samples say nothing about now. Without this a gateway that was slow for a moment would
# refuse nearly everything, so measure nearly nothing, and never learn that it is fast again.
SAMPLE_AGE_S_MAX = 1.0
# Before anything was measured; also the least that is promised: a quiet moment says little.
OVERHEAD_S_MIN = 0.002
_PERCENT_TYPICAL = 50
# Not the 99th: of the hundred or two frames of a second that is the one or two that met a hiccup of
# the machine, and a promise that rests on it refuses everybody for the second after.
_PERCENT_WORST = 95


class Overhead:
    """The overhead of one gateway, from its own samples; refreshed now and then, read often.

    `worst_s` is o at p95 of each part: the gateway's event-loop lag (a request lies in the socket
    for up to one turn of the loop) plus the way to the worker and back. `typical_s` is
    the same at p50. The way back is measured for each result frame, and the way there is taken to
    be as long. So a gateway that is itself overloaded promises less, and refuses as honestly as one
    with slow workers.
    """

    __slots__ = ("_lags", "_returns", "typical_s", "worst_s")

    def __init__(self) -> None:
        self._lags: deque[tuple[float, float]] = deque(maxlen=SAMPLES_KEPT)
        self._returns: deque[tuple[float, float]] = deque(maxlen=SAMPLES_KEPT)
        self.worst_s = OVERHEAD_S_MIN
        self.typical_s = OVERHEAD_S_MIN / 2

    def observe_lag(self, now_s: float, seconds: float) -> None:
        """Take in how long a request waited for the event loop's turn to end."""
        self._lags.append((now_s, seconds))

    def observe_return(self, now_s: float, seconds: float) -> None:
        """Take in how long after its run a result was there."""
        self._returns.append((now_s, max(0.0, seconds)))

    def refresh(self, now_s: float) -> None:
        """Compute the percentiles anew; some tens of microseconds, so a few times a second."""
        lags, returns = _recent(self._lags, now_s), _recent(self._returns, now_s)
        there_s = nearest_rank(returns, _PERCENT_TYPICAL)
        self.typical_s = nearest_rank(lags, _PERCENT_TYPICAL) + 2 * there_s
        worst_s = (
            nearest_rank(lags, _PERCENT_WORST) + there_s + nearest_rank(returns, _PERCENT_WORST)
        )
        self.worst_s = max(OVERHEAD_S_MIN, worst_s)


def _recent(samples: deque[tuple[float, float]], now_s: float) -> list[float]:
    """The samples that are not too old, ascending; the others are dropped."""
    while samples and now_s - samples[0][0] > SAMPLE_AGE_S_MAX:
        samples.popleft()
    return sorted(seconds for _, seconds in samples)


def nearest_rank(ordered: list[float], percent: int) -> float:
    """Return a percentile of ascending values, 0 of none."""
    return ordered[(len(ordered) * percent - 1) // 100] if ordered else 0.0
