"""Measured models and questions for tests of the planner."""

from __future__ import annotations

from typing import Any

from bridge.plan.question import MeasuredModel, Question
from bridge.scheduling.service_time import ServiceTime

# Enough for what these tests ask, and a plan takes about a second.
REQUESTS = 400


def measured(fixed_s: float = 0.0014, per_row_s: float = 0.00026) -> MeasuredModel:
    """A model of 1.4 ms and 0.26 ms per row, about 3,600 rows/s, with steady runs."""
    return MeasuredModel(
        name="m",
        version="1",
        service=ServiceTime(fixed_s, per_row_s, typical=0.95),
        target_s=0.1,
        rows_cap=None,
        source="made up",
    )


def question(**changes: Any) -> Question:
    """One thousand Poisson requests a second within 50 ms on two cores, with changes."""
    asked: dict[str, Any] = {"rate_per_s": 1000.0, "target_s": 0.05, "cores": 2}
    return Question(**(asked | changes))
