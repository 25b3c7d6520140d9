"""Rows of different lengths in one chunk: read by length, padded to one bucket.

Blocks of `BLOCK_ROWS` neighbours are padded to the bucket of the longest of them, and blocks of one
bucket travel together. With each row in its own bucket hardly two neighbours of a file that is not
sorted by length could share a chunk.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from bridge.contract.invalid import InvalidCode, InvalidInput
from bridge.contract.padding import Padder
from bridge.jobs.cell_values import Array
from bridge.jobs.page import Fault, Page
from bridge.jobs.rows import CheckedRows, RowCheck

BLOCK_ROWS = 64


class PaddedRowCheck:
    """Reads the inputs of a model that pads its rows."""

    def __init__(self, check: RowCheck, padder: Padder) -> None:
        self._check = check
        self._padder = padder

    @property
    def columns(self) -> list[str]:
        """The columns that are read, each once."""
        return self._check.columns

    def check(self, page: Page) -> Iterator[CheckedRows]:
        """Yield the page's rows, in pieces of one bucket; `tensors` are all that a run takes."""
        sizes = self._check.varying_sizes(page)
        rows_of: dict[tuple[int, ...], list[int]] = {}
        for row, size in enumerate(sizes):
            rows_of.setdefault(size, []).append(row)
        groups = [self._read(page, rows) for rows in rows_of.values()]
        faults = {row: fault for group in groups for row, fault in group.faults.items()}
        for start, end, bucket in self._spans(page.rows, groups):
            here = {row: fault for row, fault in faults.items() if start <= row < end}
            yield self._piece(start, end, bucket, groups, here)

    def _read(self, page: Page, rows: list[int]) -> _OneLength:
        """Read the rows of one shape, which may be anywhere in the page."""
        checked = self._check.check_one_shape(page.taken(rows))
        numbers = np.array(rows)
        faults = {rows[place]: fault for place, fault in checked.faults.items()}
        own = numbers[checked.valid]
        try:
            length = self._length(checked.tensors) if len(own) else 0
        except InvalidInput as error:
            faults.update({int(row): Fault(error.code.value, error.message) for row in own})
            return _OneLength(own[:0], {}, 0, faults)
        return _OneLength(own, checked.tensors, length, faults)

    def _length(self, tensors: Mapping[str, Array]) -> int:
        length = self._padder.length(tensors)
        if not length:
            raise InvalidInput(InvalidCode.EMPTY, "a row without values")
        self._padder.bucket(length)
        return length

    def _spans(
        self, page_rows: int, groups: Sequence[_OneLength]
    ) -> Iterator[tuple[int, int, int]]:
        """Where the rows that travel together begin and end, and their bucket."""
        lengths = np.zeros(page_rows, dtype=np.int64)
        for group in groups:
            lengths[group.rows] = group.length
        starts = np.arange(0, page_rows, BLOCK_ROWS)
        longest = np.maximum.reduceat(lengths, starts).tolist() if page_rows else []
        blocks = zip(starts.tolist(), map(self._padder.bucket, longest), strict=True)
        for bucket, of_bucket in groupby(blocks, key=lambda block: block[1]):
            whole = list(of_bucket)
            yield whole[0][0], min(page_rows, whole[-1][0] + BLOCK_ROWS), bucket

    def _piece(
        self,
        start: int,
        end: int,
        bucket: int,
        groups: Sequence[_OneLength],
        faults: Mapping[int, Fault],
    ) -> CheckedRows:
        parts = [part for group in groups if (part := group.between(start, end)) is not None]
        if not parts:
            return CheckedRows(start, end, {}, np.array([], dtype=np.intp), faults)
        rows = np.concatenate([part.rows for part in parts])
        order = np.argsort(rows)
        joined = self._padder.joined([part.tensors for part in parts], bucket)
        lengths = np.repeat([part.length for part in parts], [len(part.rows) for part in parts])
        tensors = {name: array[order] for name, array in joined.items()}
        return CheckedRows(start, end, tensors, rows[order], faults, lengths[order])


@dataclass(frozen=True, slots=True)
class _OneLength:
    """Valid rows of one length, by their places in the page, and the faults of the others."""

    rows: Array
    tensors: Mapping[str, Array]
    length: int
    faults: Mapping[int, Fault]

    def between(self, start: int, end: int) -> _OneLength | None:
        """Return the rows from `start` to `end`, None if there are none."""
        first, last = np.searchsorted(self.rows, [start, end])
        if first == last:
            return None
        tensors = {name: array[first:last] for name, array in self.tensors.items()}
        return _OneLength(self.rows[first:last], tensors, self.length, {})
