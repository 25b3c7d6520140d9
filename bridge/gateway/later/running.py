"""What a gateway does for those who do not wait: their requests, and the webhooks that are owed."""

from __future__ import annotations

import asyncio

from bridge.gateway.gateway import Gateway
from bridge.gateway.jobs.access import JobAccess
from bridge.gateway.later import stored_requests
from bridge.gateway.later.answering import Answering
from bridge.gateway.later.stored_requests import StoredRequests
from bridge.gateway.later.work_loop import WorkLoop
from bridge.gateway.webhooks import delivery
from bridge.gateway.webhooks.delivery import WebhookDelivery
from bridge.gateway.webhooks.sender import WebhookSender


async def run_later(gateway: Gateway, access: JobAccess) -> None:
    """Work until cancelled; what is in hand then is given back."""
    webhooks = access.settings.webhooks
    requests = StoredRequests(access.store, access.threads, Answering(gateway))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(WorkLoop(requests, stored_requests.AT_ONCE_MAX).run())
        if webhooks.signer is not None:
            sender = WebhookSender(webhooks.signer)
            owed = WebhookDelivery(access.store, access.threads, webhooks.hosts, sender)
            tasks.create_task(WorkLoop(owed, delivery.AT_ONCE_MAX).run())
