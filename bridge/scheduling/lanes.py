"""Two lanes: online requests, and the batch lane that uses what they leave, with a floor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

Lane = Literal["online", "batch"]
LANES: tuple[Lane, ...] = ("online", "batch")

FILL = 1.0
FLOOR = 0.02
# What the batch lane may earn in advance: its floor over one second.
EARNED_WINDOW_US = 1_000_000
# A request of the batch lane goes as a whole, so when the floor has earned it a batch lacks all its
# places at once, while admission reckons with the floor's share of each. Of the online requests at
# 1.5 times the capacity so many are late (simulated): 2 to 11 % beside requests of 16 rows, 0.5 to
# 1.4 beside those of an eighth of a batch, up to 0.1 beside those of a sixteenth.
REQUESTS_PER_BATCH = 16


class ModelLane(NamedTuple):
    """One lane of one model version."""

    model_key: str
    lane: Lane


def request_rows(batch_rows: int) -> int:
    """Return the rows that a batch-lane request should have, so that online promises hold."""
    return max(1, batch_rows // REQUESTS_PER_BATCH)


@dataclass(frozen=True, slots=True)
class LaneShares:
    """What the batch lane gets.

    `fill`: up to which share of B a batch is filled with batch-lane rows, above 0, at most 1;
    `floor`: the share of the run time that it gets whatever the online load, from 0 to below 1.
    """

    fill: float = FILL
    floor: float = FLOOR

    def fill_rows(self, batch_rows: int) -> int:
        """Return up to how many rows a batch of at most `batch_rows` is filled, at least 1."""
        return max(1, int(batch_rows * self.fill))

    def online_rows(self, batch_rows: int) -> int:
        """Return what online requests can count on of each batch while the batch lane waits."""
        return max(1, batch_rows - math.ceil(batch_rows * self.floor))


class FloorAccount:
    """What the batch lane has earned of its floor, and what was spent on it.

    While it waits it earns the floor's share of each run. Its oldest request goes by right once
    that is earned, so after at most c / floor seconds of runs for a request that costs c seconds.
    At most the floor over one second is saved up, or the cost of the oldest request.
    """

    def __init__(self, floor: float) -> None:
        self._floor = floor
        self.earned_us = 0.0

    def pays(self, cost_us: float) -> bool:
        """Whether a request that costs `cost_us` of run time goes by right."""
        return self._floor > 0 and self.earned_us >= cost_us

    def book(self, run_us: float, spent_us: float, cost_us: float) -> None:
        """Note a run of `run_us`, of which `spent_us` went to the lane's oldest requests.

        `cost_us` is the cost of the oldest request before the run.
        """
        saved_us = max(0.0, self.earned_us + self._floor * run_us - spent_us)
        self.earned_us = min(saved_us, max(cost_us, self._floor * EARNED_WINDOW_US))
