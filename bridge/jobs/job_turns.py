"""Which of the waiting jobs a runner takes up, and which it puts down for them: a pure policy.

A runner works on a bounded number of jobs at once. Where more want to run they take turns: a free
place goes to the tenant that has the fewest jobs running here, and within it to the job that was
taken up least often, the oldest among equals. When there is no free place, the job that has run
for longest among those of the tenant with most places goes back to the waiting ones; but not
before `TURN_S`, which a job gets at least whenever it runs.

Bound: with P places and N waiting jobs of equal standing, each runs after at most N turns divided
by P, rounded up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

# Long against what it costs to read an input and the progress again.
TURN_S = 15.0


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job that wants to run; `attempts`: how often some runner has taken it up."""

    job: str
    tenant: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Running:
    """A job that runs here, since `began_s`."""

    job: str
    tenant: str
    began_s: float


def order(waiting: Sequence[Waiting], running: Sequence[Running]) -> list[Waiting]:
    """Return the waiting jobs in the order in which they are taken up."""
    places = Counter(item.tenant for item in running)
    left = sorted(waiting, key=lambda item: (item.attempts, item.job))
    found = []
    while left:
        following = min(left, key=lambda item: places[item.tenant])
        left.remove(following)
        places[following.tenant] += 1
        found.append(following)
    return found


def to_put_down(
    waiting: Sequence[Waiting], running: Sequence[Running], now_s: float
) -> Running | None:
    """Return the running job whose turn is over because others wait; None if there is none."""
    over = [item for item in running if now_s - item.began_s >= TURN_S]
    if not waiting or not over:
        return None
    places = Counter(item.tenant for item in running)
    return min(over, key=lambda item: (-places[item.tenant], item.began_s))


def next_turn_s(running: Sequence[Running], now_s: float) -> float:
    """Return after how many seconds the next turn is over, at most `TURN_S`."""
    oldest_s = min((item.began_s for item in running), default=now_s)
    return max(0.0, oldest_s + TURN_S - now_s)
