"""What the store says of webhooks that are owed, and of requests that are given back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from bridge.embedded_queue import EmbeddedQueue
from bridge.job_store.bounds import StoreBounds
from bridge.job_store.claims import Claim, Wake
from bridge.job_store.errors import TooManyJobs
from bridge.job_store.manifest import JobState, NewJob
from bridge.job_store.store import JobStore

LONG_MS = 60_000
OWING = NewJob(kind="request", model="m", webhook="https://a.example/")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url() -> AsyncIterator[str]:
    async with EmbeddedQueue.start() as queue:
        yield queue.url


@pytest.fixture
def store(url: str) -> Iterator[JobStore]:
    """Each test begins with an empty store."""
    store = JobStore(url, StoreBounds(jobs_per_tenant_max=1, requests_per_tenant_max=2))
    for manifest in store.manifests():
        if not manifest.state.is_final:
            store.cancel(manifest.id)
        store.delete(manifest.id)
    yield store
    store.close()


def claimed(store: JobStore, new: NewJob = OWING) -> Claim:
    """A job that has been claimed."""
    claim = store.claims.claim(store.submit(new).job, "runner")
    assert claim is not None
    return claim


def ended(store: JobStore) -> str:
    """A job that has ended."""
    claim = claimed(store)
    store.claims.finish(claim, JobState.FINISHED)
    return claim.job


def test_a_job_that_ends_owes_its_webhook_at_once(store: JobStore) -> None:
    job = ended(store)
    assert (store.webhooks.due(8), store.manifest(job).webhook_state) == ([job], "pending")


def test_a_cancelled_job_owes_its_webhook_too(store: JobStore) -> None:
    job = store.submit(OWING).job
    store.cancel(job)
    assert store.webhooks.due(8) == [job]


def test_a_webhook_is_taken_by_one_and_counted(store: JobStore) -> None:
    job = ended(store)
    assert [store.webhooks.take(job, LONG_MS) for _ in range(2)] == [True, False]
    assert (store.webhooks.due(8), store.manifest(job).webhook_attempts) == ([], 1)


def test_what_is_taken_is_due_again_when_the_lease_ends(store: JobStore) -> None:
    job = ended(store)
    assert store.webhooks.take(job, 0)
    assert (store.webhooks.due(8), store.webhooks.take(job, LONG_MS)) == ([job], True)


def test_a_webhook_that_was_not_taken_is_due_after_its_delay(store: JobStore) -> None:
    job = ended(store)
    store.webhooks.take(job, LONG_MS)
    store.webhooks.again(job, 0)
    assert store.webhooks.due(8) == [job]
    store.webhooks.again(job, LONG_MS)
    assert store.webhooks.due(8) == []


def test_a_settled_webhook_is_owed_no_more(store: JobStore) -> None:
    job = ended(store)
    store.webhooks.settle(job, "delivered")
    store.webhooks.again(job, 0)
    assert (store.webhooks.due(8), store.manifest(job).webhook_state) == ([], "delivered")


def test_a_removed_job_owes_nothing(store: JobStore) -> None:
    job = ended(store)
    store.delete(job)
    store.webhooks.settle(job, "failed")
    assert (store.webhooks.due(8), store.webhooks.take(job, LONG_MS)) == ([], False)


def test_a_request_that_is_given_back_waits_for_its_delay(store: JobStore) -> None:
    claim = claimed(store)
    store.claims.release(claim, LONG_MS, forgiven=True)
    manifest = store.manifest(claim.job)
    assert (manifest.state, manifest.attempts, manifest.attempts_forgiven) == (
        JobState.WAITING,
        1,
        1,
    )
    assert store.claims.claimable("request") == []


def test_a_request_that_is_given_back_at_once_wakes_somebody(store: JobStore) -> None:
    claim = claimed(store)
    # What this test and others have put there before.
    while store.claims.wait("other", "request", 0.01) is not None:
        pass
    store.claims.release(claim)
    assert store.claims.wait("other", "request", 1.0) == Wake(claim.job, is_cancelled=False)
    assert store.claims.claimable("request") == [claim.job]


def test_requests_and_other_jobs_of_a_tenant_are_bounded_apart(store: JobStore) -> None:
    store.submit(NewJob(kind="file", model="m"))
    with pytest.raises(TooManyJobs, match="1 jobs"):
        store.submit(NewJob(kind="file", model="m"))
    for _ in range(2):
        store.submit(OWING)
    with pytest.raises(TooManyJobs, match="2 jobs"):
        store.submit(OWING)


def test_a_request_that_has_ended_makes_room_for_another(store: JobStore) -> None:
    for _ in range(3):
        ended(store)
    assert len(store.manifests()) == 3
