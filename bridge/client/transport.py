"""How calls reach a gateway: what both ways have in common."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Protocol

from bridge.client.call import Answer, Call

RETRY_AFTER_MS = "retry-after-ms"
RETRY_AFTER = "Retry-After"


class Transport(Protocol):
    """Carries calls to a gateway, and tries again as long as it cannot reach one."""

    async def ask(self, call: Call) -> Answer:
        """Return the answer to a call, which may be a refusal.

        Raises:
            Unavailable: no gateway could be reached before the call's deadline.
            Interrupted: the connection was lost; the call may have run.
            InvalidRequest: nothing of the kind is served there, or the call is too large.
            BadAnswer: what came back is not an answer.
        """

    async def close(self) -> None:
        """Close all connections; no call may be on its way."""


def chance() -> float:
    """Return a number from 0 to 1, by which clients that were refused together come apart."""
    return random.random()  # noqa: S311, nothing is kept secret by it


def hint_s(headers: Mapping[str, str]) -> float | None:
    """Return after how many seconds a refusal says to come back; None if it does not say."""
    for name, unit_s in ((RETRY_AFTER_MS, 1e-3), (RETRY_AFTER, 1.0)):
        text = headers.get(name, "")
        if text.isascii() and text.isdigit():
            return int(text) * unit_s
    return None
