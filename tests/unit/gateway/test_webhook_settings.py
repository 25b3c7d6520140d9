"""The settings of webhooks, as an operator writes them."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict

from bridge.contract.invalid import InvalidInput
from bridge.gateway.webhooks.asked import webhook_of
from bridge.gateway.webhooks.hosts import WebhookHosts
from bridge.gateway.webhooks.settings import WebhookSettings, WebhookSettingsError
from tests.webhook_receiver import SECRET


def test_without_hosts_there_are_no_webhooks_and_no_secret_is_needed() -> None:
    assert WebhookSettings.parsed("", "").signer is None


def test_hosts_are_separated_by_commas() -> None:
    settings = WebhookSettings.parsed("a.example, b.example:8443", SECRET)
    assert settings.signer is not None
    assert settings.hosts.target("https://b.example:8443/x").host == "b.example"


@pytest.mark.parametrize(
    ("hosts", "secret", "named"),
    [
        ("a.example", "", "BATCHBRIDGE_WEBHOOK_SECRET"),
        ("a.example", "whsec_short", "BATCHBRIDGE_WEBHOOK_SECRET"),
        ("a.example,https://b.example", SECRET, "webhook-hosts"),
    ],
)
def test_what_is_wrong_is_named(hosts: str, secret: str, named: str) -> None:
    with pytest.raises(WebhookSettingsError, match=named):
        WebhookSettings.parsed(hosts, secret)


def test_a_webhook_is_refused_where_there_are_none() -> None:
    with pytest.raises(InvalidInput, match="webhooks are off"):
        webhook_of(CIMultiDict({"Webhook-URL": "https://a.example/"}), WebhookHosts())


def test_nobody_need_ask_for_one() -> None:
    assert webhook_of(CIMultiDict(), WebhookHosts()) == ""
