"""How a webhook proves where it comes from: the Standard Webhooks specification, symmetric keys.

Signed are id, time and body, joined by full stops, with HMAC-SHA256; a receiver compares the
signature and refuses what is older than a few minutes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"
SECRET_PREFIX = "whsec_"  # noqa: S105 - what every such secret begins with
SECRET_BYTES_MIN = 24
SECRET_BYTES_MAX = 64
SECRETS_MAX = 4


class BadSecretError(ValueError):
    """A secret that is not one of the specification's; the message does not quote it."""


class WebhookSigner:
    """Signs with every secret it has: while one is replaced, receivers may know either."""

    def __init__(self, text: str) -> None:
        """`text` holds one secret or several, with spaces between them.

        Raises:
            BadSecretError: a secret is not `whsec_` and base64 of 24 to 64 bytes.
        """
        words = text.split()
        if not 1 <= len(words) <= SECRETS_MAX:
            raise BadSecretError(f"expected 1 to {SECRETS_MAX} secrets, there are {len(words)}")
        self._secrets = [_secret(word) for word in words]

    def headers(self, webhook_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
        """Return the three headers; `timestamp_s` is the time of this attempt since 1970."""
        signed = f"{webhook_id}.{timestamp_s}.".encode() + body
        return {
            ID_HEADER: webhook_id,
            TIMESTAMP_HEADER: str(timestamp_s),
            SIGNATURE_HEADER: " ".join(_signature(secret, signed) for secret in self._secrets),
        }


def _secret(word: str) -> bytes:
    try:
        secret = base64.b64decode(word.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        secret = b""
    if not word.startswith(SECRET_PREFIX) or not SECRET_BYTES_MIN <= len(secret) <= (
        SECRET_BYTES_MAX
    ):
        raise BadSecretError(
            f"expected {SECRET_PREFIX} and base64 of {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes"
        )
    return secret


def _signature(secret: bytes, signed: bytes) -> str:
    return f"v1,{base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()}"
