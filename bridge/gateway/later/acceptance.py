"""A request that need not be answered now: checked, stored, promised with a 202.

What its caller did wrong is said at once, as always. The 202 says that the request is on the
queue's disk; from then on it is a job like any other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import hdrs, web

from bridge.gateway.gateway import Gateway
from bridge.gateway.inference import InferHead
from bridge.gateway.jobs.access import JobAccess
from bridge.gateway.jobs.asked import idempotency_of, tenant_of
from bridge.gateway.jobs.submission import Submission
from bridge.gateway.jobs.view import job_path, job_view
from bridge.gateway.later.answering import Answering
from bridge.gateway.later.prefer import APPLIED_HEADER, RespondAsync
from bridge.gateway.later.stored import model_of, stored_request
from bridge.gateway.problem import Problem
from bridge.gateway.reply import REQUEST_ID_HEADER
from bridge.gateway.responses import json_response, request_id_of
from bridge.gateway.webhooks.asked import webhook_of
from bridge.job_store.manifest import NewJob


class Acceptance:
    """Takes requests in that are answered later."""

    def __init__(self, access: JobAccess, submission: Submission, answering: Answering) -> None:
        self._access = access
        self._submission = submission
        self._answering = answering

    @classmethod
    def of(cls, gateway: Gateway, access: JobAccess) -> Acceptance:
        """Return the acceptance of a gateway."""
        return cls(access, Submission(gateway, access), Answering(gateway))

    async def respond(
        self,
        request: web.Request,
        head: InferHead,
        body: bytes,
        preference: RespondAsync,
        answer_now: Callable[[], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        """Answer with `answer_now` if the preference's wait is long enough for it, else with 202.

        Nothing is stored before the wait is over: until then the caller has no promise, as
        whoever waits for an answer.

        Raises:
            Problem: as `_accept`, or what `answer_now` raises and time would not change.
            InvalidInput: what the caller did wrong.
        """
        await self._answering.check(head, body)
        new = self._new_job(request, head)
        if preference.wait_s:
            try:
                async with asyncio.timeout(preference.wait_s):
                    return await answer_now()
            except TimeoutError:
                pass  # the rows that wait are given up: they run when the stored request does
            except Problem as problem:
                if not self._answering.is_passing(problem):
                    raise
        return await self._accept(request, new, body, preference)

    async def _accept(
        self, request: web.Request, new: NewJob, body: bytes, preference: RespondAsync
    ) -> web.StreamResponse:
        """Store a request that was checked and answer 202 with where its answer will be.

        Raises:
            Problem: `storage_full`, `too_many_jobs`, `queue_unavailable` and what has to do with
                an Idempotency-Key; nothing of the request is left.
        """
        manifest = await self._submission.keep(new, body)
        response = json_response(job_view(manifest), 202)
        response.headers[hdrs.LOCATION] = job_path(manifest.id)
        response.headers[APPLIED_HEADER] = preference.applied
        response.headers[REQUEST_ID_HEADER] = request_id_of(request)
        return response

    def _new_job(self, request: web.Request, head: InferHead) -> NewJob:
        tenant = tenant_of(request.headers)
        settings = self._access.settings
        # By its key a request that is sent again is the same, whatever id it has this time.
        key = idempotency_of(request.headers, tenant)
        request_id = None if key else request_id_of(request)
        return NewJob(
            kind="request",
            tenant=tenant,
            model=model_of(head),
            webhook=webhook_of(request.headers, settings.webhooks.hosts),
            kept_ms=settings.kept_ms,
            idempotency=key,
            request=stored_request(request.path, head, request_id),
        )
