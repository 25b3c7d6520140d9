"""A CSV file with a header: every cell is read as bytes, and a bad line costs only its own row."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pc

from bridge.contract.invalid import shown
from bridge.jobs.errors import BadInput
from bridge.jobs.page import SCHEMA_FAULT, Fault, Page, share_by_size

LINE_BYTES_MAX = 4 << 20
BAD_LINES_AHEAD_MAX = 1_000_000
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
# Of the line that is numbered 1, the header, and of the first row.
_FIRST_LINE = 2


class CsvTable:
    """Comma-separated UTF-8, quoted with `"`; an empty cell is a missing value, `""` is not.

    Lines with another number of cells than the header are rows that could not be read.
    """

    has_text_cells = True

    def __init__(self, path: Path, *, line_bytes_max: int = LINE_BYTES_MAX) -> None:
        self.name = str(path)
        self._path = path
        self._line_bytes_max = line_bytes_max
        self._size = path.stat().st_size
        self._read_bytes = 0
        self._read_rows = 0
        with path.open("rb") as file:
            if file.read(2) in _UTF16_MARKS:
                raise BadInput(f"{path}: is UTF-16; only UTF-8 is read")
            file.seek(0)
            try:
                names = self._reader(file, None, None).schema.names
            except pa.ArrowInvalid as error:
                raise BadInput(f"{path}: {self._said(error)}") from error
        for name in names:
            if names.count(name) > 1:
                raise BadInput(f"{path}: two columns are called {shown(name)}")
        self.column_types: dict[str, pa.DataType | None] = dict.fromkeys(names, pa.binary())

    def share_before(self, row: int) -> float:
        """Return about which share of all rows is before `row`, 0 to 1."""
        return share_by_size(row, self._read_rows, self._read_bytes, self._size)

    def pages(self, columns: list[str], first_row: int) -> Iterator[Page]:
        """Yield the rows from `first_row` on; the file is read from its beginning."""
        lines = _BadLines()
        row = 0
        with self._path.open("rb") as file:
            try:
                reader = self._reader(file, columns, lines)
                for batch in reader:
                    self._read_bytes = os.lseek(file.fileno(), 0, os.SEEK_CUR)
                    page = lines.put_back(row, batch.num_rows, dict(_columns(batch, columns)))
                    row += page.rows
                    self._read_rows = row
                    if row > first_row:
                        yield page.part(max(0, first_row - page.first_row), page.rows)
            except (OSError, pa.ArrowException) as error:
                raise BadInput(f"{self.name}, after row {row}: {self._said(error)}") from error
        nothing = {name: pa.array([], pa.binary()) for name in columns}
        rest = lines.put_back(row, 0, nothing)
        if rest.rows and row + rest.rows > first_row:
            yield rest.part(max(0, first_row - rest.first_row), rest.rows)

    def _reader(
        self, file: Any, columns: list[str] | None, lines: _BadLines | None
    ) -> pc.CSVStreamingReader:
        return pc.open_csv(
            file,
            # One thread: only then does a bad line know its number.
            read_options=pc.ReadOptions(use_threads=False, block_size=self._line_bytes_max),
            parse_options=pc.ParseOptions(
                newlines_in_values=True,
                invalid_row_handler=_passed_over if lines is None else lines.note,
            ),
            convert_options=pc.ConvertOptions(
                check_utf8=False,
                column_types=dict.fromkeys(columns or [], pa.binary()),
                include_columns=columns,
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )

    def _said(self, error: Exception) -> str:
        if "straddling" in str(error):
            return f"a line of more than {self._line_bytes_max} bytes"
        return str(error).split("\n")[0][:300]


class _BadLines:
    """Lines that the parser has passed over; it reads ahead of the rows that it gives out."""

    def __init__(self) -> None:
        self._ahead: deque[tuple[int, str]] = deque()

    def note(self, line: Any) -> str:
        """Keep a bad line, for the parser."""
        if len(self._ahead) >= BAD_LINES_AHEAD_MAX:
            return "error"
        reason = f"{line.actual_columns} cells where the header has {line.expected_columns}"
        self._ahead.append((line.number - _FIRST_LINE, reason))
        return "skip"

    def put_back(self, row: int, rows: int, columns: dict[str, pa.Array]) -> Page:
        """Return a page with the bad lines in their places, as rows of nulls."""
        faults: dict[int, Fault] = {}
        places: list[int | None] = []
        given = 0
        while given < rows or (not rows and self._ahead):
            if self._ahead and self._ahead[0][0] == row + len(places):
                faults[len(places)] = Fault(SCHEMA_FAULT, self._ahead.popleft()[1])
                places.append(None)
            elif given < rows:
                next_bad = self._ahead[0][0] if self._ahead else row + len(places) + rows
                count = min(rows - given, max(1, next_bad - row - len(places)))
                places.extend(range(given, given + count))
                given += count
            else:
                raise BadInput(f"row {row + len(places)}: a bad line out of place")
        if faults:
            at = pa.array(places, pa.int64())
            columns = {name: column.take(at) for name, column in columns.items()}
        return Page(row, len(places), columns, faults)


def _passed_over(_: Any) -> str:
    return "skip"


def _columns(batch: pa.RecordBatch, columns: list[str]) -> Iterator[tuple[str, pa.Array]]:
    for name in columns:
        yield name, batch.column(name)
