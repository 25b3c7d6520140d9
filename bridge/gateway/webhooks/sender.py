"""Sends one webhook: a POST that goes nowhere else than it was allowed to.

A connection of its own each time, to an address that was checked after the name was resolved, so
that a name which changes its address meanwhile gains nothing. No proxy, no redirect, no cookie; of
the answer only status and Retry-After are looked at.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from bridge.gateway.reply import SERVER
from bridge.gateway.webhooks.hosts import Reach, WebhookTarget, may_connect
from bridge.gateway.webhooks.message import WebhookMessage
from bridge.gateway.webhooks.signature import WebhookSigner

CONNECT_S_MAX = 5.0
ANSWER_S_MAX = 10.0
_RETRY_AFTER_DIGITS_MAX = 6
_GONE = 410


class Delivery(msgspec.Struct, frozen=True):
    """How an attempt went. `is_final`: no other is wanted. `reason`: for the log."""

    is_taken: bool
    reason: str
    is_final: bool = False
    retry_after_s: float = 0.0


class WebhookSender:
    """Sends webhooks, each signed with the time of the attempt."""

    def __init__(
        self, signer: WebhookSigner, wall_clock_s: Callable[[], float] = time.time
    ) -> None:
        """`wall_clock_s`: seconds since 1970, by which receivers judge how old a message is."""
        self._signer = signer
        self._wall_clock_s = wall_clock_s

    async def send(self, target: WebhookTarget, message: WebhookMessage) -> Delivery:
        """Make one attempt of at most `ANSWER_S_MAX`; what goes wrong is the `reason`."""
        signed = self._signer.headers(message.webhook_id, int(self._wall_clock_s()), message.body)
        headers = {"Content-Type": "application/json", "User-Agent": SERVER, **signed}
        try:
            async with (
                _session(target.reach) as session,
                session.post(
                    # As it was checked, byte for byte.
                    URL(target.url, encoded=True),
                    data=message.body,
                    headers=headers,
                    allow_redirects=False,
                ) as answer,
            ):
                return _delivery(answer.status, answer.headers.get("Retry-After", ""))
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            return Delivery(False, type(error).__name__)


def _session(reach: Reach) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            resolver=_CheckedResolver(reach), use_dns_cache=False, force_close=True, limit=1
        ),
        timeout=aiohttp.ClientTimeout(total=ANSWER_S_MAX, connect=CONNECT_S_MAX),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
    )


def _delivery(status: int, retry_after: str) -> Delivery:
    is_number = retry_after.isascii() and retry_after.isdigit()
    asked_s = float(retry_after[:_RETRY_AFTER_DIGITS_MAX]) if is_number else 0.0
    return Delivery(200 <= status < 300, f"status {status}", status == _GONE, asked_s)


class _CheckedResolver(AbstractResolver):
    """Resolves names in aiohttp's way, and refuses those with an address that is not allowed."""

    def __init__(self, reach: Reach) -> None:
        self._reach: Reach = reach
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a host, if all of them are allowed."""
        found = await self._resolver.resolve(host, port, family)
        if not all(may_connect(one["host"], self._reach) for one in found):
            raise OSError(f"{host} stands for an address that webhooks must not go to")
        return found

    async def close(self) -> None:
        """Nothing is held."""
        await self._resolver.close()
