"""What is sent of a job whose webhook is due."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bridge.gateway.webhooks.delivery import WebhookDelivery
from bridge.gateway.webhooks.hosts import WebhookHosts
from bridge.gateway.webhooks.message import WebhookMessage
from bridge.gateway.webhooks.sender import Delivery
from bridge.job_store.manifest import JobManifest, JobState


class Store:
    """One job, which owes a webhook."""

    def __init__(self, state: JobState) -> None:
        self.state = state
        self.settled: list[str] = []
        self.webhooks = self

    def take(self, job: str, lease_ms: int) -> bool:
        return True

    def settle(self, job: str, state: str) -> None:
        self.settled.append(state)

    def manifest(self, job: str) -> JobManifest:
        return JobManifest(
            id=job, state=self.state, created_ms=1, model="m", webhook="https://a.example/"
        )


class Threads:
    """None: everything is done at once."""

    async def ask(self, call: Callable[..., Any], *args: Any) -> Any:
        return call(*args)


class Sender:
    """A receiver that takes everything."""

    def __init__(self) -> None:
        self.sent: list[WebhookMessage] = []

    async def send(self, target: Any, message: WebhookMessage) -> Delivery:
        self.sent.append(message)
        return Delivery(True, "status 200")


@pytest.mark.parametrize(
    ("state", "settled"),
    [
        (JobState.FINISHED, ["delivered"]),
        # Its dead rows are sent again: it will end once more, and owe another one.
        (JobState.WAITING, []),
        (JobState.RUNNING, []),
    ],
)
async def test_only_a_job_that_has_ended_is_told_of(state: JobState, settled: list[str]) -> None:
    store, sender, hosts = Store(state), Sender(), WebhookHosts(["a.example"])
    delivery = WebhookDelivery(store, Threads(), hosts, sender)  # type: ignore[arg-type]
    await delivery.do("1")
    assert (store.settled, len(sender.sent)) == (settled, len(settled))
