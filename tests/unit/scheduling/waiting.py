"""Requests that wait, for the tests of batch formation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bridge.scheduling.formation import Formation
from bridge.scheduling.forming import Formed
from bridge.scheduling.lanes import Lane, ModelLane

FAR_US = 3_000_000_000


@dataclass(frozen=True)
class Ask:
    """A request with a name of its own."""

    name: str
    rows: int = 1
    enqueued_us: int = 0
    deadline_us: int = FAR_US
    runs_alone: bool = False


def put(
    formation: Formation[Ask],
    *asks: Ask,
    model: str = "m@1",
    lane: Lane = "online",
    signature: int = 0,
) -> None:
    for ask in asks:
        formation.put(ModelLane(model, lane), signature, ask)


def singles(prefix: str, count: int, *, rows: int = 1, enqueued_us: int = 0) -> list[Ask]:
    return [Ask(f"{prefix}{index}", rows, enqueued_us) for index in range(count)]


def take(formation: Formation[Ask], now_us: int = 0, unwanted: Sequence[str] = ()) -> Formed[Ask]:
    formed = formation.take(now_us, lambda ask: ask.name in unwanted)
    assert formed is not None
    return formed


def names(asks: Sequence[Ask]) -> list[str]:
    return [ask.name for ask in asks]
