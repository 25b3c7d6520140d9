"""What is to be scored, in whatever form it is given, to chunks of tensors.

A table of pyarrow is known by what it can do, so that nobody needs pyarrow for the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bridge.client.errors import InvalidRequest
from bridge.client.score_tensors import bytes_of, column_of, equal_rows, tensors_of
from bridge.client.tensors import Array
from bridge.contract.invalid import shown
from bridge.contract.model import TensorSpec
from bridge.contract.table_columns import ColumnsMissing, InputColumns, find_columns


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row, counted from 0 over everything given, that has no outputs, and why."""

    row: int
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows `first_row` to `end_row` of what was given.

    `tensors`: those that can be sent, shape (rows, ...), by input; `row_numbers`: which these are.
    """

    first_row: int
    end_row: int
    tensors: Mapping[str, Array]
    row_numbers: Array
    rejected: tuple[RejectedRow, ...]


class Chunks:
    """Makes the chunks of one job; holds rows back only of records, until a chunk is full."""

    def __init__(
        self,
        inputs: Sequence[TensorSpec],
        renamed: Mapping[str, str],
        *,
        rows_max: int,
        bytes_max: int,
    ) -> None:
        """`renamed`: the caller's own names for the model's inputs and columns."""
        self._inputs = inputs
        self._renamed = renamed
        self._rows_max = rows_max
        self._bytes_max = bytes_max
        self._records: list[Mapping[str, Any]] = []
        self._row = 0

    def take(self, item: Any) -> Iterator[Chunk]:
        """Yield the chunks of a table, a batch of one, a mapping of arrays, or a record.

        Raises:
            InvalidRequest: it is none of these, or has not the model's columns.
        """
        if _is_record(item):
            self._records.append(item)
            if len(self._records) >= self._rows_max:
                yield from self.finish()
            return
        yield from self.finish()
        yield from self.take_whole(item)

    def take_whole(self, item: Any) -> Iterator[Chunk]:
        """Yield the chunks of what is no record: a mapping is one of columns, lists or not.

        Raises:
            InvalidRequest: as `take`.
        """
        for columns in _column_sets(item):
            yield from self._of_columns(columns)

    def finish(self) -> Iterator[Chunk]:
        """Yield what is held back."""
        records, self._records = self._records, []
        if records:
            names = records[0].keys()
            for record in records:
                if record.keys() != names:
                    raise InvalidRequest("records with different names in one job")
            yield from self._of_columns({name: [r[name] for r in records] for name in names})

    def _of_columns(self, columns: Mapping[str, Any]) -> Iterator[Chunk]:
        try:
            found = find_columns(self._inputs, columns, self._renamed, "the rows")
        except ColumnsMissing as error:
            raise InvalidRequest(str(error)) from None
        used = {name: column_of(columns[name]) for item in found for name in item.columns}
        lengths = {name: len(column) for name, column in used.items()}
        rows = next(iter(lengths.values()))
        if set(lengths.values()) != {rows}:
            said = ", ".join(f"{shown(name)} {length}" for name, length in lengths.items())
            raise InvalidRequest(f"columns of different lengths: {said}")
        start = 0
        while start < rows:
            end = min(rows, start + self._step(found, used, start))
            yield self._chunk(found, {name: used[name][start:end] for name in used}, end - start)
            start = end

    def _step(self, found: Sequence[InputColumns], used: Mapping[str, Any], start: int) -> int:
        """How many rows go into a chunk: as many as have the first one's lengths, and its size."""
        first, _ = tensors_of(found, {name: used[name][start : start + 1] for name in used}, 1)
        size = max(1, sum(map(bytes_of, first.values())))
        most = max(1, min(self._rows_max, self._bytes_max // size))
        for item in found:
            if item.elements is None:
                column = used[item.columns[0]][start : start + most]
                most = min(most, equal_rows(column))
        return most

    def _chunk(self, found: Sequence[InputColumns], columns: Mapping[str, Any], rows: int) -> Chunk:
        tensors, faults = tensors_of(found, columns, rows)
        first, self._row = self._row, self._row + rows
        places = np.delete(np.arange(rows), sorted(faults))
        if faults:
            tensors = {name: array[places] for name, array in tensors.items()}
        rejected = tuple(
            RejectedRow(first + row, fault.code, fault.reason)
            for row, fault in sorted(faults.items())
        )
        return Chunk(first, first + rows, tensors, first + places, rejected)


def chunks_of(rows: Any, chunks: Chunks) -> Iterator[Chunk]:
    """Yield the chunks of everything given: one of what `Chunks.take` takes, or several."""
    if _is_whole(rows):
        yield from chunks.take_whole(rows)
    elif isinstance(rows, Iterable):
        for item in rows:
            yield from chunks.take(item)
    else:
        raise InvalidRequest(f"a {type(rows).__name__} is neither a table nor an iterator of them")
    yield from chunks.finish()


def _is_whole(rows: Any) -> bool:
    # A reader of record batches is an iterator, and what it gives is looked at.
    is_table = hasattr(rows, "schema") and hasattr(rows, "column")
    return is_table or _is_mapping(rows)


def _is_mapping(item: Any) -> bool:
    # Also a data frame of pandas.
    return isinstance(item, Mapping) or (hasattr(item, "items") and hasattr(item, "keys"))


def _is_record(item: Any) -> bool:
    """Whether it is one row: its values are no arrays."""
    return isinstance(item, Mapping) and not any(map(_is_array, item.values()))


def _is_array(value: Any) -> bool:
    return (hasattr(value, "__array__") or hasattr(value, "to_numpy")) and hasattr(value, "__len__")


def _column_sets(item: Any) -> Iterator[Mapping[str, Any]]:
    """The columns of something with columns, by name; several sets where it is in several parts."""
    if _is_mapping(item):
        yield dict(item.items())
    elif hasattr(item, "to_batches"):
        for batch in item.to_batches():
            yield from _column_sets(batch)
    elif hasattr(item, "schema") and hasattr(item, "column"):
        names = item.schema.names
        yield {name: item.column(index) for index, name in enumerate(names)}
    else:
        raise InvalidRequest(f"a {type(item).__name__} is neither a table nor a mapping of columns")


class AsyncChunks:
    """The chunks of everything given, for an event loop: they are made in another thread."""

    def __init__(self, rows: Any, chunks: Chunks) -> None:
        """`rows`: as for `chunks_of`, or an asynchronous iterable of the same."""
        self._chunks = chunks
        self._items: AsyncIterator[Any] | None = aiter(rows) if hasattr(rows, "__aiter__") else None
        self._made: Iterator[Chunk] = (
            iter(()) if self._items is not None else chunks_of(rows, chunks)
        )
        self.has_more = True

    async def next(self) -> Chunk | None:
        """Return the next chunk, None when there is none.

        Raises:
            InvalidRequest: as `chunks_of`.
        """
        while (chunk := await asyncio.to_thread(next, self._made, None)) is None:
            if self._items is None:
                self.has_more = False
                return None
            try:
                self._made = self._chunks.take(await anext(self._items))
            except StopAsyncIteration:
                self._items = None
                self._made = self._chunks.finish()
        return chunk
