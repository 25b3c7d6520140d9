"""Claims of the job store on real servers: one runner at a time, and no write of any other."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from redis import Redis

from bridge.job_store import keys
from bridge.job_store.bounds import StoreBounds
from bridge.job_store.errors import (
    ClaimLost,
    JobCancelled,
    StorageFull,
    UnknownJob,
    WrongState,
)
from bridge.job_store.manifest import (
    BLOCK_BYTES,
    MANIFEST_BYTES,
    JobFault,
    JobState,
    NewJob,
    StoredResponse,
)
from bridge.job_store.store import JobStore
from tests.stored_work import BIG, NEW, PROGRESS, claimed

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_only_one_runner_gets_a_job(store: JobStore) -> None:
    job = store.submit(NEW).job
    claims = [store.claims.claim(job, f"runner-{number}") for number in range(3)]
    assert [claim is None for claim in claims] == [False, True, True]


async def test_a_job_whose_lease_ended_goes_to_the_next_runner(store: JobStore) -> None:
    job = store.submit(NEW).job
    assert store.claims.claim(job, "first", lease_ms=0) is not None
    assert store.claims.claimable() == [job]
    assert store.claims.claim(job, "second") is not None
    assert store.claims.claimable() == []
    assert store.manifest(job).attempts == 2


async def test_a_runner_that_was_overtaken_can_write_nothing(store: JobStore) -> None:
    job = store.submit(NEW).job
    late = store.claims.claim(job, "late", lease_ms=0)
    assert late is not None
    assert store.claims.claim(job, "next") is not None
    claims = store.claims
    writes: list[Callable[[], None]] = [
        lambda: claims.renew(late),
        lambda: claims.release(late),
        lambda: claims.append_progress(late, 0, b"record", PROGRESS),
        lambda: claims.append_output(late, 0, b"block"),
        lambda: claims.set_progress(late, PROGRESS),
        lambda: claims.finish(late, JobState.FINISHED),
    ]
    for write in writes:
        with pytest.raises(ClaimLost):
            write()
    assert (store.manifest(job).state, store.manifest(job).output_bytes) == (JobState.RUNNING, 0)


async def test_progress_and_manifest_change_together_and_once(store: JobStore) -> None:
    claim = claimed(store)
    for number in (0, 0, 1, 1, 0):
        store.claims.append_progress(claim, number, b"record %d" % number, PROGRESS)
    assert list(store.claims.progress_records(claim.job)) == [b"record 0", b"record 1"]
    manifest = store.manifest(claim.job)
    assert (manifest.rows_done, manifest.rows_per_s, manifest.progress_bytes) == (7, 1e5, 16)


async def test_a_record_after_a_gap_is_refused(store: JobStore) -> None:
    with pytest.raises(WrongState):
        store.claims.append_progress(claimed(store), 1, b"record", PROGRESS)


async def test_a_running_job_cannot_pass_the_cap_either(url: str, redis: Redis) -> None:
    store = JobStore(url, StoreBounds(stored_bytes_max=2 * MANIFEST_BYTES))
    claim = claimed(store)
    with pytest.raises(StorageFull):
        store.claims.append_output(claim, 0, bytes(MANIFEST_BYTES))


async def test_any_range_of_the_output_can_be_read(store: JobStore) -> None:
    claim = claimed(store)
    for number in range(3):
        store.claims.append_output(claim, number, BIG[number * BLOCK_BYTES :][:BLOCK_BYTES])
    store.claims.finish(claim, JobState.FINISHED)
    for start, stop in [(0, len(BIG)), (BLOCK_BYTES - 1, BLOCK_BYTES + 1), (5, 5), (7, 10**9)]:
        assert b"".join(store.output(claim.job, start, stop)) == BIG[start:stop]


async def test_a_new_attempt_begins_with_an_empty_output_and_the_progress(store: JobStore) -> None:
    claim = claimed(store)
    store.claims.append_progress(claim, 0, b"record", PROGRESS)
    store.claims.append_output(claim, 0, b"block")
    store.claims.append_rejected(claim, 0, b"row")
    store.claims.release(claim)
    again = store.claims.claim(claim.job, "runner-2")
    assert again is not None
    assert list(store.output(claim.job, 0, 9)) == []
    assert list(store.claims.progress_records(claim.job)) == [b"record"]
    stored = MANIFEST_BYTES + len(b"a,b\n1,2\n") + len(b"record")
    assert store.stored_bytes() == stored


async def test_an_ended_job_keeps_its_results_only(store: JobStore) -> None:
    claim = claimed(store)
    store.claims.append_progress(claim, 0, b"record", PROGRESS)
    store.claims.append_output(claim, 0, b"block")
    store.claims.append_rejected(claim, 0, b"row")
    store.claims.finish(claim, JobState.FINISHED)
    assert store.stored_bytes() == MANIFEST_BYTES + len(b"block") + len(b"row")
    manifest = store.manifest(claim.job)
    assert (manifest.state, manifest.share_done) == (JobState.FINISHED, 1.0)
    assert manifest.expires_ms - manifest.finished_ms == manifest.kept_ms


async def test_the_end_may_be_said_twice(store: JobStore) -> None:
    claim = claimed(store)
    for _ in range(2):
        store.claims.finish(claim, JobState.FAILED, error=JobFault("bad_input", "no such column"))
    assert store.manifest(claim.job).error == JobFault("bad_input", "no such column")


async def test_a_response_is_kept_with_the_job(store: JobStore) -> None:
    claim = claimed(store, NewJob(kind="request", model="digits"))
    response = StoredResponse(status=200, content_type="application/json", headers=[("a", "b")])
    store.claims.finish(claim, JobState.FINISHED, response=response)
    assert store.manifest(claim.job).response == response


async def test_an_expired_job_leaves_no_key(store: JobStore, redis: Redis) -> None:
    new = NewJob(model="digits", tenant="a", kept_ms=-61_000, idempotency="0" * 64)
    claim = claimed(store, new)
    store.claims.append_output(claim, 0, b"block")
    store.claims.finish(claim, JobState.FINISHED)
    with pytest.raises(UnknownJob):
        store.manifest(claim.job)
    left = {key for key in redis.scan_iter() if b":wake:" not in key}
    assert left == {keys.BYTES_KEY.encode()}
    assert store.stored_bytes() == 0


async def test_a_cancelled_job_frees_its_bytes_and_tells_its_runner(store: JobStore) -> None:
    claim = claimed(store)
    store.claims.append_progress(claim, 0, b"record", PROGRESS)
    store.cancel(claim.job)
    wake = store.claims.wait("runner-1", kind=None, timeout_s=1)
    assert wake is not None
    assert (wake.job, wake.is_cancelled) == (claim.job, True)
    with pytest.raises(JobCancelled):
        store.claims.append_progress(claim, 1, b"record", PROGRESS)
    assert store.stored_bytes() == MANIFEST_BYTES


async def test_a_waiting_job_that_is_cancelled_cannot_be_claimed(store: JobStore) -> None:
    job = store.submit(NEW).job
    store.cancel(job)
    assert store.claims.claim(job, "runner-1") is None
    assert store.claims.claimable() == []


async def test_only_an_ended_job_can_be_deleted_and_only_another_cancelled(
    store: JobStore,
) -> None:
    job = store.submit(NEW).job
    with pytest.raises(WrongState):
        store.delete(job)
    store.cancel(job)
    with pytest.raises(WrongState):
        store.cancel(job)
    store.delete(job)
    with pytest.raises(UnknownJob):
        store.delete(job)
    assert store.stored_bytes() == 0


async def test_a_job_with_dead_rows_can_be_run_again_from_its_progress(store: JobStore) -> None:
    claim = claimed(store, body=b"body")
    store.claims.append_progress(claim, 0, b"record", PROGRESS)
    store.claims.finish(claim, JobState.FINISHED, dead_rows=1)
    store.retry_dead(claim.job)
    again = store.claims.claim(claim.job, "runner-2")
    assert again is not None
    assert list(store.claims.progress_records(claim.job)) == [b"record"]
    assert list(store.claims.input_blocks(claim.job)) == [b"body"]
    assert store.manifest(claim.job).dead_retries == 1


async def test_a_job_without_dead_rows_cannot_be_retried(store: JobStore) -> None:
    claim = claimed(store)
    store.claims.finish(claim, JobState.FINISHED)
    with pytest.raises(WrongState):
        store.retry_dead(claim.job)


async def test_a_runner_is_woken_by_a_new_job(store: JobStore) -> None:
    job = store.submit(NEW).job
    wake = store.claims.wait("runner-1", timeout_s=1)
    assert wake is not None
    assert (wake.job, wake.is_cancelled) == (job, False)
