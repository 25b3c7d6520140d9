"""The job store on real servers: what each call promises, whoever else does what at the time."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from redis import Redis

from bridge.embedded_queue import EmbeddedQueue, EmbeddedQueueSettings
from bridge.job_store import keys
from bridge.job_store.bounds import StoreBounds
from bridge.job_store.errors import (
    NotDurable,
    StorageFull,
    TooManyJobs,
    UploadLost,
)
from bridge.job_store.manifest import (
    BLOCK_BYTES,
    MANIFEST_BYTES,
    JobState,
    NewJob,
)
from bridge.job_store.store import JobStore
from bridge.job_store.upload import KnownJob, Upload
from tests.stored_work import BIG, NEW, begun, claimed

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_job_that_was_submitted_waits_with_all_that_was_asked_for(store: JobStore) -> None:
    new = NewJob(
        tenant="a", model="digits@1", input_format="csv", key="id", columns={"x": "y"},
        max_rejected=3,
    )  # fmt: skip
    job = store.submit(new, b"12345").job
    manifest = store.manifest(job)
    asked = (manifest.tenant, manifest.model, manifest.columns, manifest.max_rejected)
    assert asked == ("a", "digits@1", {"x": "y"}, 3)
    assert (manifest.state, manifest.input_bytes) == (JobState.WAITING, 5)
    assert manifest.created_ms > 1e12


async def test_an_upload_comes_back_byte_for_byte(store: JobStore) -> None:
    upload = begun(store)
    for start in range(0, len(BIG), 300_000):
        upload.write(BIG[start : start + 300_000])
    upload.finish_input()
    assert b"".join(store.claims.input_blocks(upload.job)) == BIG


async def test_stored_bytes_are_what_was_written_and_a_reservation(store: JobStore) -> None:
    store.submit(NEW, BIG)
    assert store.stored_bytes() == len(BIG) + MANIFEST_BYTES


async def test_an_upload_past_the_cap_leaves_nothing(url: str, redis: Redis) -> None:
    store = JobStore(url, StoreBounds(stored_bytes_max=2 * BLOCK_BYTES))
    upload = begun(store)
    with pytest.raises(StorageFull):
        upload.write(BIG)
    assert (store.stored_bytes(), store.manifests()) == (0, [])
    assert redis.exists(keys.part_key(upload.job, "input")) == 0


async def test_a_new_job_is_refused_while_the_store_is_full(url: str, redis: Redis) -> None:
    store = JobStore(url, StoreBounds(stored_bytes_max=2 * MANIFEST_BYTES - 1))
    store.submit(NEW)
    with pytest.raises(StorageFull):
        store.begin_upload(NEW)


async def test_a_server_without_memory_for_more_is_a_full_store(
    store: JobStore, redis: Redis
) -> None:
    upload = begun(store)
    redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(StorageFull):
            upload.write(BIG)
        upload.abandon()
        assert store.stored_bytes() == 0
    finally:
        redis.config_set("maxmemory", 0)


async def test_an_upload_that_falls_silent_is_removed(url: str, redis: Redis) -> None:
    store = JobStore(url, StoreBounds(upload_silent_ms=1))
    upload = begun(store)
    with pytest.raises(UploadLost):
        for _ in range(1_000):
            upload.write(bytes(BLOCK_BYTES))
            store.stored_bytes()
    assert (store.stored_bytes(), store.manifests()) == (0, [])


async def test_an_abandoned_upload_leaves_no_key(store: JobStore, redis: Redis) -> None:
    upload = begun(store, NewJob(model="digits", idempotency="0" * 64))
    upload.write(BIG)
    upload.abandon()
    assert redis.keys() == [keys.BYTES_KEY.encode()]
    assert redis.hgetall(keys.BYTES_KEY) == {b"total": b"0"}


async def test_a_tenant_may_have_so_many_unfinished_jobs(url: str, redis: Redis) -> None:
    store = JobStore(url, StoreBounds(jobs_per_tenant_max=2))
    for _ in range(2):
        store.submit(NewJob(tenant="a", model="digits"))
    with pytest.raises(TooManyJobs):
        store.begin_upload(NewJob(tenant="a", model="digits"))
    assert isinstance(store.begin_upload(NewJob(tenant="b", model="digits")), Upload)


async def test_a_tenants_finished_jobs_do_not_count(url: str, redis: Redis) -> None:
    store = JobStore(url, StoreBounds(jobs_per_tenant_max=1))
    store.claims.finish(claimed(store), JobState.FINISHED)
    assert isinstance(store.begin_upload(NEW), Upload)


async def test_a_job_with_a_known_idempotency_key_is_the_first_one(store: JobStore) -> None:
    new = NewJob(model="digits", idempotency=keys.idempotency_digest("", "key"))
    upload = begun(store, new)
    while_uploading = store.begin_upload(new)
    upload.finish_input()
    known = store.begin_upload(new)
    assert isinstance(while_uploading, KnownJob)
    assert isinstance(known, KnownJob)
    assert while_uploading.manifest.state == JobState.UPLOADING
    assert (known.manifest.id, known.manifest.input_digest) == (upload.job, upload.digest)


async def test_pages_list_every_job_once_youngest_first(store: JobStore) -> None:
    jobs = [store.submit(NEW).job for _ in range(5)]
    listed: list[str] = []
    while page := store.manifests(after=listed[-1] if listed else "", limit=2):
        listed += [manifest.id for manifest in page]
    assert listed == sorted(jobs, reverse=True)


async def test_a_list_can_be_of_one_tenant_and_one_state(store: JobStore) -> None:
    jobs = [store.submit(NewJob(tenant=tenant, model="digits")).job for tenant in "aabb"]
    for job in jobs[1:3]:
        store.cancel(job)
    found = store.manifests(tenant="a", state=JobState.CANCELLED, limit=1)
    assert [manifest.id for manifest in found] == [jobs[1]]
    assert len(store.manifests(state=JobState.CANCELLED)) == 2
    assert store.counts()[JobState.WAITING] == 2


async def test_a_job_is_confirmed_by_a_server_that_keeps_it(store: JobStore) -> None:
    uploading, whole = begun(store).job, store.submit(NEW).job
    assert store.confirm([whole, uploading, "0"]) == [True, False, False]


async def test_a_server_without_an_append_only_file_is_refused_by_name() -> None:
    async with EmbeddedQueue.start() as queue:
        with pytest.raises(NotDurable, match="appendonly"):
            JobStore(queue.url).check_durable()


async def test_what_was_confirmed_survives_the_death_of_the_server(tmp_path: Path) -> None:
    async with EmbeddedQueue.start(EmbeddedQueueSettings(data_directory=tmp_path)) as queue:
        store = JobStore(queue.url)
        upload = store.submit(NEW, BIG)
        assert store.confirm([upload.job]) == [True]
        os.kill(queue.pid, signal.SIGKILL)
        await queue.restart()
        assert b"".join(store.claims.input_blocks(upload.job)) == BIG
        assert store.manifest(upload.job).input_digest == upload.digest
