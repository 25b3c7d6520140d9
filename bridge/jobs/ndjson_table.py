"""An NDJSON file: one JSON object a line; a bad line costs only its own row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from bridge.contract.invalid import shown
from bridge.jobs.errors import BadInput
from bridge.jobs.page import Cells, Fault, Page, share_by_size

PAGE_ROWS = 4_096
LINE_BYTES_MAX = 4 << 20


class NdjsonTable:
    """Its columns are the keys of its first line; a key that a later line lacks is a null there."""

    has_text_cells = False

    def __init__(self, path: Path, *, line_bytes_max: int = LINE_BYTES_MAX) -> None:
        self.name = str(path)
        self._path = path
        self._line_bytes_max = line_bytes_max
        self._size = path.stat().st_size
        self._read_bytes = 0
        self._read_rows = 0
        self._decoder = msgspec.json.Decoder(dict[str, Any])
        with path.open("rb") as file:
            line = file.readline(line_bytes_max)
        if not line.strip():
            raise BadInput(f"{path}: is empty")
        try:
            first = self._decoder.decode(line.removeprefix(b"\xef\xbb\xbf"))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise BadInput(f"{path}, row 0: not a JSON object: {error}") from error
        self.column_types: dict[str, pa.DataType | None] = dict.fromkeys(first)
        self.first = first

    def share_before(self, row: int) -> float:
        """Return about which share of all rows is before `row`, 0 to 1."""
        return share_by_size(row, self._read_rows, self._read_bytes, self._size)

    def pages(self, columns: list[str], first_row: int) -> Iterator[Page]:
        """Yield the rows from `first_row` on; lines before it are not decoded."""
        row = 0
        rows: list[dict[str, Any]] = []
        faults: dict[int, Fault] = {}
        with self._path.open("rb") as file:
            for line in self._lines(file):
                if row >= first_row:
                    if len(rows) == PAGE_ROWS:
                        yield _page(row - len(rows), rows, faults, columns)
                        rows, faults = [], {}
                    rows.append(self._decoded(line, len(rows), faults))
                row += 1
                self._read_rows = row
        if rows:
            yield _page(row - len(rows), rows, faults, columns)

    def _lines(self, file: Any) -> Iterator[bytes]:
        """Lines that hold something; one that is too long stays too long."""
        while line := file.readline(self._line_bytes_max + 1):
            self._read_bytes += len(line)
            is_cut = len(line) > self._line_bytes_max
            rest = line
            while is_cut and rest and not rest.endswith(b"\n"):
                rest = file.readline(self._line_bytes_max)
                self._read_bytes += len(rest)
            if line.strip():
                yield line

    def _decoded(self, line: bytes, row: int, faults: dict[int, Fault]) -> dict[str, Any]:
        try:
            if len(line) > self._line_bytes_max:
                raise ValueError(f"a line of more than {self._line_bytes_max} bytes")
            return self._decoder.decode(line.removeprefix(b"\xef\xbb\xbf"))
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            faults[row] = Fault("bad_json", f"not a JSON object: {shown(error)}")
            return {}


def _page(
    first_row: int, rows: list[dict[str, Any]], faults: dict[int, Fault], columns: list[str]
) -> Page:
    cells = {name: Cells([row.get(name) for row in rows]) for name in columns}
    return Page(first_row, len(rows), cells, faults)
