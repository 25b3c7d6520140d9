"""The results of a job as they are streamed: whole, or visibly not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request

from bridge.gateway.jobs.results import Results
from bridge.gateway.problem import Problem, queue_unavailable
from bridge.job_store.manifest import BLOCK_BYTES, JobManifest, JobState

MANIFEST = JobManifest(
    id="1",
    state=JobState.FINISHED,
    created_ms=0,
    model="m",
    output_format="csv",
    output_bytes=BLOCK_BYTES + 1,
)


class Access:
    """Answers with what a test says, question by question."""

    def __init__(self, *answers: bytes | Problem) -> None:
        self.answers = list(answers)

    async def ask(self, *_: Any) -> bytes:
        answer = self.answers.pop(0)
        if isinstance(answer, Problem):
            raise answer
        return answer


class Transport(asyncio.Transport):
    """A connection that knows whether it was cut."""

    def __init__(self) -> None:
        super().__init__()
        self.is_cut = False

    def abort(self) -> None:
        self.is_cut = True


@pytest.mark.parametrize("broken_off", [b"", queue_unavailable()], ids=["expired", "away"])
async def test_a_download_that_cannot_go_on_is_cut_off(broken_off: bytes | Problem) -> None:
    transport = Transport()
    request = make_mocked_request("GET", "/v1/jobs/1/results", transport=transport)
    results = Results(Access(bytes(BLOCK_BYTES), broken_off))  # type: ignore[arg-type]
    response = await results.send(request, MANIFEST, "output")
    assert (response.prepared, transport.is_cut) == (True, True)
