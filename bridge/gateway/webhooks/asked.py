"""Which webhook a caller asks for."""

from __future__ import annotations

from bridge.contract.invalid import InvalidCode, InvalidInput
from bridge.gateway.sole_header import Headers, sole_header
from bridge.gateway.webhooks.hosts import WEBHOOK_HEADER, BadWebhookError, WebhookHosts


def webhook_of(headers: Headers, hosts: WebhookHosts) -> str:
    """Return the URL that is to hear of a job's end, by the header Webhook-URL; "" for none.

    Raises:
        InvalidInput: `bad_parameter`; the URL is none that webhooks go to, or there are none. Or
            `duplicate_key`.
    """
    url = sole_header(headers, WEBHOOK_HEADER)
    if url is None:
        return ""
    if not hosts:
        raise _refused("webhooks are off: the operator has listed no host")
    try:
        return hosts.target(url).url
    except BadWebhookError as error:
        raise _refused(str(error)) from None


def _refused(reason: str) -> InvalidInput:
    return InvalidInput(InvalidCode.BAD_PARAMETER, f"{WEBHOOK_HEADER}: {reason}")
