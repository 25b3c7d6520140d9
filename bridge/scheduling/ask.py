"""What comes to the door: so many rows, wanted by then, so important."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Priority(IntEnum):
    """Who is refused first under pressure: the last of these."""

    CRITICAL = 0
    DEFAULT = 1
    SHEDDABLE = 2


@dataclass(frozen=True, slots=True)
class Ask:
    """What wants to be let in: rows of a model version, answered by `wanted_by_s`."""

    model_key: str
    rows: int
    wanted_by_s: float
    priority: Priority = Priority.DEFAULT
