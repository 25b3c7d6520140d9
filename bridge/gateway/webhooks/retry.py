"""When a webhook that was not taken is sent again: exponential backoff with jitter, bounded."""

from __future__ import annotations

ATTEMPTS_MAX = 12
DELAY_S_FIRST = 1.0
DELAY_S_MAX = 3600.0


def delay_s(attempts: int, draw: float, asked_s: float = 0.0) -> float | None:
    """Return the seconds until the next attempt after `attempts` of them; None for no more.

    `draw` is uniform in [0, 1): the delay is between half and all of 1 s, 2 s, 4 s and so on, so
    that receivers which were away do not get everything at once. `asked_s` is the receiver's own
    Retry-After, honoured up to `DELAY_S_MAX`. The last attempt is at most
    `DELAY_S_FIRST` · (2^(`ATTEMPTS_MAX` - 1) - 1), 34 min, after the first, unless receivers ask
    for more.
    """
    if attempts >= ATTEMPTS_MAX:
        return None
    backoff_s = min(DELAY_S_MAX, DELAY_S_FIRST * 2.0 ** (attempts - 1))
    return max(backoff_s * (0.5 + draw / 2), min(asked_s, DELAY_S_MAX))
