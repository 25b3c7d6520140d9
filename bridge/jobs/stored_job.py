"""One job that came over HTTP, from its input in the store to its output there."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bridge.contract.model import ModelContract, contract_digest, encode_contract
from bridge.job_store.file_reference import BadReference, referenced_file
from bridge.job_store.manifest import JobManifest
from bridge.jobs.bookkeeping import Bookkeeping
from bridge.jobs.chunk_queue import ChunkQueue, find_contract
from bridge.jobs.chunks import Chunk, Chunking
from bridge.jobs.dead_rows import dead_chunks
from bridge.jobs.errors import (
    BadInput,
    NoWorker,
    OutputFailed,
    QueueAway,
    RunnersLost,
    Stopped,
    TooManyRejected,
)
from bridge.jobs.file_job import sample_of
from bridge.jobs.held_job import HeldJob, ProgressLost, in_blocks
from bridge.jobs.journal_records import JobIdentity, ResultLog
from bridge.jobs.output_file import check_output, write_output, write_rejected
from bridge.jobs.outputs import OutputTable
from bridge.jobs.scoring import Scoring
from bridge.jobs.shared_lane import SharedLanes
from bridge.jobs.stored_journal import RetryLog, StoredJournal
from bridge.jobs.tables import open_table, reason_of

# No worker serves the model: asked again so often, for so long.
WORKER_RETRY_S = 1.0
WORKER_AWAY_S_MAX = 300.0
NEVER_S = float("inf")
# So many runners may die over a job, and one more for each chunk that it has come further: a file
# that brings down whoever reads it ends so.
LOSSES_MAX = 5
SUFFIXES: Mapping[str, str] = {
    "csv": ".csv",
    "ndjson": ".ndjson",
    "parquet": ".parquet",
    "arrow": ".arrow",
}


@dataclass(frozen=True, slots=True)
class JobPlace:
    """Where a job's files are: `folder`, private to it, `files` what jobs may refer to."""

    folder: Path
    files: Path | None


class StoredJob:
    """One run of it; another goes on where this one was."""

    def __init__(
        self,
        manifest: JobManifest,
        held: HeldJob,
        place: JobPlace,
        redis_url: str,
        stopping: threading.Event,
    ) -> None:
        self._manifest = manifest
        self._held = held
        self._place = place
        self._redis_url = redis_url
        self._stopping = stopping
        self._source = place.folder / f"input{SUFFIXES[manifest.input_format]}"
        self._output = place.folder / f"output{SUFFIXES[manifest.output_format]}"
        self._queue: ChunkQueue | None = None
        self._scoring: Scoring | None = None

    @property
    def shown_input(self) -> str:
        """What the job's owner knows the input as."""
        return self._manifest.input_file or "the input"

    @property
    def dead_rows_before(self) -> int:
        """How many rows a retry, of which this is a run, was asked for; 0 the first time."""
        return self._manifest.dead_rows if self._manifest.dead_retries else 0

    def public(self, reason: object) -> str:
        """Return a reason as the job's owner may see it: nothing of this machine's folders."""
        text = str(reason).replace(str(self._source), self.shown_input)
        return text.replace(f"{self._place.folder}/", "")

    def nudge(self) -> None:
        """Let it look up: it is to stop, or may send; from any thread."""
        queue = self._queue
        if queue is not None:
            queue.nudge()

    def run(self, lanes: SharedLanes) -> int:
        """Score every row and store what came of it; return how many rows a retry may save.

        Raises:
            JobError: the job has failed, or was stopped.
            StorageFull, ClaimLost: of the job store.
        """
        manifest = self._manifest
        self._refuse_deadly()
        self._fetch_input()
        table = open_table(self._source)
        journal = StoredJournal(self._held, table.share_before, manifest.dead_retries)
        contract = self._contract(journal.identity)
        chunking = Chunking(
            table,
            contract,
            key=manifest.key or None,
            columns=manifest.columns,
            chunk_rows=manifest.chunk_rows,
        )
        outputs = OutputTable(
            contract.outputs, manifest.key or None, chunking.key_type, contract.decision
        )
        check_output(self._output, outputs.schema)
        journal.begin(self._identity(contract))
        try:
            self._score(contract, chunking, outputs, journal, lanes)
        except TooManyRejected:
            self._store_rejected(journal)
            raise
        write_output(self._output, outputs.schema, journal.batches(outputs.schema))
        with self._output.open("rb") as file:
            self._held.store_output(in_blocks(file.read))
        self._store_rejected(journal)
        return journal.dead

    def withdraw(self) -> None:
        """Remove what is under way from the batch lane: the job was cancelled, or has failed."""
        if self._scoring is not None:
            self._scoring.withdraw()

    def close(self) -> None:
        """Give back what it holds of this machine."""
        if self._queue is not None:
            self._queue.close()
        shutil.rmtree(self._place.folder, ignore_errors=True)

    def _score(
        self,
        contract: ModelContract,
        chunking: Chunking,
        outputs: OutputTable,
        journal: StoredJournal,
        lanes: SharedLanes,
    ) -> None:
        manifest = self._manifest
        queue = self._queue = ChunkQueue(
            self._redis_url,
            contract.key,
            manifest.id,
            self._stopping,
            away_s_max=NEVER_S,
            worker_away_s_max=WORKER_AWAY_S_MAX,
        )
        seat = lanes.join(contract.key, manifest.id, manifest.tenant, queue.nudge)
        try:
            chunks, log = _left_to_do(manifest.dead_retries > 0, chunking, journal, outputs)
            self._scoring = Scoring(queue, contract, outputs, chunks, self._stopping, turn=seat)
            Bookkeeping(
                log,
                queue,
                rejected_max=manifest.max_rejected,
                rejected_max_name="max_rejected",
                rejected_where="the rejected rows of the job",
                on_progress=lambda: None,
            ).keep(self._scoring)
            queue.end()
        finally:
            seat.leave()

    def _contract(self, identity: JobIdentity | None) -> ModelContract:
        """The contract that workers serve: of the version with which the job began."""
        model = self._manifest.model if identity is None else identity.model
        ends_s = time.monotonic() + WORKER_AWAY_S_MAX
        while True:
            try:
                return find_contract(self._redis_url, model)
            except NoWorker:
                if time.monotonic() > ends_s:
                    raise
            except QueueAway:
                ends_s = time.monotonic() + WORKER_AWAY_S_MAX
            # No event says that a worker has begun to serve a model.
            if self._stopping.wait(WORKER_RETRY_S):
                raise Stopped("stopped while waiting for a worker")

    def _refuse_deadly(self) -> None:
        manifest = self._manifest
        # This attempt, those that put the job down, and those that finished before a retry.
        ended = 1 + manifest.attempts_forgiven + manifest.dead_retries
        losses = manifest.attempts - ended
        if losses > LOSSES_MAX + manifest.rows_done // manifest.chunk_rows:
            raise RunnersLost(f"{losses} runners have died with the job in hand")

    def _fetch_input(self) -> None:
        manifest = self._manifest
        self._place.folder.mkdir(mode=0o700)
        if manifest.input_file:
            self._source = _referenced(self._place.files, manifest.input_file)
            return
        size = 0
        try:
            with self._source.open("wb") as file:
                for block in self._held.input_blocks():
                    size += file.write(block)
        except OSError as error:
            raise OutputFailed(f"no room for the input here: {reason_of(error)}") from error
        if size != manifest.input_bytes:
            raise ProgressLost(f"{size} of {manifest.input_bytes} bytes of the input are there")

    def _identity(self, contract: ModelContract) -> JobIdentity:
        manifest = self._manifest
        changed_ns, sample = 0, manifest.input_digest
        if manifest.input_file:
            status, sample = sample_of(self._source)
            changed_ns = status.st_mtime_ns
        return JobIdentity(
            input=manifest.input_file,
            input_bytes=manifest.input_bytes,
            input_changed_ns=changed_ns,
            input_sample=sample,
            model=contract.key,
            model_digest=contract_digest(encode_contract(contract)),
            key=manifest.key or None,
            columns=dict(sorted(manifest.columns.items())),
            chunk_rows=manifest.chunk_rows,
            output=manifest.output_format,
        )

    def _store_rejected(self, journal: StoredJournal) -> None:
        path = self._place.folder / "rejected.ndjson"
        write_rejected(path, journal.rejected())
        if path.exists():
            with path.open("rb") as file:
                self._held.store_rejected(in_blocks(file.read))


def _left_to_do(
    is_retry: bool, chunking: Chunking, journal: StoredJournal, outputs: OutputTable
) -> tuple[Iterator[Chunk], ResultLog]:
    """What is still to be scored, and where the results go."""
    if not is_retry:
        return chunking.chunks(journal.next_chunk, journal.end_row), journal
    chunks = dead_chunks(chunking.chunks(), journal.left_dead)
    return chunks, RetryLog(journal, outputs.schema)


def _referenced(files: Path | None, name: str) -> Path:
    """The file that a job refers to; asked again here, as links may have changed meanwhile."""
    if files is None:
        raise BadInput(f"{name}: this runner has no folder of files for jobs (--job-files)")
    try:
        return referenced_file(files, name)
    except BadReference as error:
        raise BadInput(f"{name}: {error}") from error
