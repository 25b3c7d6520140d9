"""A header that decides whose request it is stands once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from multidict import CIMultiDict

from bridge.contract.invalid import InvalidCode, InvalidInput
from bridge.gateway.jobs.asked import idempotency_of, tenant_of
from bridge.gateway.sole_header import Headers, sole_header
from bridge.gateway.webhooks.asked import webhook_of
from bridge.gateway.webhooks.hosts import WebhookHosts

READERS: dict[str, Callable[[Headers], object]] = {
    "X-Tenant": tenant_of,
    "Idempotency-Key": lambda headers: idempotency_of(headers, "tenant"),
    "Webhook-URL": lambda headers: webhook_of(headers, WebhookHosts(["a.example"])),
}


@pytest.mark.parametrize("name", READERS)
def test_a_header_that_stands_twice_is_refused_by_name(name: str) -> None:
    headers = CIMultiDict([(name, "https://a.example/1"), (name.lower(), "https://a.example/1")])
    with pytest.raises(InvalidInput, match=f"{name} stands 2 times") as caught:
        READERS[name](headers)
    assert caught.value.code == InvalidCode.DUPLICATE_KEY


def test_a_header_is_found_however_it_is_spelled() -> None:
    headers = CIMultiDict([("x-TENANT", "a")])
    assert (sole_header(headers, "X-Tenant"), sole_header(headers, "X-Other")) == ("a", None)
