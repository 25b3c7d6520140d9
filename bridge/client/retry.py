"""When to try again. Pure: time and chance are arguments.

Only what was refused at the door is tried again, never what may have run. A hint of the server is
honest if the client waits at least that long, so chance only adds to it; and because a client that
tries everything again makes an overload last, a budget bounds the retries.
"""

from __future__ import annotations

# How much longer than its hint a client waits, at most: those that were refused together
# come back one after the other.
HINT_JITTER = 0.5
_GROWTH = 2.0


class RetryBudget:
    """A bucket of tokens: each call adds a part of one, each retry takes a whole one.

    Of n calls at most `ratio` n + `reserve` are retries, whatever happens.
    """

    def __init__(self, ratio: float, reserve: int) -> None:
        self._ratio = ratio
        self._reserve = float(reserve)
        self._tokens = float(reserve)

    def earn(self) -> None:
        """Note a new call."""
        self._tokens = min(self._reserve, self._tokens + self._ratio)

    def spend(self) -> bool:
        """Take the token of one retry; return False if there is none."""
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


class Backoff:
    """How long to wait between attempts to reach a server: the same for all callers."""

    def __init__(self, first_s: float, s_max: float) -> None:
        self._first_s = first_s
        self._s_max = s_max
        self._failures = 0
        self._again_at_s = 0.0

    def wait_s(self, now_s: float) -> float:
        """Return after how many seconds the next attempt is due."""
        return max(0.0, self._again_at_s - now_s)

    def fail(self, now_s: float, chance: float, hint_s: float | None = None) -> None:
        """Note an attempt that failed; `chance` is from 0 to 1, `hint_s` what the server asked."""
        delay_s = backoff_s(self._failures, chance, self._first_s, self._s_max)
        self._failures += 1
        self._again_at_s = now_s + (delay_s if hint_s is None else retry_s(hint_s, chance))

    def succeed(self) -> None:
        """Note that the server was reached."""
        self._failures = 0
        self._again_at_s = 0.0


def backoff_s(failures: int, chance: float, first_s: float, s_max: float) -> float:
    """Return the wait after so many failures before this one: from half of a doubling time to it.

    `chance` is from 0 to 1.
    """
    # The exponent is bounded, not only the result: 2.0 to the power of 2,000 raises.
    whole_s = min(s_max, first_s * _GROWTH ** min(failures, 30))
    return whole_s * (0.5 + 0.5 * chance)


def retry_s(hint_s: float, chance: float) -> float:
    """Return how long to wait for a hint: at least as long as it says. `chance` is from 0 to 1."""
    return hint_s * (1.0 + HINT_JITTER * chance)
