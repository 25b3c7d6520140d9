"""One chunk under way: what is out of it, what has come back, and its trial if it is suspected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bridge.contract.model import TensorSpec
from bridge.jobs.cell_values import Array
from bridge.jobs.chunks import Chunk, RejectedRow
from bridge.jobs.errors import BadResult
from bridge.jobs.trial import RowRange, Trial
from bridge.wire.block import from_block
from bridge.wire.chunk import CHUNK_LOSSES_MAX, ChunkAddress, ChunkResult
from bridge.wire.frame import MalformedFrame

KILLS_WORKERS = "kills_workers"


@dataclass(frozen=True, slots=True)
class RangeOutputs:
    """Outputs of a range of a chunk's valid rows: those rows, by place, and the arrays."""

    places: Array
    tensors: Mapping[str, Array]


class PendingChunk:
    """A chunk from its sending to its last result."""

    def __init__(self, chunk: Chunk, job: str, outputs: Sequence[TensorSpec]) -> None:
        self.chunk = chunk
        self._job = job
        self._specs = outputs
        self._trial: Trial | None = None
        self._why_returned = ""
        self._outputs: dict[int, RangeOutputs] = {}
        self._rejected: dict[int, RejectedRow] = {}
        self._parts: list[str] = []
        self._out: RowRange | None = None
        self._address: ChunkAddress | None = None
        self._is_done = chunk.rows == 0

    @property
    def is_done(self) -> bool:
        """Whether every row has its outputs or its reason."""
        return self._is_done

    @property
    def is_suspected(self) -> bool:
        """Whether it came back, and its rows are to be tried in parts."""
        return self._trial is not None and not self._is_done

    @property
    def parts(self) -> list[str]:
        """The names of all parts that were ever sent."""
        return self._parts

    @property
    def out(self) -> ChunkAddress | None:
        """The part that is under way."""
        return self._address

    def send_next(self) -> ChunkAddress | None:
        """Take what is to be sent next: the whole chunk, or a part on trial; None if nothing is."""
        if self._is_done or self._out is not None:
            return None
        whole = RowRange(0, self.chunk.rows)
        rows = self._out = whole if self._trial is None else self._trial.next_range
        assert rows is not None
        losses_max = CHUNK_LOSSES_MAX if self._trial is None else rows.losses_max
        number = self.chunk.number
        # Kept: all that are under way are looked at for each result that arrives.
        self._address = ChunkAddress(self._job, number, rows.start, rows.end, losses_max)
        self._parts.append(self._address.part)
        return self._address

    def tensors(self, address: ChunkAddress) -> dict[str, Array]:
        """Return the rows of a part."""
        rows = slice(address.start, address.end)
        return {name: array[rows] for name, array in self.chunk.tensors.items()}

    def take(self, result: ChunkResult) -> None:
        """Take in the result of the part that is under way.

        Raises:
            BadResult: it does not add up.
        """
        out, self._out, self._address = self._out, None, None
        assert out is not None
        if result.rows != out.rows:
            raise BadResult(f"a result of {result.rows} rows for {out.rows}")
        if result.returned:
            self._take_back(out, result.returned)
        else:
            self._keep(out, result)
            if self._trial is not None:
                self._trial.passed()
        self._is_done = self._trial is None or self._trial.next_range is None

    def outputs(self) -> tuple[Array, dict[str, Array]]:
        """Return the places of the rows that have outputs, and these, in order."""
        ranges = [self._outputs[start] for start in sorted(self._outputs)]
        filled = [item for item in ranges if len(item.places)]
        if not filled:
            return np.array([], dtype=np.intp), {}
        names = filled[0].tensors
        places = np.concatenate([item.places for item in filled])
        try:
            return places, {
                name: np.concatenate([item.tensors[name] for item in filled]) for name in names
            }
        except ValueError as error:
            raise BadResult("outputs whose row shapes differ within one chunk") from error

    def rejected(self) -> tuple[RejectedRow, ...]:
        """Return the rows without outputs, in the input's order."""
        rows = [*self.chunk.rejected, *self._rejected.values()]
        return tuple(sorted(rows, key=lambda item: item.row))

    def _take_back(self, out: RowRange, reason: str) -> None:
        self._why_returned = reason
        if self._trial is None and self.chunk.rows > 1:
            self._trial = Trial(self.chunk.rows)
            return
        if self._trial is not None:
            self._trial.came_back()
        if out.rows == 1:
            reason = f"given back by the workers: {reason}"
            self._rejected[out.start] = self.chunk.refused(out.start, KILLS_WORKERS, reason)

    def _keep(self, out: RowRange, result: ChunkResult) -> None:
        failed = {item.row for item in result.failed}
        if len(failed) != len(result.failed) or any(row >= out.rows for row in failed):
            raise BadResult("a result that names a row twice, or one that it has not")
        for item in result.failed:
            place = out.start + item.row
            refused = self.chunk.refused(place, item.status.value, item.reason)
            self._rejected[place] = refused
        places = np.delete(np.arange(out.start, out.end), sorted(failed))
        self._outputs[out.start] = RangeOutputs(places, self._arrays(result, len(places)))

    def _arrays(self, result: ChunkResult, rows: int) -> dict[str, Array]:
        if not rows:
            return {}
        given = [(tensor.name, tensor.datatype) for tensor in result.tensors]
        if given != [(spec.name, spec.datatype) for spec in self._specs]:
            raise BadResult("a result whose tensors are not the model's outputs")
        try:
            return {tensor.name: from_block(tensor, rows) for tensor in result.tensors}
        except MalformedFrame as error:
            raise BadResult(f"a result that does not add up: {error}") from error
