"""A job's journal in a real store: what another runner reads of it is what was written."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator

import msgspec
import pyarrow as pa
import pytest
import pytest_asyncio
import redis

from bridge.embedded_queue import EmbeddedQueue
from bridge.job_store.claims import Claim
from bridge.job_store.errors import ClaimLost
from bridge.job_store.keys import part_key
from bridge.job_store.manifest import NewJob
from bridge.job_store.store import JobStore
from bridge.jobs.chunks import RejectedRow
from bridge.jobs.errors import OtherJob
from bridge.jobs.held_job import HeldJob, ProgressLost
from bridge.jobs.journal_records import JobIdentity
from bridge.jobs.pending_chunk import KILLS_WORKERS
from bridge.jobs.scoring import ScoredChunk
from bridge.jobs.stored_journal import StoredJournal

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCHEMA = pa.schema([("row", pa.int64())])
IDENTITY = JobIdentity(
    input="",
    input_bytes=1,
    input_changed_ns=0,
    input_sample="",
    model="m@1",
    model_digest="d",
    key=None,
    columns={},
    chunk_rows=4,
    output="csv",
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def queue() -> AsyncIterator[EmbeddedQueue]:
    async with EmbeddedQueue.start() as running:
        yield running


@pytest.fixture
def store(queue: EmbeddedQueue) -> Iterator[JobStore]:
    store = JobStore(queue.url)
    yield store
    store.close()


@pytest.fixture
def claim(store: JobStore) -> Claim:
    new = NewJob(model="m", input_format="csv", output_format="csv")
    claim = store.claims.claim(store.submit(new, b"x").job, "a")
    assert claim is not None
    return claim


def journal(store: JobStore, claim: Claim, retry: int = 0) -> StoredJournal:
    """The journal as a runner finds it that begins now."""
    return StoredJournal(HeldJob(store.claims, claim, threading.Event()), lambda _: 0.5, retry)


def scored(number: int, dead: list[int], rows: list[int] | None = None) -> ScoredChunk:
    """What became of a chunk of four rows, or of those `rows` of it that were sent again."""
    asked = rows if rows is not None else list(range(4 * number, 4 * number + 4))
    kept = [row for row in asked if row not in dead]
    rejected = tuple(RejectedRow(row, None, KILLS_WORKERS, "no") for row in dead)
    batch = pa.RecordBatch.from_pydict({"row": kept}, schema=SCHEMA)
    return ScoredChunk(number, 4 * number + 4, batch, rejected, ())


def rows(found: StoredJournal) -> list[int]:
    return [row for batch in found.batches(SCHEMA) for row in batch.column(0).to_pylist()]


def written(store: JobStore, claim: Claim) -> StoredJournal:
    """Three chunks, of which the first and the last have dead rows."""
    first = journal(store, claim)
    first.begin(IDENTITY)
    for chunk in (scored(0, [1, 3]), scored(1, []), scored(2, [8])):
        first.append(chunk)
    return first


async def test_another_runner_reads_how_far_the_job_is(store: JobStore, claim: Claim) -> None:
    written(store, claim)
    found = journal(store, claim)
    found.begin(IDENTITY)
    counts = found.next_chunk, found.end_row, found.scored_rows, found.rejected_rows, found.dead
    assert (counts, rows(found)) == ((3, 12, 9, 3, 3), [0, 2, 4, 5, 6, 7, 9, 10, 11])
    assert store.manifest(claim.job).rows_done == 12


async def test_a_job_whose_model_is_another_one_now_does_not_go_on(
    store: JobStore, claim: Claim
) -> None:
    written(store, claim)
    with pytest.raises(OtherJob, match="model digest changed"):
        journal(store, claim).begin(msgspec.structs.replace(IDENTITY, model_digest="e"))


async def test_retried_rows_stand_in_their_places_and_the_rest_is_left_to_do(
    store: JobStore, claim: Claim
) -> None:
    written(store, claim)
    retry = journal(store, claim, retry=1)
    retry.fill_up(scored(0, [3], rows=[1, 3]), SCHEMA)
    # The runner dies here, and another one goes on.
    found = journal(store, claim, retry=1)
    assert (rows(found), list(found.left_dead)) == ([0, 1, 2, 4, 5, 6, 7, 9, 10, 11], [2])
    found.fill_up(scored(2, [], rows=[8]), SCHEMA)
    assert (rows(found), found.dead, found.rejected_rows) == (
        [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11],
        1,
        1,
    )
    again = journal(store, claim, retry=2)
    assert list(again.left_dead) == [0]
    again.fill_up(scored(0, [], rows=[3]), SCHEMA)
    assert (rows(journal(store, claim, retry=2)), again.scored_rows) == (list(range(12)), 12)


async def test_a_store_that_has_forgotten_records_is_noticed(
    store: JobStore, claim: Claim, queue: EmbeddedQueue
) -> None:
    found = written(store, claim)
    with redis.Redis.from_url(queue.url) as client:
        client.rpop(part_key(claim.job, "progress"))
    with pytest.raises(ProgressLost):
        found.append(scored(3, []))
    with pytest.raises(ProgressLost):
        rows(found)


async def test_who_has_lost_the_job_writes_nothing(store: JobStore, claim: Claim) -> None:
    found = written(store, claim)
    store.claims.release(claim)
    assert store.claims.claim(claim.job, "b") is not None
    with pytest.raises(ClaimLost):
        found.append(scored(3, []))
    assert journal(store, claim).end_row == 12
