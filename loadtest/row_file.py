"""Rows from a table: CSV, NDJSON (one object per line), or Parquet where pyarrow is installed."""

from __future__ import annotations

import csv
import hashlib
import importlib
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from loadtest.body_source import Drawn, check_count
from loadtest.datatypes import DTYPES, Array, text_array
from loadtest.errors import BadRows
from loadtest.server_model import ServerModel, Tensor

ROWS_MAX = 1_000_000
FILE_BYTES_MAX = 2**30
_NOT_THERE = object()
_TRUE, _FALSE = ("true", "1", "yes"), ("false", "0", "no")

Record = Mapping[str, Any]


class RowFile:
    """Rows sampled from a file: in a random order from a seed, all of them before one comes again.

    A file's columns are found by name: an input's own name, or the names of its columns; `columns`
    says which column of the file is meant where the names differ. Other columns are ignored.
    `expected` is a second file, row by row, with the outputs that must be answered.

    Raises:
        BadRows: a file that cannot be read, a missing column, a value of another type.
    """

    def __init__(
        self,
        model: ServerModel,
        file: Path,
        *,
        seed: int = 0,
        expected: Path | None = None,
        columns: Mapping[str, str] | None = None,
    ) -> None:
        self._model = model
        self._rows, sha256 = read_rows(file, model.inputs, columns or {})
        self._described: dict[str, Any] = {
            "kind": "file",
            "file": str(file),
            "sha256": sha256,
            "seed": seed,
        }
        self._count = len(next(iter(self._rows.values())))
        self._expected: dict[str, Array] | None = None
        if expected is not None:
            self._read_expected(expected, columns or {})
        self._random = np.random.default_rng(seed)
        self._order = np.empty(0, dtype=np.intp)

    def draw(self, count: int) -> Drawn:
        check_count(self._model, count)
        while len(self._order) < count:
            self._order = np.concatenate([self._order, self._random.permutation(self._count)])
        at, self._order = self._order[:count], self._order[count:]
        expected = self._expected
        return Drawn(
            {name: array[at] for name, array in self._rows.items()},
            None if expected is None else {name: array[at] for name, array in expected.items()},
        )

    def describe(self) -> dict[str, Any]:
        return {**self._described, "rows": self._count}

    def _read_expected(self, file: Path, columns: Mapping[str, str]) -> None:
        if not self._model.outputs:
            raise BadRows(f"{file}: the model's outputs are not known, so they cannot be read")
        records, sha256 = _read(file)
        wanted = [tensor for tensor in self._model.outputs if _has(records[0], tensor, columns)]
        if not wanted:
            names = ", ".join(tensor.name for tensor in self._model.outputs)
            raise BadRows(f"{file}: has none of the outputs {names}")
        self._expected = {
            tensor.name: _tensor(records, tensor, columns, file, is_output=True)
            for tensor in wanted
        }
        if len(records) != self._count:
            raise BadRows(f"{file}: {len(records)} rows for {self._count} rows of input")
        self._described |= {"expected": str(file), "expected_sha256": sha256}


def read_rows(
    file: Path, tensors: Sequence[Tensor], columns: Mapping[str, str]
) -> tuple[dict[str, Array], str]:
    """Return all rows of a file as tensors, and the file's SHA-256; see `RowFile`."""
    records, sha256 = _read(file)
    return {tensor.name: _tensor(records, tensor, columns, file) for tensor in tensors}, sha256


def _read(file: Path) -> tuple[list[Record], str]:
    try:
        data = file.read_bytes() if file.stat().st_size <= FILE_BYTES_MAX else None
    except OSError as error:
        raise BadRows(f"{file}: {error.strerror or error}") from error
    if data is None:
        raise BadRows(f"{file}: larger than {FILE_BYTES_MAX} bytes")
    if file.suffix == ".parquet":
        records = _parquet(file)
    elif file.suffix in (".ndjson", ".jsonl"):
        records = list(_ndjson(data, file))
    elif file.suffix == ".csv":
        records = list(_csv(data, file))
    else:
        raise BadRows(f"{file}: neither .csv, .ndjson, .jsonl nor .parquet")
    if not 0 < len(records) <= ROWS_MAX:
        raise BadRows(f"{file}: {len(records)} rows, 1 to {ROWS_MAX} are accepted")
    return records, hashlib.sha256(data).hexdigest()


def _csv(data: bytes, file: Path) -> Iterator[Record]:
    try:
        reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        for record in reader:
            if None in record or None in record.values():
                raise BadRows(f"{file}, line {reader.line_num}: another number of values")
            # An empty cell is a missing value.
            yield {key: None if text == "" else text for key, text in record.items()}
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadRows(f"{file}: not CSV: {error}") from error


def _ndjson(data: bytes, file: Path) -> Iterator[Record]:
    decoder = msgspec.json.Decoder(dict[str, Any])
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            yield decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadRows(f"{file}, line {number}: not a JSON object: {error}") from error


def _parquet(file: Path) -> list[Record]:
    try:
        # By name, because it is no dependency: whoever has Parquet files installs it.
        reader = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise BadRows(f"{file}: reading Parquet needs the package pyarrow") from None
    try:
        records: list[Record] = reader.read_table(file).to_pylist()
    except (OSError, ValueError) as error:
        raise BadRows(f"{file}: not Parquet: {error}") from error
    return records


def _has(record: Record, tensor: Tensor, columns: Mapping[str, str]) -> bool:
    return not _missing(record, tensor, columns)


def _missing(record: Record, tensor: Tensor, columns: Mapping[str, str]) -> list[str]:
    """The columns that the file should have and has not, [] where the tensor can be read."""
    if columns.get(tensor.name, tensor.name) in record:
        return []
    names = [columns.get(name, name) for name in tensor.columns]
    missing = [name for name in names if name not in record]
    return missing if names else [columns.get(tensor.name, tensor.name)]


def _tensor(
    records: Sequence[Record],
    tensor: Tensor,
    columns: Mapping[str, str],
    file: Path,
    *,
    is_output: bool = False,
) -> Array:
    missing = _missing(records[0], tensor, columns)
    if missing:
        kind = "output" if is_output else "input"
        listed = ", ".join(missing[:5])
        raise BadRows(f"{file}: no column {listed} for the {kind} {tensor.name!r}")
    own = columns.get(tensor.name, tensor.name)
    names = [own] if own in records[0] else [columns.get(name, name) for name in tensor.columns]
    rows: list[Array] = []
    for number, record in enumerate(records, start=1):
        try:
            cells = [record.get(name, _NOT_THERE) for name in names]
            rows.append(_row(cells if names != [own] else _nested(cells[0], tensor), tensor))
        except (ValueError, TypeError, OverflowError) as error:
            raise BadRows(f"{file}, row {number}, {tensor.name!r}: {error}") from None
    try:
        return np.stack(rows)
    except ValueError:
        raise BadRows(f"{file}, {tensor.name!r}: rows of different shapes") from None


def _nested(cell: Any, tensor: Tensor) -> Any:
    """A cell that holds a whole row's value: a list, in CSV written as JSON."""
    if tensor.row_shape and isinstance(cell, str) and cell.startswith("["):
        return msgspec.json.decode(cell)
    return cell


def _row(cell: Any, tensor: Tensor) -> Array:
    """One row's value as an array of the tensor's dtype and row shape."""
    dtype = DTYPES[tensor.datatype]
    shape = tensor.row_shape
    flat = [_value(item, dtype.kind) for item in _flat(cell)]
    array = text_array(flat) if dtype == object else np.array(flat, dtype=dtype)
    if shape.count(-1) > 1:
        # Which dimension is how long can only be seen from nested lists.
        shape = np.shape(cell)
    return array.reshape(shape)


def _flat(cell: Any) -> list[Any]:
    if not isinstance(cell, list):
        return [cell]
    return [element for item in cell for element in _flat(item)]


def _value(value: Any, kind: str) -> Any:
    if value is _NOT_THERE:
        raise ValueError("the column is missing in this row")
    if value is None:
        if kind == "f":
            return float("nan")
        raise ValueError("is empty, and only floating-point inputs know a missing value")
    if kind == "O":
        return value if isinstance(value, str) else str(value)
    if kind == "b":
        return _flag(value)
    if kind in "iu":
        return _whole(value)
    return float(value)


def _flag(value: Any) -> bool:
    text = str(value).strip().lower()
    if text not in _TRUE + _FALSE:
        raise ValueError(f"{value!r} is neither true nor false")
    return text in _TRUE


def _whole(value: Any) -> int:
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            value = float(value)  # spreadsheets write 3 as 3.0
    if isinstance(value, bool) or value != int(value):
        raise ValueError(f"{value!r} is not a whole number")
    return int(value)
