"""The journal: what was written whole is there again, whatever was cut off behind it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bridge.jobs.chunks import RejectedRow
from bridge.jobs.errors import BadInput, OtherJob
from bridge.jobs.journal import Journal
from bridge.jobs.journal_records import JobIdentity
from bridge.jobs.scoring import ScoredChunk

SCHEMA = pa.schema([("row", pa.int64()), ("y", pa.float64())])
IDENTITY = JobIdentity(
    input="/in",
    input_bytes=1,
    input_changed_ns=2,
    input_sample="3",
    model="m@1",
    model_digest="4",
    key=None,
    columns={},
    chunk_rows=2,
    output="/out",
)


def scored(number: int) -> ScoredChunk:
    """Rows 3n to 3n + 3, of which the last was rejected."""
    rows = [3 * number, 3 * number + 1]
    batch = pa.RecordBatch.from_arrays(
        [pa.array(rows, pa.int64()), pa.array([float(row) for row in rows])], schema=SCHEMA
    )
    rejected = RejectedRow(3 * number + 2, "k", "value_range", "too large")
    return ScoredChunk(number, 3 * number + 3, batch, (rejected,), ())


def contents(journal: Journal) -> tuple[list[int], list[int]]:
    """The rows that are kept as scored, and as rejected."""
    rows = [row for batch in journal.batches(SCHEMA) for row in batch.column("row").to_pylist()]
    return rows, [row.row for row in journal.rejected()]


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "out.parquet.progress"


def write(path: Path, chunks: range) -> None:
    journal = Journal(path, IDENTITY)
    for number in chunks:
        journal.append(scored(number))
    journal.sync()
    journal.close()


def test_a_job_goes_on_after_what_is_in_its_journal(path: Path) -> None:
    write(path, range(3))
    write(path, range(3, 5))
    journal = Journal(path, IDENTITY)
    assert (journal.next_chunk, journal.end_row) == (5, 15)
    assert (journal.scored_rows, journal.rejected_rows) == (10, 5)
    assert contents(journal) == (
        [row for row in range(15) if row % 3 != 2],
        [row for row in range(15) if row % 3 == 2],
    )
    journal.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.integers(1, 2_000), st.booleans())
def test_whatever_is_cut_off_or_altered_at_the_end_only_whole_records_are_kept(
    path: Path, lost: int, is_altered: bool
) -> None:
    path.unlink(missing_ok=True)
    write(path, range(3))
    data = path.read_bytes()
    at = max(0, len(data) - lost)
    path.write_bytes(data[:at] + (b"\xff" * (len(data) - at) if is_altered else b""))
    try:
        journal = Journal(path, IDENTITY)
    except OtherJob:
        # Nothing of its first line is left as it was written.
        assert is_altered
        return
    kept = journal.next_chunk
    for number in range(kept, 3):
        journal.append(scored(number))
    assert contents(journal)[0] == [row for row in range(9) if row % 3 != 2]
    journal.close()


def test_a_journal_of_another_job_is_refused_and_what_differs_is_named(path: Path) -> None:
    write(path, range(1))
    with pytest.raises(OtherJob, match=r"with another input bytes, key; .*--restart"):
        Journal(path, replace(IDENTITY, input_bytes=9, key="id"))


def test_beginning_anew_drops_what_was_there(path: Path) -> None:
    write(path, range(2))
    journal = Journal(path, replace(IDENTITY, key="id"), restart=True)
    assert (journal.next_chunk, contents(journal)) == (0, ([], []))
    journal.close()


def test_two_processes_never_work_for_one_output(path: Path) -> None:
    first = Journal(path, IDENTITY)
    with pytest.raises(OtherJob, match="another process"):
        Journal(path, IDENTITY)
    first.close()


def test_a_file_that_is_no_journal_is_not_overwritten(path: Path) -> None:
    path.write_text("somebody's own notes")
    with pytest.raises(OtherJob, match="not a progress file"):
        Journal(path, IDENTITY)
    assert path.read_text() == "somebody's own notes"


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be written"):
        Journal(tmp_path / "none" / "x.progress", IDENTITY)
