"""The routes under /v1/jobs."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import hdrs, web

from bridge.contract.invalid import InvalidCode, InvalidInput, shown
from bridge.gateway.gateway import Gateway
from bridge.gateway.jobs.access import JobAccess
from bridge.gateway.jobs.asked import TENANT_HEADER, tenant_of
from bridge.gateway.jobs.results import Results
from bridge.gateway.jobs.submission import Submission
from bridge.gateway.jobs.view import JOBS_PATH, job_view, page_view
from bridge.gateway.metrics import GatewayMetrics
from bridge.gateway.problem import Problem, ProblemCode, queue_unavailable
from bridge.gateway.responses import json_response
from bridge.job_store.manifest import JobManifest, JobState
from bridge.job_store.store import ID_DIGITS

PAGE_DEFAULT = 50
PAGE_MAX = 200
_LIMIT_DIGITS_MAX = 9
_ID = re.compile(rf"[0-9a-f]{{{ID_DIGITS}}}")
_LISTED = ("limit", "after", "state", "tenant")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class _Parts:
    access: JobAccess
    submission: Submission
    results: Results


class JobRoutes:
    """The handlers; without `access` every one says that jobs are off."""

    def __init__(self, gateway: Gateway, access: JobAccess | None) -> None:
        self._link = gateway.link
        self._parts = (
            None if access is None else _Parts(access, Submission(gateway, access), Results(access))
        )

    def handlers(self) -> list[tuple[str, str, Handler]]:
        """Return method, path and handler of each route, but of the POST of a job."""
        one = f"{JOBS_PATH}/{{job}}"
        return [
            (hdrs.METH_GET, JOBS_PATH, self.page),
            (hdrs.METH_GET, one, self.show),
            (hdrs.METH_DELETE, one, self.remove),
            (hdrs.METH_GET, f"{one}/results", self.results),
            (hdrs.METH_GET, f"{one}/rejected", self.rejected),
            (hdrs.METH_POST, f"{one}/retry-dead", self.retry_dead),
        ]

    def bytes_max(self, request: web.BaseRequest) -> int:
        """Return how long the body of the POST of a job may be.

        Raises:
            Problem: `media_type` or `jobs_off`.
        """
        return self._on().submission.bytes_max(request)

    async def submit(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/jobs."""
        return await self._on().submission.submit(request)

    async def page(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/jobs: youngest first."""
        access = self._on().access
        words = _listed(request)
        limit = _limit(words.get("limit"))
        after = words.get("after", "")
        if "after" in words and not _ID.fullmatch(after):
            raise InvalidInput(InvalidCode.BAD_PARAMETER, "after: is not the id of a job")
        found = await access.ask(
            access.store.manifests,
            after,
            limit,
            tenant=_tenant(request, words),
            state=_state(words),
        )
        return json_response(page_view(found, limit))

    async def show(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/jobs/{id}."""
        return json_response(job_view(await self._found(request)))

    async def results(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/jobs/{id}/results."""
        manifest = await self._found(request)
        return await self._on().results.send(request, manifest, "output")

    async def rejected(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/jobs/{id}/rejected."""
        manifest = await self._found(request)
        return await self._on().results.send(request, manifest, "rejected")

    async def remove(self, request: web.Request) -> web.StreamResponse:
        """DELETE /v1/jobs/{id}: cancel a job that has not ended, remove one that has."""
        manifest = await self._found(request)
        access = self._on().access
        if manifest.state.is_final:
            await access.ask(access.store.delete, manifest.id)
            return web.Response(status=204)
        await access.ask(access.store.cancel, manifest.id)
        return json_response(job_view(await self._found(request)))

    async def retry_dead(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/jobs/{id}/retry-dead: send the rows again that the model had failed on."""
        manifest = await self._found(request)
        access = self._on().access
        await access.ask(access.store.retry_dead, manifest.id)
        await access.confirm(manifest.id)
        return json_response(job_view(await self._found(request)), 202)

    async def refresh(self, metrics: GatewayMetrics) -> None:
        """Bring the series about jobs up to date; they stay as they are while the store is away."""
        if self._parts is None or not self._link.is_up:
            return
        access = self._parts.access
        try:
            counts = await access.ask(access.store.counts)
            metrics.job_bytes.set(await access.ask(access.store.stored_bytes))
        except Problem:
            return
        for state, count in counts.items():
            metrics.jobs.labels(state.value).set(count)

    async def _found(self, request: web.Request) -> JobManifest:
        """The job that the path names; another tenant's is as unknown as none."""
        access = self._on().access
        job = request.match_info["job"]
        unknown = Problem(ProblemCode.UNKNOWN_JOB, "there is no such job; it may have expired")
        if not _ID.fullmatch(job):
            raise unknown
        manifest = await access.ask(access.store.manifest, job)
        if TENANT_HEADER in request.headers and tenant_of(request.headers) != manifest.tenant:
            raise unknown
        return manifest

    def _on(self) -> _Parts:
        if self._parts is None:
            raise Problem(
                ProblemCode.JOBS_OFF,
                "jobs are off: they need a queue with an append-only file and --job-storage-mb",
            )
        if not self._link.is_up:
            raise queue_unavailable()  # at once: a connection of the store's may wait for seconds
        return self._parts


def _listed(request: web.Request) -> dict[str, str]:
    words: dict[str, str] = {}
    for name, value in request.query.items():
        if name not in _LISTED:
            raise InvalidInput(InvalidCode.UNKNOWN_KEY, f"the query's '{shown(name)}' is not known")
        if name in words:
            raise InvalidInput(InvalidCode.DUPLICATE_KEY, f"{name} stands twice in the query")
        words[name] = value
    return words


def _limit(text: str | None) -> int:
    if text is None:
        return PAGE_DEFAULT
    is_number = text.isascii() and text.isdigit() and len(text) <= _LIMIT_DIGITS_MAX
    if not is_number or not 1 <= int(text) <= PAGE_MAX:
        raise InvalidInput(InvalidCode.BAD_PARAMETER, f"limit: is not between 1 and {PAGE_MAX}")
    return int(text)


def _state(words: dict[str, str]) -> JobState | None:
    text = words.get("state")
    if text is None:
        return None
    if text not in set(JobState):
        raise InvalidInput(InvalidCode.BAD_PARAMETER, f"state: is none of {', '.join(JobState)}")
    return JobState(text)


def _tenant(request: web.Request, words: dict[str, str]) -> str | None:
    """Whose jobs are wanted: the header's, else the query's, else everybody's."""
    if TENANT_HEADER in request.headers:
        return tenant_of(request.headers)
    return words.get("tenant")
