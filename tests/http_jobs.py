"""HTTP jobs for tests: submitted to a gateway, and worked on by the test instead of a runner."""

from __future__ import annotations

from typing import Any

import aiohttp

from bridge.job_store.claims import Claim, Progress
from bridge.job_store.manifest import BLOCK_BYTES, JobState
from bridge.job_store.store import JobStore

CSV = {"Content-Type": "text/csv"}
ROWS = b"x\n1.0\n2.0\n"
PROGRESS = Progress(rows_done=50, rows_rejected=1, share_done=0.25, rows_per_s=100.0)
PER_TENANT = 20
MiB = 1 << 20


async def submitted(
    http: aiohttp.ClientSession, jobs: str, body: Any = ROWS, **headers: str
) -> dict[str, Any]:
    url = f"{jobs}?model=double"
    async with http.post(url, data=body, headers={**CSV, **headers}) as response:
        view: dict[str, Any] = await response.json()
        assert response.status == 202, view
        return view


async def refused(response: aiohttp.ClientResponse) -> tuple[int, str]:
    problem = await response.json()
    assert set(problem) == {"error", "code", "request_id"}
    return response.status, problem["code"]


def claimed(store: JobStore, job: str) -> Claim:
    claim = store.claims.claim(job, "the-test")
    assert claim is not None
    return claim


def finished(store: JobStore, job: str, output: bytes, rejected: bytes = b"") -> None:
    claim = claimed(store, job)
    for number in range(0, len(output), BLOCK_BYTES):
        block = output[number : number + BLOCK_BYTES]
        store.claims.append_output(claim, number // BLOCK_BYTES, block)
    if rejected:
        store.claims.append_rejected(claim, 0, rejected)
    store.claims.finish(claim, JobState.FINISHED)
