"""One bad row hurts only itself: a batch that fails is run again by halves.

Longest extra work: a batch of n requests with k bad ones takes at most about 2 k log2(n) more
runs, and none starts after the deadline of all its requests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from bridge.wire.frame import ResultStatus
from workers.hand import Slice, joined
from workers.model import BadOutput, RowsFailed

Array = np.ndarray[Any, np.dtype[Any]]


class Runnable(Protocol):
    """What runs a batch: `workers.model.Model`."""

    @property
    def needs_own_arrays(self) -> bool:
        """Whether the inputs must be writable."""

    def run(self, inputs: Mapping[str, Array], rows: int) -> dict[str, Array]:
        """Return the outputs of `rows` rows; raises as `Model.run`."""


@dataclass(frozen=True, slots=True)
class Run:
    """What became of some slices: their outputs in order, or why there are none."""

    slices: list[Slice]
    status: ResultStatus
    outputs: Mapping[str, Array]
    reason: str = ""


def run_isolated(
    model: Runnable, slices: list[Slice], is_late: Callable[[Slice], bool]
) -> Iterator[Run]:
    """Run slices together; if the model raises, by halves, until the failing requests stand alone.

    Yields one `Run` for each group that ended alike; together they hold every slice once.
    """
    try:
        inputs = joined(slices, own=model.needs_own_arrays)
        outputs = model.run(inputs, sum(piece.entry.rows for piece in slices))
    except BadOutput as error:
        yield Run(slices, ResultStatus.BAD_OUTPUT, {}, str(error))
    except RowsFailed as error:
        if len(slices) == 1:
            yield Run(slices, ResultStatus.ROWS_FAILED, {}, str(error))
            return
        late, rest = _parted(slices, is_late)
        if late:
            yield Run(late, ResultStatus.EXPIRED, {})
        middle = len(rest) // 2
        for half in (rest[:middle], rest[middle:]):
            if half:
                yield from run_isolated(model, half, is_late)
    else:
        yield Run(slices, ResultStatus.OK, outputs)


def _parted(
    slices: list[Slice], is_late: Callable[[Slice], bool]
) -> tuple[list[Slice], list[Slice]]:
    """Return the late slices and the others; each is judged once, for time goes on meanwhile."""
    late: list[Slice] = []
    rest: list[Slice] = []
    for piece in slices:
        (late if is_late(piece) else rest).append(piece)
    return late, rest
