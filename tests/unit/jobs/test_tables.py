"""Input files: every row in its place whatever is wrong with others, from any row on."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bridge.jobs.csv_table import CsvTable
from bridge.jobs.errors import BadInput
from bridge.jobs.ndjson_table import NdjsonTable
from bridge.jobs.page import Page, Table, in_ranges
from bridge.jobs.tables import open_table


def read(path: Path, columns: list[str], first_row: int = 0, rows: int = 1_000) -> list[Page]:
    return read_table(open_table(path), columns, first_row, rows)


def read_table(
    table: Table, columns: list[str], first_row: int = 0, rows: int = 1_000
) -> list[Page]:
    return list(in_ranges(table.pages(columns, first_row), rows, first_row))


def cells(pages: list[Page], column: str) -> list[Any]:
    found: list[Any] = []
    for page in pages:
        values = page.columns[column]
        found += values.to_pylist() if isinstance(values, pa.Array) else list(values)
    return found


def faults(pages: list[Page]) -> dict[int, str]:
    return {page.first_row + row: f.reason for page in pages for row, f in page.faults.items()}


@pytest.fixture(params=["parquet", "arrow", "csv", "ndjson"])
def numbers(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A file of rows n = 0 to 99."""
    path = tmp_path / f"numbers.{request.param}"
    table = pa.table({"n": list(range(100)), "other": ["x"] * 100})
    if request.param == "parquet":
        pq.write_table(table, path, row_group_size=17)
    elif request.param == "arrow":
        with pa.ipc.new_file(path, table.schema) as file:
            file.write_table(table, max_chunksize=13)
    elif request.param == "csv":
        path.write_text("n,other\n" + "".join(f"{n},x\n" for n in range(100)))
    else:
        path.write_text("".join(f'{{"n":{n},"other":"x"}}\n' for n in range(100)))
    return path


@pytest.mark.parametrize("first_row", [0, 1, 20, 34, 99, 100])
def test_reading_from_any_row_gives_the_rows_from_there(numbers: Path, first_row: int) -> None:
    found = [int(cell) for cell in cells(read(numbers, ["n"], first_row), "n")]
    assert found == list(range(first_row, 100))


def test_ranges_begin_where_they_would_had_reading_begun_at_row_0(numbers: Path) -> None:
    pages = read(numbers, ["n"], first_row=25, rows=10)
    assert [(page.first_row, page.rows) for page in pages] == [
        (25, 5),
        *((start, 10) for start in range(30, 100, 10)),
    ]


def test_a_line_of_csv_with_other_cells_keeps_its_place(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("a,b\n9\n1,x\n2\n3,y,z\n4,\n5\n")
    pages = read(path, ["a", "b"])
    assert cells(pages, "a") == [None, b"1", None, None, b"4", None]
    assert faults(pages) == {
        0: "1 cells where the header has 2",
        2: "1 cells where the header has 2",
        3: "3 cells where the header has 2",
        5: "1 cells where the header has 2",
    }


def test_bad_lines_of_csv_keep_their_places_over_many_blocks(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    bad = {0, 7, 8, 500, 4_999}
    lines = [f"{n}" if n in bad else f"{n},x" for n in range(5_000)]
    path.write_text("a,b\n" + "\n".join(lines) + "\n")
    pages = read_table(CsvTable(path, line_bytes_max=256), ["a"])
    expected = [None if n in bad else b"%d" % n for n in range(5_000)]
    assert (cells(pages, "a"), set(faults(pages))) == (expected, bad)


def test_quoted_cells_of_csv_hold_commas_quotes_and_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "quoted.csv"
    path.write_text('a,b\n"x, ""y""\nz",1\n"",2\n,3\n')
    assert cells(read(path, ["a"]), "a") == [b'x, "y"\nz', b"", None]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.csv", b"", "Empty CSV file"),
        ("empty.ndjson", b"", "is empty"),
        ("utf16.csv", "a,b\n1,2\n".encode("utf-16"), "UTF-16"),
        ("twice.csv", b"a,a\n1,2\n", "two columns are called a"),
        ("no.parquet", b"PAR1 and then nothing", "Parquet"),
        ("no.arrow", b"nothing of the kind", ""),
        ("list.ndjson", b"[1]\n", "row 0: not a JSON object"),
        ("rows.xlsx", b"", "its name ends in none of"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_refused_by_name(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BadInput, match=rf"{name}[:,] .*{said}"):
        open_table(path)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="No such file"):
        open_table(tmp_path / "none.parquet")


@pytest.mark.parametrize("is_stream", [False, True])
def test_arrow_with_offsets_beyond_its_text_is_refused(tmp_path: Path, is_stream: bool) -> None:
    path = tmp_path / "wild.arrow"
    batch = pa.record_batch({"key": ["abcd"] * 4})
    with (pa.ipc.new_stream if is_stream else pa.ipc.new_file)(path, batch.schema) as file:
        file.write_batch(batch)
    offsets, wild = struct.pack("<5i", 0, 4, 8, 12, 16), struct.pack("<5i", 0, 4, 8, -5_000, 16)
    path.write_bytes(path.read_bytes().replace(offsets, wild))
    with pytest.raises(BadInput, match=r"wild\.arrow, after row 0: "):
        read(path, ["key"])


def test_a_truncated_parquet_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.parquet"
    pq.write_table(pa.table({"n": list(range(1_000))}), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BadInput, match=r"cut\.parquet"):
        open_table(path)


def test_a_line_of_csv_that_never_ends_is_said(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_text("a,b\n" + "1,x\n" * 1_000 + "2," + "y" * 5_000 + "\n")
    with pytest.raises(BadInput, match=r"long\.csv, after row \d+: a line of more than 1000"):
        read_table(CsvTable(path, line_bytes_max=1_000), ["a"])


def test_a_line_of_json_that_is_too_long_or_no_object_costs_its_row_only(tmp_path: Path) -> None:
    path = tmp_path / "long.ndjson"
    path.write_text('{"a":1}\n{"a":"' + "x" * 500 + '"}\n\n{"a":2}\n{"a":\n[]\n{"a":3}')
    pages = read_table(NdjsonTable(path, line_bytes_max=100), ["a"])
    assert cells(pages, "a") == [1, None, 2, None, None, 3]
    assert set(faults(pages)) == {1, 3, 4}


def test_the_share_that_is_done_is_estimated_from_what_was_read(numbers: Path) -> None:
    table = open_table(numbers)
    for page in table.pages(["n"], 0):
        last = page.first_row + page.rows
    shares = [table.share_before(row) for row in (0, 50, last)]
    assert (shares[0], shares[2]) == (0.0, pytest.approx(1.0, abs=0.2))
    assert shares[1] == pytest.approx(shares[2] / 2)
