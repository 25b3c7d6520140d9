"""POST /v1/jobs: an upload into the store as it comes, or the name of a file; 202 when it is kept.

An Idempotency-Key that is known leads to the job that has it: the body is read and digested, and
must be the same.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator

from aiohttp import hdrs, web

from bridge.contract.invalid import InvalidCode, InvalidInput
from bridge.gateway.body import refuse_encoded
from bridge.gateway.gateway import Gateway
from bridge.gateway.jobs.access import JobAccess
from bridge.gateway.jobs.asked import (
    Asked,
    asked_by_json,
    asked_by_query,
    idempotency_of,
    tenant_of,
)
from bridge.gateway.jobs.file_format import upload_format
from bridge.gateway.jobs.view import job_path, job_view
from bridge.gateway.problem import RETRY_SOON_S, Problem, ProblemCode
from bridge.gateway.responses import json_response
from bridge.gateway.webhooks.asked import webhook_of
from bridge.job_store.file_reference import BadReference, referenced_file
from bridge.job_store.manifest import BLOCK_BYTES, JobManifest, JobState, NewJob
from bridge.job_store.upload import KnownJob, Upload, described

UPLOADS_MAX = 16
REFERENCE_BYTES_MAX = 64 << 10
# An upload may pause for so long; and be late by so much, plus the time that this pace takes for
# what has come.
PAUSE_S_MAX = 10.0
PACE_BYTES_S = 64 << 10


class Submission:
    """Takes jobs in; at most `UPLOADS_MAX` bodies at once."""

    def __init__(self, gateway: Gateway, access: JobAccess) -> None:
        self._gateway = gateway
        self._access = access
        self._uploads = 0

    def bytes_max(self, request: web.BaseRequest) -> int:
        """Return how long the body may be.

        Raises:
            Problem: `media_type`.
        """
        is_reference = upload_format(request.headers.get(hdrs.CONTENT_TYPE, "")) is None
        return REFERENCE_BYTES_MAX if is_reference else self._access.settings.upload_bytes_max

    async def submit(self, request: web.Request) -> web.StreamResponse:
        """Answer 202 with the job's place; 200 for a known job that has ended.

        Raises:
            Problem, InvalidInput: nothing of the job is left.
        """
        refuse_encoded(request)
        bytes_max = self.bytes_max(request)
        refuse_longer(request.content_length, bytes_max)
        if self._uploads >= UPLOADS_MAX:
            raise Problem(
                ProblemCode.TOO_MANY_UPLOADS,
                f"{UPLOADS_MAX} jobs are being uploaded here now; come back later",
                retry_after_s=RETRY_SOON_S,
            )
        self._uploads += 1
        try:
            body = _Body(request, bytes_max)
            manifest = await self._submitted(request, body)
        finally:
            self._uploads -= 1
        is_known_and_ended = manifest.state.is_final
        response = json_response(job_view(manifest), 200 if is_known_and_ended else 202)
        response.headers[hdrs.LOCATION] = job_path(manifest.id)
        return response

    async def keep(self, new: NewJob, body: bytes) -> JobManifest:
        """Return the manifest of a job with this input, when it is on the disk.

        Raises:
            Problem: nothing of the job is left.
        """
        upload = await self._access.ask(self._access.store.begin_upload, new)
        if isinstance(upload, KnownJob):
            return await self._same(upload, hashlib.sha256(described(new) + body).hexdigest())
        try:
            await self._access.ask(upload.write, body)
        except BaseException:
            self._access.leave(upload.abandon)
            raise
        return await self._kept(upload, None, has_key=bool(new.idempotency))

    async def _submitted(self, request: web.Request, body: _Body) -> JobManifest:
        file_format = upload_format(request.headers.get(hdrs.CONTENT_TYPE, ""))
        if file_format is not None:
            asked = asked_by_query(request)
            return await self._stored(self._new_job(request, asked, file_format), body)
        if request.query_string:
            raise InvalidInput(InvalidCode.UNKNOWN_KEY, "a JSON body goes without a query")
        asked, file_format = asked_by_json(await body.whole())
        new = self._new_job(request, asked, file_format)
        return await self._referenced(new)

    def _new_job(self, request: web.Request, asked: Asked, file_format: str) -> NewJob:
        name, _, version = asked.model.partition("@")
        self._gateway.find(name, version or None)
        tenant = tenant_of(request.headers)
        return NewJob(
            tenant=tenant,
            model=asked.model,
            input_format=file_format,
            input_file=asked.file,
            output_format=asked.output,
            key=asked.key,
            columns=asked.columns,
            max_rejected=asked.max_rejected,
            kept_ms=self._access.settings.kept_ms,
            webhook=webhook_of(request.headers, self._access.settings.webhooks.hosts),
            idempotency=idempotency_of(request.headers, tenant),
        )

    async def _referenced(self, new: NewJob) -> JobManifest:
        folder = self._access.settings.files
        if folder is None:
            raise InvalidInput(
                InvalidCode.BAD_PARAMETER, "file: this server takes no files by name (--job-files)"
            )
        try:
            file = await asyncio.to_thread(referenced_file, folder, new.input_file)
            input_bytes = (await asyncio.to_thread(file.stat)).st_size
        except (BadReference, OSError):
            raise InvalidInput(InvalidCode.BAD_PARAMETER, f"file: {BadReference()}") from None
        upload = await self._access.ask(self._access.store.begin_upload, new)
        if isinstance(upload, KnownJob):
            return await self._same(upload, hashlib.sha256(described(new)).hexdigest())
        return await self._kept(upload, input_bytes, has_key=bool(new.idempotency))

    async def _stored(self, new: NewJob, body: _Body) -> JobManifest:
        # Whoever sends nothing is told so before anything is stored.
        first = await body.first()
        upload = await self._access.ask(self._access.store.begin_upload, new)
        if isinstance(upload, KnownJob):
            digest = hashlib.sha256(described(new))
            digest.update(first)
            self._refuse_unfinished(upload)
            async for block in body.blocks():
                digest.update(block)
            return await self._same(upload, digest.hexdigest())
        try:
            await self._access.ask(upload.write, first)
            async for block in body.blocks():
                await self._access.ask(upload.write, block)
        except BaseException:
            self._access.leave(upload.abandon)
            raise
        return await self._kept(upload, None, has_key=bool(new.idempotency))

    async def _kept(self, upload: Upload, input_bytes: int | None, *, has_key: bool) -> JobManifest:
        """The manifest of a job that is whole, when it is on the disk."""
        access = self._access
        try:
            await access.ask(upload.finish_input, input_bytes)
            manifest = await access.ask(access.store.manifest, upload.job)
            await access.confirm(upload.job)
        except BaseException:
            # The caller does not learn of it and nobody would fetch what comes out; but with an
            # Idempotency-Key it can be asked for again, by somebody who was told of it, too.
            access.leave(upload.abandon if has_key else upload.withdraw)
            raise
        return manifest

    async def _same(self, known: KnownJob, digest: str) -> JobManifest:
        """The job that has the Idempotency-Key, if it is this one."""
        self._refuse_unfinished(known)
        if known.manifest.input_digest != digest:
            raise Problem(
                ProblemCode.KEY_REUSED, "the Idempotency-Key belongs to a job that is not this one"
            )
        await self._access.confirm(known.manifest.id)
        return known.manifest

    def _refuse_unfinished(self, known: KnownJob) -> None:
        if known.manifest.state == JobState.UPLOADING:
            raise Problem(
                ProblemCode.KEY_IN_USE,
                "the request that first had the Idempotency-Key has not ended",
                retry_after_s=RETRY_SOON_S,
            )


class _Body:
    """A body as it comes, in blocks, bounded in size and in how long it is waited for."""

    def __init__(self, request: web.BaseRequest, bytes_max: int) -> None:
        self._content = request.content
        self._bytes_max = bytes_max
        self._bytes = 0
        self._waited_s = 0.0

    async def first(self) -> bytes:
        """Return the first bytes.

        Raises:
            InvalidInput: `empty`; there are none.
            Problem: `too_large` or `timeout`.
        """
        data = await self._next()
        if not data:
            raise InvalidInput(InvalidCode.EMPTY, "the body is empty: it should hold rows")
        return data

    async def blocks(self) -> AsyncIterator[bytes]:
        """Yield the rest, in blocks of about `BLOCK_BYTES`.

        Raises:
            Problem: `too_large` or `timeout`.
        """
        gathered = bytearray()
        while data := await self._next():
            gathered += data
            if len(gathered) >= BLOCK_BYTES:
                yield bytes(gathered)
                gathered.clear()
        if gathered:
            yield bytes(gathered)

    async def whole(self) -> bytes:
        """Return all of it.

        Raises:
            Problem: `too_large` or `timeout`.
        """
        return b"".join([block async for block in self.blocks()])

    async def _next(self) -> bytes:
        """The next bytes; none at the end."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        left_s = PAUSE_S_MAX + self._bytes / PACE_BYTES_S - self._waited_s
        try:
            # What the store takes is not the sender's time.
            async with asyncio.timeout(min(PAUSE_S_MAX, max(0.0, left_s))):
                data = await self._content.readany()
        except TimeoutError:
            raise Problem(
                ProblemCode.BODY_TIMEOUT,
                f"the body paused for more than {PAUSE_S_MAX:g} s, or came more slowly than "
                f"{PACE_BYTES_S} bytes/s",
            ) from None
        self._waited_s += loop.time() - began_s
        self._bytes += len(data)
        refuse_longer(self._bytes, self._bytes_max)
        return data


def refuse_longer(size: int | None, bytes_max: int) -> None:
    """Refuse a body of more than `bytes_max` bytes.

    Raises:
        Problem: `too_large`.
    """
    if size is not None and size > bytes_max:
        raise Problem(
            ProblemCode.TOO_LARGE, f"the body is larger than the {bytes_max} bytes accepted"
        )
