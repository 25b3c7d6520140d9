"""Many plain requests at once: what most callers send, at less cost.

Plain is a request of a usual form without anything unusual beside its rows. What the door would
make of each alone is what is made of them here together (tests compare the two); whatever is not
plain, or not right, is left to the door.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from bridge.gateway.dialects.call import Array, InferCall

NO_ROWS: Array = np.empty(0)
RowShapes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class PlainCalls:
    """What was read of several bodies.

    `array`, shape (rows of all, ...), holds the rows of the plain ones in their order; for each of
    these `places` says which body it was, `sizes` how many rows it has, `said` what else it says,
    for `Plain.answer`. `others` are the places of the bodies that are not plain or not right.
    """

    array: Array
    places: list[int]
    sizes: list[int]
    said: list[Any]
    others: list[int]


def none_plain(bodies: Sequence[bytes]) -> PlainCalls:
    """Return that none of the bodies is plain."""
    return PlainCalls(NO_ROWS, [], [], [], list(range(len(bodies))))


def plain_places(
    bodies: Sequence[bytes], read_one: Callable[[bytes], int]
) -> tuple[list[int], list[int], list[int]]:
    """Return the places of the plain bodies, how many rows each has, and the places of the others.

    `read_one` returns the rows of a plain body, 0 for another one.
    """
    places: list[int] = []
    sizes: list[int] = []
    others: list[int] = []
    for place, body in enumerate(bodies):
        size = read_one(body)
        if size:
            places.append(place)
            sizes.append(size)
        else:
            others.append(place)
    return places, sizes, others


class PlainAnswer(NamedTuple):
    """An answer's body; `headers` are the lines of Content-Type and what belongs to the body."""

    headers: str
    body: bytes


class Plain(Protocol):
    """Reads and writes the plain requests of one form, for one model version."""

    @property
    def input_name(self) -> str:
        """The model's only input."""

    def read(self, bodies: Sequence[bytes], header_bytes: int) -> PlainCalls:
        """Return the rows of the plain bodies, which must not change afterwards.

        `header_bytes` is the value of Inference-Header-Content-Length, equal for all; 0 without.
        """

    def call(self, said: Any, rows: int) -> InferCall:
        """Return a plain call, whose rows are elsewhere, as `Door.answer` wants it."""

    def write(self, arrays: Mapping[str, Array]) -> object | None:
        """Prepare the rows of all outputs for `answer`; None where they need a closer look.

        `arrays` have shape (rows, ...), C-contiguous, and an equal number of rows.
        """

    def answer(self, said: Any, start: int, rows: int, written: Any) -> PlainAnswer:
        """Return the answer to a call with `rows` rows of what was written, from `start` on."""
