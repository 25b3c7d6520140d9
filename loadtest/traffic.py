"""What a generator process sends, and what it records of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.signedinteger[Any]]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]

OK = 200
# What is recorded instead of an HTTP status where there was none.
UNSENT, LOST, TIMED_OUT, LEFT, WRONG = 0, -1, -2, -3, -4
# After the last intended time and the callers' timeout, unanswered requests are waited for so long.
GRACE_S = 10.0


class Judge(Protocol):
    """Says whether answers with status 200 are right."""

    def __call__(self, choice: int, body: bytes) -> bool:
        """Return whether `body` answers request `choice` rightly."""

    @property
    def first_wrong(self) -> str | None:
        """What was wrong with the first wrong answer, None while there was none."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What one generator process sends.

    `requests` are the prepared bytes, `choice[i]` says which of them request i is. `leaves_s[i]`,
    where it is not NaN, is how long after sending the caller of request i goes away unanswered;
    `pieces` above 1 sends each request's bytes in so many writes, `piece_gap_s` apart (slow
    clients). `retries` is how often a request refused with 429 or 503 is sent again at once.
    `is_right` judges the body of a 200.
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
    is_right: Judge | None = None

    def judged(self, choice: int, status: int, body: bytes) -> int:
        """Return what is recorded of an answer to request `choice`: its status, or WRONG."""
        if status != OK or self.is_right is None or self.is_right(choice, body):
            return status
        return WRONG


@dataclass(slots=True)
class Recording:
    """What became of each request; arrays of shape (n,), seconds from the start of the run.

    `choice`: which of the prepared requests it was; `intended_s`: when it was due; `lag_s`: how
    much later the generator handled it, its own fault; `sent_s`: when its bytes were written, NaN
    where they were not; `done_s`: when the answer or failure was there; `status`: the HTTP status,
    or one of the constants above. `connections` is the largest number that were open at once;
    `first_wrong` says what was wrong with the first wrong answer.
    """

    choice: Ints
    intended_s: Floats
    lag_s: Floats
    sent_s: Floats
    done_s: Floats
    status: Ints
    tries: Ints
    cpu_s: float = 0.0
    connections: int = 0
    first_wrong: str | None = None

    @classmethod
    def empty(cls, choice: Ints, intended_s: Floats) -> Recording:
        """A recording of requests that are still to be sent."""
        count = len(intended_s)
        return cls(
            choice,
            intended_s,
            np.full(count, np.nan),
            np.full(count, np.nan),
            np.full(count, np.nan),
            np.zeros(count, dtype=np.int16),
            np.zeros(count, dtype=np.int16),
        )

    def part(self, which: slice | Mask) -> Recording:
        """Return what became of some of the requests; what they cost is known of all only."""
        return Recording(
            self.choice[which],
            self.intended_s[which],
            self.lag_s[which],
            self.sent_s[which],
            self.done_s[which],
            self.status[which],
            self.tries[which],
        )
