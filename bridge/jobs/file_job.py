"""One file scored into another, with its progress beside it: the job behind `batchbridge score`."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from bridge.contract.model import ModelContract, contract_digest, encode_contract
from bridge.jobs.chunk_queue import AWAY_S_MAX, ChunkQueue, find_contract
from bridge.jobs.chunks import CHUNK_ROWS, Chunking
from bridge.jobs.errors import BadInput, JobError, TooManyRejected
from bridge.jobs.journal import JobIdentity, Journal
from bridge.jobs.output_file import (
    check_output,
    rejected_path,
    write_output,
    write_rejected,
)
from bridge.jobs.outputs import OutputTable
from bridge.jobs.progress_view import ProgressView
from bridge.jobs.scoring import WINDOW_CHUNKS, Scoring
from bridge.jobs.tables import open_table, reason_of
from bridge.wire.chunk import CHUNK_ROWS_MAX

PROGRESS_SUFFIX = ".progress"
SYNC_EVERY_S = 1.0
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
            contract.inputs,
            key=settings.key,
            columns=settings.columns,
            chunk_rows=settings.chunk_rows,
        )
        outputs = OutputTable(contract.outputs, settings.key, chunking.key_type)
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
                    on_away=view.note,
                )
                try:
                    chunks = chunking.chunks(journal.next_chunk, journal.end_row)
                    scoring = Scoring(queue, contract, outputs, chunks, self._stopping)
                    _Bookkeeping(settings, journal, queue, view, table.share_before).keep(scoring)
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


class _Bookkeeping:
    """From results to the journal; a chunk leaves the queue when it is on the disk."""

    def __init__(
        self,
        settings: FileJobSettings,
        journal: Journal,
        queue: ChunkQueue,
        view: ProgressView,
        share_before: Callable[[int], float],
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._queue = queue
        self._view = view
        self._share_before = share_before
        self._unsynced: list[str] = []
        self._unsynced_chunks = 0
        self._synced_s = time.monotonic()

    def keep(self, scoring: Scoring) -> None:
        """Write down all results, or those up to an error."""
        try:
            self._refuse_too_many()
            for scored in scoring.results():
                self._journal.append(scored)
                self._unsynced += scored.parts
                self._unsynced_chunks += 1
                self._show()
                self._refuse_too_many()
                is_time = time.monotonic() - self._synced_s >= SYNC_EVERY_S
                if is_time or self._unsynced_chunks >= WINDOW_CHUNKS:
                    self._sync()
        except JobError:
            self._journal.sync()
            raise
        self._sync()

    def _sync(self) -> None:
        self._journal.sync()
        self._queue.remove(self._unsynced)
        self._unsynced, self._unsynced_chunks = [], 0
        self._synced_s = time.monotonic()

    def _show(self) -> None:
        journal = self._journal
        self._view.update(
            journal.end_row, journal.rejected_rows, self._share_before(journal.end_row)
        )

    def _refuse_too_many(self) -> None:
        most, rejected = self._settings.rejected_max, self._journal.rejected_rows
        if most is not None and rejected > most:
            raise TooManyRejected(
                f"{rejected} rows were rejected, --max-rejected is {most}; they are in "
                f"{rejected_path(self._settings.output)}"
            )


def identify(settings: FileJobSettings, contract: ModelContract) -> JobIdentity:
    """Return what makes a job the same job.

    Raises:
        BadInput: the input cannot be read.
    """
    path = settings.input
    try:
        with path.open("rb") as file:
            status = path.stat()
            sample = hashlib.sha256(file.read(SAMPLE_BYTES))
            file.seek(max(0, status.st_size - SAMPLE_BYTES))
            sample.update(file.read(SAMPLE_BYTES))
    except OSError as error:
        raise BadInput(f"{path}: {reason_of(error)}") from error
    return JobIdentity(
        input=str(path.resolve()),
        input_bytes=status.st_size,
        input_changed_ns=status.st_mtime_ns,
        input_sample=sample.hexdigest(),
        model=contract.key,
        model_digest=contract_digest(encode_contract(contract)),
        key=settings.key,
        columns=dict(sorted(settings.columns.items())),
        chunk_rows=settings.chunk_rows,
        output=str(settings.output.resolve()),
    )


def job_id(identity: JobIdentity) -> str:
    """Return the job's id: equal for equal identities."""
    return hashlib.sha256(msgspec.json.encode(identity)).hexdigest()[:JOB_ID_CHARS]
