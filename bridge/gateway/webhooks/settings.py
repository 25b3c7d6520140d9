"""The settings of webhooks: where they may go, and what they are signed with."""

from __future__ import annotations

from dataclasses import dataclass, field

from bridge.gateway.webhooks.hosts import BadHostError, WebhookHosts
from bridge.gateway.webhooks.signature import BadSecretError, WebhookSigner

SECRET_VARIABLE = "BATCHBRIDGE_WEBHOOK_SECRET"  # noqa: S105 - a name


class WebhookSettingsError(Exception):
    """A setting that cannot be used; the message names it and what was expected."""


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """Without hosts there are no webhooks; with hosts there is a signer."""

    hosts: WebhookHosts = field(default_factory=WebhookHosts)
    signer: WebhookSigner | None = None

    @classmethod
    def parsed(cls, hosts: str, secret: str) -> WebhookSettings:
        """Return the settings that the texts mean: hosts with commas between them, secrets.

        Raises:
            WebhookSettingsError: naming the setting; the secret is not quoted.
        """
        entries = [entry.strip() for entry in hosts.split(",") if entry.strip()]
        if not entries:
            return cls()
        try:
            return cls(WebhookHosts(entries), WebhookSigner(secret))
        except BadHostError as error:
            raise WebhookSettingsError(f"webhook-hosts: {error}") from None
        except BadSecretError as error:
            raise WebhookSettingsError(f"{SECRET_VARIABLE}: {error}") from None
