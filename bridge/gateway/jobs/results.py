"""GET /v1/jobs/{id}/results and /rejected: streamed from the store, whole or in part."""

from __future__ import annotations

from email.utils import formatdate
from typing import Literal

from aiohttp import hdrs, web

from bridge.gateway.jobs.access import JobAccess
from bridge.gateway.jobs.byte_range import ByteRange, byte_range
from bridge.gateway.jobs.file_format import CONTENT_TYPES, NDJSON
from bridge.gateway.jobs.view import retry_after_s
from bridge.gateway.problem import RETRY_SOON_S, Problem, ProblemCode
from bridge.gateway.responses import problem_response, request_id_of
from bridge.job_store.manifest import BLOCK_BYTES, JobManifest, JobState

RETRY_S_MAX = 60.0
Part = Literal["output", "rejected"]


class Results:
    """What a job has brought."""

    def __init__(self, access: JobAccess) -> None:
        self._access = access

    async def send(
        self, request: web.Request, manifest: JobManifest, part: Part
    ) -> web.StreamResponse:
        """Answer with one part of a job that has ended.

        Raises:
            Problem: `not_finished`, `job_failed` or `job_cancelled`.
        """
        _refuse_without(manifest, part)
        if manifest.response is not None and part == "output":
            return await self._answer(request, manifest)
        etag = f'"{manifest.id}-{manifest.attempts}-{part}"'
        if _matches(request.headers.getall(hdrs.IF_NONE_MATCH, []), etag):
            return web.Response(status=304, headers={hdrs.ETAG: etag})
        size = manifest.output_bytes if part == "output" else manifest.rejected_bytes
        try:
            wanted = byte_range(
                request.headers.get(hdrs.RANGE),
                request.headers.get(hdrs.IF_RANGE),
                etag,
                size,
            )
        except Problem as problem:
            refused = problem_response(problem, request_id_of(request))
            refused.headers[hdrs.CONTENT_RANGE] = f"bytes */{size}"
            return refused
        response = _begun(manifest, part, etag, wanted, size)
        found = wanted if wanted is not None else ByteRange(0, size, size)
        return await self._stream(request, response, manifest.id, part, found)

    async def _answer(self, request: web.Request, manifest: JobManifest) -> web.StreamResponse:
        """The response that a stored request has got, as it would have come at once."""
        stored = manifest.response
        assert stored is not None
        headers = [(hdrs.CONTENT_TYPE, stored.content_type), *stored.headers]
        response = web.StreamResponse(status=stored.status, headers=headers)
        response.content_length = manifest.output_bytes
        found = ByteRange(0, manifest.output_bytes, manifest.output_bytes)
        return await self._stream(request, response, manifest.id, "output", found)

    async def _stream(
        self,
        request: web.Request,
        response: web.StreamResponse,
        job: str,
        part: Part,
        found: ByteRange,
    ) -> web.StreamResponse:
        await response.prepare(request)
        if request.method == hdrs.METH_HEAD:
            return response
        at = found.start
        while at < found.stop:
            # Blocks end where the store's do, so that each is fetched once.
            stop = min(found.stop, (at // BLOCK_BYTES + 1) * BLOCK_BYTES)
            try:
                block = await self._access.ask(self._block, job, part, at, stop)
            except Problem:
                block = b""  # too late for a response of its own: it would stand among the bytes
            if not block:
                # It expired or was removed meanwhile, or the store is away: the caller must not
                # take it for the whole.
                if request.transport is not None:
                    request.transport.abort()
                return response
            await response.write(block)
            at += len(block)
        await response.write_eof()
        return response

    def _block(self, job: str, part: Part, start: int, stop: int) -> bytes:
        store = self._access.store
        found = store.output if part == "output" else store.rejected
        return b"".join(found(job, start, stop))


def _begun(
    manifest: JobManifest, part: Part, etag: str, wanted: ByteRange | None, size: int
) -> web.StreamResponse:
    response = web.StreamResponse(status=200 if wanted is None else 206)
    content_type = CONTENT_TYPES[manifest.output_format] if part == "output" else NDJSON
    response.headers[hdrs.CONTENT_TYPE] = content_type
    response.headers[hdrs.ACCEPT_RANGES] = "bytes"
    response.headers[hdrs.ETAG] = etag
    response.headers[hdrs.LAST_MODIFIED] = formatdate(manifest.finished_ms // 1000, usegmt=True)
    if wanted is None:
        response.content_length = size
    else:
        response.content_length = wanted.stop - wanted.start
        response.headers[hdrs.CONTENT_RANGE] = wanted.content_range
    return response


def _refuse_without(manifest: JobManifest, part: Part) -> None:
    """Refuse what a job has not brought, or not yet."""
    if not manifest.state.is_final:
        raise Problem(
            ProblemCode.NOT_FINISHED,
            "the job has not ended yet",
            retry_after_s=retry_after_s(manifest, RETRY_SOON_S, RETRY_S_MAX),
        )
    if manifest.state == JobState.CANCELLED:
        raise Problem(ProblemCode.JOB_CANCELLED, "the job was cancelled")
    # What a job that gave up has rejected is why it gave up.
    if manifest.state == JobState.FAILED and part == "output" and manifest.response is None:
        error = manifest.error
        reason = "the job failed" if error is None else f"the job failed: {error.message}"
        raise Problem(ProblemCode.JOB_FAILED, reason)


def _matches(values: list[str], etag: str) -> bool:
    tags = [tag.strip().removeprefix("W/") for value in values for tag in value.split(",")]
    return etag in tags or "*" in tags
