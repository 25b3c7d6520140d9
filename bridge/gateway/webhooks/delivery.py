"""Webhooks as work: take one that is due, send it, note how it went. Any number of gateways share.

A receiver hears of a job at least once. One that does not take it is tried again, see `retry.py`;
the attempts are counted in the store, so that they end whoever restarts.
"""

from __future__ import annotations

import random

import structlog

from bridge.gateway.later.store_threads import StoreThreads
from bridge.gateway.webhooks.hosts import BadWebhookError, WebhookHosts
from bridge.gateway.webhooks.message import message_of
from bridge.gateway.webhooks.retry import delay_s
from bridge.gateway.webhooks.sender import ANSWER_S_MAX, Delivery, WebhookSender
from bridge.job_store.errors import UnknownJob
from bridge.job_store.manifest import JobManifest
from bridge.job_store.store import JobStore

log = structlog.get_logger(__name__)

AT_ONCE_MAX = 8
# An attempt is over long before.
LEASE_MS = round(1.5e3 * ANSWER_S_MAX)
# What another gateway has left, and what is to be sent again, is looked for so often.
LOOK_S = 1.0


class WebhookDelivery:
    """The work of a gateway on webhooks; see `Work`."""

    put_off = "webhook_put_off"

    def __init__(
        self, store: JobStore, threads: StoreThreads, hosts: WebhookHosts, sender: WebhookSender
    ) -> None:
        self._store = store
        self._webhooks = store.webhooks
        self._threads = threads
        self._hosts = hosts
        self._sender = sender

    async def wait(self, *, has_room: bool) -> str | None:
        """As in `Work`; a webhook cannot be cancelled."""
        # Without room whoever wakes is left alone by not looking: the list is bounded.
        await self._threads.wait(self._webhooks.wait, LOOK_S)
        return None

    async def found(self) -> list[str]:
        """As in `Work`."""
        return await self._threads.ask(self._webhooks.due, 2 * AT_ONCE_MAX)

    async def do(self, job: str) -> None:
        """As in `Work`."""
        ask, webhooks = self._threads.ask, self._webhooks
        try:
            if not await ask(webhooks.take, job, LEASE_MS):
                return
            manifest = await ask(self._store.manifest, job)
            if not manifest.state.is_final:
                return  # its dead rows are sent again: it owes a webhook when that has ended
            await self._note(manifest, await self._attempt(manifest))
        except UnknownJob:
            await ask(webhooks.settle, job, "failed")

    async def _attempt(self, manifest: JobManifest) -> Delivery:
        try:
            target = self._hosts.target(manifest.webhook)
        except BadWebhookError as error:
            # The list is another one than when the job was accepted.
            return Delivery(False, str(error), is_final=True)
        return await self._sender.send(target, message_of(manifest))

    async def _note(self, manifest: JobManifest, delivery: Delivery) -> None:
        ask, webhooks = self._threads.ask, self._webhooks
        job, attempts = manifest.id, manifest.webhook_attempts
        if delivery.is_taken:
            await ask(webhooks.settle, job, "delivered")
            log.info("webhook_delivered", job=job, attempts=attempts)
            return
        wait_s = delay_s(attempts, random.random(), delivery.retry_after_s)  # noqa: S311 - jitter
        if delivery.is_final or wait_s is None:
            await ask(webhooks.settle, job, "failed")
            log.warning("webhook_given_up", job=job, attempts=attempts, reason=delivery.reason)
            return
        await ask(webhooks.again, job, round(wait_s * 1e3))
        log.info("webhook_put_off", job=job, attempts=attempts, reason=delivery.reason)
