"""Input files: Parquet, Arrow, CSV and NDJSON, read in pages, never as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bridge.jobs.csv_table import CsvTable
from bridge.jobs.errors import BadInput
from bridge.jobs.ndjson_table import NdjsonTable
from bridge.jobs.page import Page, Table, share_by_size

PAGE_ROWS = 16_384
PARQUET_BUFFER_BYTES = 1 << 20
SUFFIXES = (".parquet", ".pq", ".csv", ".ndjson", ".jsonl", ".arrow", ".feather", ".ipc")


def open_table(path: Path) -> Table:
    """Open an input file; its suffix says which format it has.

    Raises:
        BadInput: it cannot be opened, or is not what its suffix says.
    """
    try:
        if path.suffix in (".parquet", ".pq"):
            return ParquetTable(path)
        if path.suffix == ".csv":
            return CsvTable(path)
        if path.suffix in (".ndjson", ".jsonl"):
            return NdjsonTable(path)
        if path.suffix in (".arrow", ".feather", ".ipc"):
            return ArrowTable(path)
    except (OSError, pa.ArrowException) as error:
        raise BadInput(f"{path}: {reason_of(error)}") from error
    raise BadInput(f"{path}: its name ends in none of {', '.join(SUFFIXES)}")


def reason_of(error: Exception) -> str:
    """Return an error in one line, without the path that Python puts into it."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).split("\n")[0][:300]


class ParquetTable:
    """A Parquet file, read page by page within its row groups."""

    has_text_cells = False

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path
        with self._open() as file:
            schema = file.schema_arrow
            self.column_types = dict(zip(schema.names, schema.types, strict=True))
            self._rows = file.metadata.num_rows
            groups = range(file.metadata.num_row_groups)
            self._group_rows = [file.metadata.row_group(index).num_rows for index in groups]

    def share_before(self, row: int) -> float:
        """Return which share of all rows is before `row`, 0 to 1."""
        return row / (self._rows or 1)

    def pages(self, columns: list[str], first_row: int) -> Iterator[Page]:
        """Yield the rows from `first_row` on; row groups before it are not read."""
        skipped_rows, group = 0, 0
        while group < len(self._group_rows):
            if skipped_rows + self._group_rows[group] > first_row:
                break
            skipped_rows += self._group_rows[group]
            group += 1
        with self._open() as file:
            batches = file.iter_batches(
                PAGE_ROWS,
                row_groups=range(group, len(self._group_rows)),
                columns=columns,
                use_threads=False,
            )
            yield from _arrow_pages(batches, columns, skipped_rows, first_row, self.name)

    def _open(self) -> pq.ParquetFile:
        # Not buffered in advance: that would read whole row groups, which may be the whole file.
        return pq.ParquetFile(
            self._path, pre_buffer=False, buffer_size=PARQUET_BUFFER_BYTES, memory_map=False
        )


class ArrowTable:
    """An Arrow IPC file (or stream), also known as Feather."""

    has_text_cells = False

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path
        self._size = path.stat().st_size
        self._read_bytes = 0
        self._read_rows = 0
        with pa.memory_map(str(path)) as source:
            schema = _ipc_schema(source)
            self.column_types = dict(zip(schema.names, schema.types, strict=True))

    def share_before(self, row: int) -> float:
        """Return about which share of all rows is before `row`, 0 to 1."""
        return share_by_size(row, self._read_rows, self._read_bytes, self._size)

    def pages(self, columns: list[str], first_row: int) -> Iterator[Page]:
        """Yield the rows from `first_row` on."""
        with pa.memory_map(str(self._path)) as source:
            batches = self._batches(source)
            for page in _arrow_pages(batches, columns, 0, first_row, self.name):
                self._read_rows = page.first_row + page.rows
                yield page

    def _batches(self, source: pa.NativeFile) -> Iterator[pa.RecordBatch]:
        try:
            file = pa.ipc.open_file(source)
        except pa.ArrowInvalid:
            source.seek(0)
            for batch in pa.ipc.open_stream(source):
                self._read_bytes = source.tell()
                yield _checked(batch)
            return
        for index in range(file.num_record_batches):
            self._read_bytes = self._size * (index + 1) // file.num_record_batches
            yield _checked(file.get_batch(index))


class MemoryTable:
    """Record batches that a program hands over; they can be read once."""

    has_text_cells = False

    def __init__(self, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> None:
        self.name = "the table"
        self.column_types = dict(zip(schema.names, schema.types, strict=True))
        self._batches = iter(batches)

    def share_before(self, row: int) -> float:
        """Return 0: it is not known."""
        return 0.0

    def pages(self, columns: list[str], first_row: int) -> Iterator[Page]:
        """Yield the rows from `first_row` on."""
        yield from _arrow_pages(self._batches, columns, 0, first_row, self.name)


def _checked(batch: pa.RecordBatch) -> pa.RecordBatch:
    # Arrow believes offsets and lengths as they stand in the file: wrong ones ended the process, or
    # would show what else is in its memory (seen 2026-11-24).
    batch.validate(full=True)
    return batch


def _ipc_schema(source: pa.NativeFile) -> pa.Schema:
    try:
        return pa.ipc.open_file(source).schema
    except pa.ArrowInvalid:
        source.seek(0)
        return pa.ipc.open_stream(source).schema


def _arrow_pages(
    batches: Iterable[pa.RecordBatch], columns: list[str], row: int, first_row: int, name: str
) -> Iterator[Page]:
    """Batches to pages of at most `PAGE_ROWS`; `row` is that of the first batch."""
    reached = row
    try:
        for batch in batches:
            start = max(0, first_row - reached)
            while start < batch.num_rows:
                end = min(batch.num_rows, start + PAGE_ROWS)
                part = batch.slice(start, end - start)
                yield Page(reached + start, end - start, _picked(part, columns))
                start = end
            reached += batch.num_rows
    except (OSError, pa.ArrowException) as error:
        raise BadInput(f"{name}, after row {reached}: {reason_of(error)}") from error


def _picked(batch: pa.RecordBatch, columns: list[str]) -> Mapping[str, pa.Array]:
    return {name: batch.column(name) for name in columns}
