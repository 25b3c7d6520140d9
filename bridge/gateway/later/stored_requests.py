"""Stored requests as work: claim, answer, store the answer. Any number of gateways share them.

What a gateway holds it renews. One that dies leaves it to others when its leases end, and what it
would still say then is refused by the store: an answer is set once.
"""

from __future__ import annotations

import asyncio
import random
import secrets

import orjson
import structlog

from bridge.gateway.later.answering import Answering, Attempt
from bridge.gateway.later.backoff import delay_s, is_last, is_one_too_many
from bridge.gateway.later.store_threads import StoreThreads
from bridge.gateway.later.stored import infer_head, request_id_of, stored_response
from bridge.gateway.reply import Reply
from bridge.job_store.claims import Claim
from bridge.job_store.errors import ClaimLost, StorageFull, StoreAway, UnknownJob
from bridge.job_store.manifest import (
    BLOCK_BYTES,
    JobFault,
    JobManifest,
    JobState,
    Kind,
    StoredRequest,
)
from bridge.job_store.store import JobStore

log = structlog.get_logger(__name__)

# With bodies of up to 8 MiB.
AT_ONCE_MAX = 16
LEASE_MS = 4_000
RENEW_S = LEASE_MS / 1e3 / 4
# What another gateway has left, and what is to be tried again, is looked for so often.
LOOK_S = 1.0
RUNNER_BYTES = 8
_GIVEN_UP = JobFault("given_up", "the request ended with its gateway too often")
_NO_ROOM = JobFault("storage_full", "there was no room for the answer")


class StoredRequests:
    """The work of a gateway on stored requests; see `Work`."""

    put_off = "stored_request_put_off"

    def __init__(self, store: JobStore, threads: StoreThreads, answering: Answering) -> None:
        self._store = store
        self._claims = store.claims
        self._threads = threads
        self._answering = answering
        self._runner = secrets.token_hex(RUNNER_BYTES)

    async def wait(self, *, has_room: bool) -> str | None:
        """As in `Work`."""
        kind: Kind | None = "request" if has_room else None
        wake = await self._threads.wait(self._claims.wait, self._runner, kind, LOOK_S)
        return wake.job if wake is not None and wake.is_cancelled else None

    async def found(self) -> list[str]:
        """As in `Work`."""
        return await self._threads.ask(self._claims.claimable, "request")

    async def do(self, job: str) -> None:
        """As in `Work`."""
        try:
            claim = await self._threads.ask(self._claims.claim, job, self._runner, LEASE_MS)
            if claim is not None:
                await self._claimed(claim)
        except (UnknownJob, ClaimLost) as error:
            log.info("stored_request_left", job=job, reason=type(error).__name__)

    async def _claimed(self, claim: Claim) -> None:
        ask, claims = self._threads.ask, self._claims
        manifest = await ask(self._store.manifest, claim.job)
        request = manifest.request
        if request is None or is_one_too_many(manifest):
            await ask(claims.finish, claim, JobState.FAILED, error=_GIVEN_UP)
            return
        try:
            attempt = await self._attempt(claim, manifest, request)
        except asyncio.CancelledError:
            # This gateway ends, or the job was cancelled; then the store refuses.
            await ask(claims.release, claim, forgiven=True)
            raise
        if attempt.retry_after_s is None:
            await self._finish(claim, manifest, attempt.reply)
        elif is_last(manifest, LEASE_MS, was_started=attempt.was_started):
            await ask(claims.finish, claim, JobState.FAILED, error=_fault(attempt.reply))
        else:
            await self._put_off(
                claim, manifest, attempt.retry_after_s, was_started=attempt.was_started
            )

    async def _put_off(
        self, claim: Claim, manifest: JobManifest, hint_s: float, *, was_started: bool
    ) -> None:
        wait_s = delay_s(manifest.attempts, hint_s, random.random())  # noqa: S311 - jitter
        await self._threads.ask(
            self._claims.release,
            claim,
            round(wait_s * 1e3),
            forgiven=not was_started,
            unanswered=was_started,
        )

    async def _attempt(
        self, claim: Claim, manifest: JobManifest, request: StoredRequest
    ) -> Attempt:
        """Make one attempt, and hold the claim meanwhile."""
        blocks = await self._threads.ask(lambda: list(self._claims.input_blocks(claim.job)))
        answer = asyncio.create_task(
            self._answering.answer(
                infer_head(manifest, request), b"".join(blocks), request_id_of(manifest, request)
            )
        )
        try:
            while not (await asyncio.wait([answer], timeout=RENEW_S))[0]:
                await self._renew(claim)
            return answer.result()
        finally:
            answer.cancel()
            await asyncio.wait([answer])

    async def _renew(self, claim: Claim) -> None:
        try:
            await self._threads.ask(self._claims.renew, claim, LEASE_MS)
        except StoreAway as error:
            # Until the lease ends the claim is good, and afterwards the store itself refuses.
            log.warning("stored_request_not_renewed", job=claim.job, reason=str(error))

    async def _finish(self, claim: Claim, manifest: JobManifest, reply: Reply) -> None:
        ask, claims, body = self._threads.ask, self._claims, reply.body
        try:
            for number, at in enumerate(range(0, len(body), BLOCK_BYTES)):
                await ask(claims.append_output, claim, number, body[at : at + BLOCK_BYTES])
        except StorageFull as error:
            # Others will expire, and so will this request.
            log.warning("stored_request_put_off", job=claim.job, reason=str(error))
            if is_last(manifest, LEASE_MS, was_started=False):
                await ask(claims.finish, claim, JobState.FAILED, error=_NO_ROOM)
            else:
                await self._put_off(claim, manifest, 0.0, was_started=False)
            return
        response = stored_response(reply)
        await ask(claims.finish, claim, JobState.FINISHED, response=response)


def _fault(reply: Reply) -> JobFault:
    document = orjson.loads(reply.body)
    return JobFault(document["code"], document["error"])
