"""One bad row hurts only itself: a batch that fails is run again by halves.

Longest extra work: a batch of n requests with k bad ones takes at most about 2 k log2(n) more
runs, and none starts after the deadline of all its requests. A request that fails is answered as
a whole, but of a job's chunk only the bad rows fail: its slices are run by halves down to rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from bridge.wire.chunk import is_chunk
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
class Failure:
    """Why a row has no outputs."""

    status: ResultStatus
    reason: str


@dataclass(frozen=True, slots=True)
class Run:
    """What became of some slices: their outputs in order, or why there are none.

    `failures`, of a lone slice of a job's chunk that was run by halves: its failed rows, counted
    from its first; `outputs` are those of its other rows then.
    """

    slices: list[Slice]
    status: ResultStatus
    outputs: Mapping[str, Array]
    reason: str = ""
    failures: Mapping[int, Failure] = field(default_factory=dict)


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
        # Whose row it was cannot be told: all online callers hear it, who would have to wait. What
        # is in the batch lane is tried again.
        online, patient = _by_lane(slices)
        if online:
            yield Run(online, ResultStatus.BAD_OUTPUT, {}, str(error))
        yield from _tried_again(
            model, patient, is_late, Failure(ResultStatus.BAD_OUTPUT, str(error))
        )
    except RowsFailed as error:
        failure = Failure(ResultStatus.ROWS_FAILED, str(error))
        if len(slices) == 1:
            yield from _tried_again(model, slices, is_late, failure)
            return
        late, rest = _parted(slices, is_late)
        if late:
            yield Run(late, ResultStatus.EXPIRED, {})
        yield from _halves(model, rest, is_late)
    else:
        yield Run(slices, ResultStatus.OK, outputs)


def _halves(
    model: Runnable, slices: list[Slice], is_late: Callable[[Slice], bool]
) -> Iterator[Run]:
    middle = len(slices) // 2
    for half in (slices[:middle], slices[middle:]):
        if half:
            yield from run_isolated(model, half, is_late)


def _tried_again(
    model: Runnable, slices: list[Slice], is_late: Callable[[Slice], bool], failure: Failure
) -> Iterator[Run]:
    """Run slices that failed together again in smaller groups, a lone one of a chunk by rows."""
    if len(slices) > 1:
        yield from _halves(model, slices, is_late)
    elif slices:
        (piece,) = slices
        if is_chunk(piece.taken.frame.gateway) and piece.rows > 1:
            yield _by_rows(model, piece, failure)
        else:
            yield Run(slices, failure.status, {}, failure.reason)


def _by_rows(model: Runnable, piece: Slice, failure: Failure) -> Run:
    """Run a chunk's slice, which failed, by halves until the failing rows stand alone."""
    parts: list[Mapping[str, Array]] = []
    failures: dict[int, Failure] = {}
    middle = piece.start + piece.rows // 2
    left = [(middle, piece.end), (piece.start, middle)]
    while left:
        start, end = left.pop()
        rows = {name: array[start:end].copy() for name, array in piece.taken.arrays.items()}
        try:
            parts.append(model.run(rows, end - start))
        except (BadOutput, RowsFailed) as error:
            if end - start > 1:
                middle = (start + end) // 2
                left += [(middle, end), (start, middle)]
                continue
            is_bad = isinstance(error, BadOutput)
            status = ResultStatus.BAD_OUTPUT if is_bad else ResultStatus.ROWS_FAILED
            failures[start - piece.start] = Failure(status, str(error))
    shapes = {tuple(array.shape[1:] for array in part.values()) for part in parts}
    if len(shapes) > 1:
        return Run([piece], failure.status, {}, failure.reason)
    names = parts[0] if parts else {}
    outputs = {name: np.concatenate([part[name] for part in parts]) for name in names}
    return Run([piece], failure.status, outputs, failure.reason, failures)


def _by_lane(slices: list[Slice]) -> tuple[list[Slice], list[Slice]]:
    """Return the online slices, and those of the batch lane."""
    online = [piece for piece in slices if piece.taken.frame.lane == "online"]
    return online, [piece for piece in slices if piece.taken.frame.lane == "batch"]


def _parted(
    slices: list[Slice], is_late: Callable[[Slice], bool]
) -> tuple[list[Slice], list[Slice]]:
    """Return the late slices and the others; each is judged once, for time goes on meanwhile."""
    late: list[Slice] = []
    rest: list[Slice] = []
    for piece in slices:
        (late if is_late(piece) else rest).append(piece)
    return late, rest
