"""The output file: written beside its place, in the format of its suffix, then put there whole."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import msgspec
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from bridge.jobs.chunks import RejectedRow
from bridge.jobs.errors import BadInput, OutputFailed
from bridge.jobs.outputs import flat_fields

ROW_GROUP_ROWS = 131_072
SUFFIXES = (".parquet", ".pq", ".csv", ".ndjson", ".jsonl", ".arrow", ".feather", ".ipc")
REJECTED_SUFFIX = ".rejected.ndjson"


class _Sink(Protocol):
    def write(self, table: pa.Table) -> None:
        """Append rows."""

    def close(self) -> None:
        """Write what ends the file."""


def check_output(path: Path, schema: pa.Schema) -> None:
    """Refuse what could not be written when all rows are scored.

    Raises:
        BadInput: an unknown suffix, no such folder, or lists that CSV cannot hold.
    """
    if path.suffix not in SUFFIXES:
        raise BadInput(f"{path}: its name ends in none of {', '.join(SUFFIXES)}")
    if not path.parent.is_dir():
        raise BadInput(f"{path}: there is no folder {path.parent}")
    if path.is_dir():
        raise BadInput(f"{path}: is a folder")
    if path.suffix == ".csv":
        flat_fields(schema)


def rejected_path(output: Path) -> Path:
    """Return where the rejected rows of an output go."""
    return output.with_suffix(REJECTED_SUFFIX)


def write_output(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
    """Write the output and put it in its place.

    Raises:
        OutputFailed: it cannot be written; what was in its place stays.
    """

    def write(file: Any) -> None:
        sink = _sink(path.suffix, file, schema)
        for table in _grouped(batches, schema):
            sink.write(table)
        sink.close()

    _put_in_place(path, write)


def write_rejected(path: Path, rejected: Iterable[RejectedRow]) -> None:
    """Write one JSON object a line: row, key, code, reason; no file where there are none.

    Raises:
        OutputFailed: it cannot be written.
    """
    rows = iter(rejected)
    first = next(rows, None)
    if first is None:
        path.unlink(missing_ok=True)
        return

    def write(file: Any) -> None:
        for row in (first, *rows):
            file.write(msgspec.json.encode(row) + b"\n")

    _put_in_place(path, write)


def _put_in_place(path: Path, write: Any) -> None:
    beside = path.with_name(f".{path.name}.unfinished")
    try:
        with beside.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except (OSError, pa.ArrowException) as error:
        beside.unlink(missing_ok=True)
        reason = getattr(error, "strerror", None) or str(error)
        raise OutputFailed(f"{path}: {reason}") from error


def _grouped(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """Row groups whose bounds depend on the rows only; one empty group where there are none."""
    waiting: list[pa.RecordBatch] = []
    held = 0
    is_empty = True
    for batch in batches:
        waiting.append(batch)
        held += batch.num_rows
        while held >= ROW_GROUP_ROWS:
            table = pa.Table.from_batches(waiting, schema)
            yield table.slice(0, ROW_GROUP_ROWS).combine_chunks()
            is_empty = False
            waiting = table.slice(ROW_GROUP_ROWS).to_batches()
            held -= ROW_GROUP_ROWS
    if held or is_empty:
        yield pa.Table.from_batches(waiting, schema).combine_chunks()


def _sink(suffix: str, file: Any, schema: pa.Schema) -> _Sink:
    if suffix in (".parquet", ".pq"):
        return _ParquetSink(file, schema)
    if suffix == ".csv":
        return _CsvSink(file, schema)
    if suffix in (".ndjson", ".jsonl"):
        return _NdjsonSink(file)
    return _ArrowSink(file, schema)


class _ParquetSink:
    def __init__(self, file: Any, schema: pa.Schema) -> None:
        self._writer = pq.ParquetWriter(file, schema, compression="zstd")

    def write(self, table: pa.Table) -> None:
        self._writer.write_table(table, row_group_size=ROW_GROUP_ROWS)

    def close(self) -> None:
        self._writer.close()


class _ArrowSink:
    def __init__(self, file: Any, schema: pa.Schema) -> None:
        self._writer = pa.ipc.new_file(file, schema)

    def write(self, table: pa.Table) -> None:
        self._writer.write_table(table)

    def close(self) -> None:
        self._writer.close()


class _CsvSink:
    def __init__(self, file: Any, schema: pa.Schema) -> None:
        self._fields = flat_fields(schema)
        self._schema = schema
        flat = pa.schema([pa.field(name, kind) for name, _, kind in self._fields])
        self._flat = flat
        self._writer = pc.CSVWriter(file, flat)

    def write(self, table: pa.Table) -> None:
        columns: list[Any] = []
        for field in self._schema:
            values = table.column(field.name).combine_chunks()
            if not pa.types.is_fixed_size_list(field.type):
                columns.append(values)
                continue
            while pa.types.is_fixed_size_list(values.type):
                values = values.flatten()
            step = len(values) // max(1, table.num_rows)
            at = pa.array(range(0, len(values), max(1, step)), pa.int64())
            columns += [values.slice(index).take(at) for index in range(step)]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=self._flat))

    def close(self) -> None:
        self._writer.close()


class _NdjsonSink:
    def __init__(self, file: Any) -> None:
        self._file = file
        self._encoder = msgspec.json.Encoder(enc_hook=str)

    def write(self, table: pa.Table) -> None:
        # A number that is not finite is null, as in the online JSON answers: so msgspec writes it.
        self._file.write(self._encoder.encode_lines(table.to_pylist()))

    def close(self) -> None:
        """Nothing ends such a file."""
