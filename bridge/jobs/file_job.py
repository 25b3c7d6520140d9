"""One file scored into another, with its progress beside it: the job behind `batchbridge score`."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bridge.contract.model import ModelContract, contract_digest, encode_contract
from bridge.jobs.bookkeeping import Bookkeeping
from bridge.jobs.chunk_queue import AWAY_S_MAX, ChunkQueue, find_contract
from bridge.jobs.chunks import CHUNK_ROWS, Chunking
from bridge.jobs.errors import BadInput, TooManyRejected
from bridge.jobs.journal import Journal
from bridge.jobs.journal_records import JobIdentity, encode_identity
from bridge.jobs.output_file import (
    check_output,
    rejected_path,
    write_output,
    write_rejected,
)
from bridge.jobs.outputs import OutputTable
from bridge.jobs.progress_view import ProgressView
from bridge.jobs.scoring import Scoring
from bridge.jobs.tables import open_table, reason_of
from bridge.wire.chunk import CHUNK_ROWS_MAX

PROGRESS_SUFFIX = ".progress"
SAMPLE_BYTES = 64 << 10
JOB_ID_CHARS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class FileJobSettings:
    """What is scored into what. `rejected_max`: more rejected rows end the job; None: any number.

    `columns`: the file's names for the model's inputs and columns.
    """

    model: str
    input: Path
    output: Path
    key: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    rejected_max: int | None = None
    chunk_rows: int = CHUNK_ROWS
    restart: bool = False
    away_s_max: float = AWAY_S_MAX

    def __post_init__(self) -> None:
        """Check each setting.

        Raises:
            BadInput: naming the setting.
        """
        if not 1 <= self.chunk_rows <= CHUNK_ROWS_MAX:
            raise BadInput(f"--chunk-rows: {self.chunk_rows} is not between 1 and {CHUNK_ROWS_MAX}")
        if self.rejected_max is not None and self.rejected_max < 0:
            raise BadInput(f"--max-rejected: {self.rejected_max} is below 0")
        if self.output.resolve() == self.input.resolve():
            raise BadInput(f"{self.output}: is the input")


@dataclass(frozen=True, slots=True)
class JobSummary:
    """What a finished job has done; `resumed_at`: the row at which it went on, 0 if it began."""

    scored_rows: int
    rejected_rows: int
    resumed_at: int
    seconds: float


class FileJob:
    """Runs once; the same settings again go on where a stopped or killed one was."""

    def __init__(self, settings: FileJobSettings, stopping: threading.Event) -> None:
        self._settings = settings
        self._stopping = stopping

    def run(self, redis_url: str) -> JobSummary:
        """Score every row, write the output and what was rejected, remove the progress.

        Raises:
            JobError: see `bridge.jobs.errors`; what was done is kept for the next run.
        """
        settings, began_s = self._settings, time.monotonic()
        table = open_table(settings.input)
        contract = find_contract(redis_url, settings.model)
        chunking = Chunking(
            table,
            contract,
            key=settings.key,
            columns=settings.columns,
            chunk_rows=settings.chunk_rows,
        )
        outputs = OutputTable(contract.outputs, settings.key, chunking.key_type, contract.decision)
        check_output(settings.output, outputs.schema)
        identity = identify(settings, contract)
        journal = Journal(
            settings.output.with_name(settings.output.name + PROGRESS_SUFFIX),
            identity,
            restart=settings.restart,
        )
        resumed_at = journal.end_row
        try:
            title = f"{contract.key} {settings.input.name}"
            with ProgressView(title, resumed_at) as view:
                queue = ChunkQueue(
                    redis_url,
                    contract.key,
                    job_id(identity),
                    self._stopping,
                    away_s_max=settings.away_s_max,
                    worker_away_s_max=settings.away_s_max,
                    on_away=view.note,
                )
                try:
                    chunks = chunking.chunks(journal.next_chunk, journal.end_row)
                    scoring = Scoring(queue, contract, outputs, chunks, self._stopping)
                    Bookkeeping(
                        journal,
                        queue,
                        rejected_max=settings.rejected_max,
                        rejected_where=str(rejected_path(settings.output)),
                        on_progress=lambda: view.update(
                            journal.end_row,
                            journal.rejected_rows,
                            table.share_before(journal.end_row),
                        ),
                    ).keep(scoring)
                    queue.end()
                finally:
                    queue.close()
            write_output(settings.output, outputs.schema, journal.batches(outputs.schema))
            write_rejected(rejected_path(settings.output), journal.rejected())
            journal.remove()
        except TooManyRejected:
            write_rejected(rejected_path(settings.output), journal.rejected())
            raise
        finally:
            journal.close()
        seconds = time.monotonic() - began_s
        return JobSummary(journal.scored_rows, journal.rejected_rows, resumed_at, seconds)


def identify(settings: FileJobSettings, contract: ModelContract) -> JobIdentity:
    """Return what makes a job the same job.

    Raises:
        BadInput: the input cannot be read.
    """
    path = settings.input
    status, sample = sample_of(path)
    return JobIdentity(
        input=str(path.resolve()),
        input_bytes=status.st_size,
        input_changed_ns=status.st_mtime_ns,
        input_sample=sample,
        model=contract.key,
        model_digest=contract_digest(encode_contract(contract)),
        key=settings.key,
        columns=dict(sorted(settings.columns.items())),
        chunk_rows=settings.chunk_rows,
        output=str(settings.output.resolve()),
    )


def sample_of(path: Path) -> tuple[os.stat_result, str]:
    """Return what the file system says of a file, and a digest of its beginning and end.

    Raises:
        BadInput: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            status = path.stat()
            sample = hashlib.sha256(file.read(SAMPLE_BYTES))
            file.seek(max(0, status.st_size - SAMPLE_BYTES))
            sample.update(file.read(SAMPLE_BYTES))
    except OSError as error:
        raise BadInput(f"{path}: {reason_of(error)}") from error
    return status, sample.hexdigest()


def job_id(identity: JobIdentity) -> str:
    """Return the job's id: equal for equal identities."""
    return hashlib.sha256(encode_identity(identity)).hexdigest()[:JOB_ID_CHARS]
