"""What a generator process sends, and what it records of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.signedinteger[Any]]]

# What is recorded instead of an HTTP status where there was none.
UNSENT, LOST, TIMED_OUT, LEFT, WRONG = 0, -1, -2, -3, -4
# After the last intended time and the callers' timeout, unanswered requests are waited for so long.
GRACE_S = 10.0


@dataclass(frozen=True, slots=True)
class Traffic:
    """What one generator process sends.

    `requests` are the prepared bytes, `choice[i]` says which of them request i is. `leaves_s[i]`,
    where it is not NaN, is how long after sending the caller of request i goes away unanswered;
    `pieces` above 1 sends each request's bytes in so many writes, `piece_gap_s` apart (slow
    clients). `retries` is how often a request refused with 429 or 503 is sent again at once.
    `is_right(choice, body)` judges the body of a 200.
    """

    host: str
    port: int
    requests: Sequence[bytes]
    choice: Ints
    connections_max: int
    timeout_s: float
    leaves_s: Floats | None = None
    pieces: int = 1
    piece_gap_s: float = 0.0
    retries: int = 0
    is_right: Callable[[int, bytes], bool] | None = None


@dataclass(slots=True)
class Recording:
    """What became of each request; arrays of shape (n,), seconds from the start of the run.

    `intended_s`: when it was due; `lag_s`: how much later the generator handled it, its own
    fault; `sent_s`: when its bytes were written, NaN where they were not; `done_s`: when the answer
    or failure was there; `status`: the HTTP status, or one of the constants above. `connections` is
    the largest number that were open at once.
    """

    intended_s: Floats
    lag_s: Floats
    sent_s: Floats
    done_s: Floats
    status: Ints
    tries: Ints
    cpu_s: float = 0.0
    connections: int = 0

    @classmethod
    def empty(cls, intended_s: Floats) -> Recording:
        """A recording of requests that are still to be sent."""
        count = len(intended_s)
        return cls(
            intended_s,
            np.full(count, np.nan),
            np.full(count, np.nan),
            np.full(count, np.nan),
            np.zeros(count, dtype=np.int16),
            np.zeros(count, dtype=np.int16),
        )
