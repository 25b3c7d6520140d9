"""Jobs in the store for tests: begun, claimed."""

from __future__ import annotations

import secrets

from bridge.job_store.claims import Claim, Progress
from bridge.job_store.manifest import BLOCK_BYTES, NewJob
from bridge.job_store.store import JobStore
from bridge.job_store.upload import Upload

NEW = NewJob(model="digits", input_format="csv", output_format="ndjson")
PROGRESS = Progress(rows_done=7, rows_rejected=1, share_done=0.5, rows_per_s=1e5)
BIG = secrets.token_bytes(2 * BLOCK_BYTES + 5)


def begun(store: JobStore, new: NewJob = NEW) -> Upload:
    upload = store.begin_upload(new)
    assert isinstance(upload, Upload)
    return upload


def claimed(store: JobStore, new: NewJob = NEW, body: bytes = b"a,b\n1,2\n") -> Claim:
    job = store.submit(new, body).job
    claim = store.claims.claim(job, "runner-1")
    assert claim is not None
    return claim
