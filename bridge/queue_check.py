"""Is this Redis or Valkey fit to carry work? Asked once at start, by every process.

Refused: too old, evicts keys, open to the network without a password. Warned of by name:
versions with a known hole in the commands that are used here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError, ResponseError
from redis.retry import Retry

ANSWER_S_MAX = 10.0
RETRY_S = 0.2
VERSION_MIN = (7, 0, 0)
NO_EVICTION = "noeviction"

Version = tuple[int, int, int]


class UnsafeQueueError(Exception):
    """The queue is not used; the message names the setting and what it must be."""


@dataclass(frozen=True, slots=True)
class _Hole:
    name: str
    first: Version
    fixed: tuple[Version, ...]

    def is_open(self, version: Version) -> bool:
        """Fixed from the highest listed version on, and in each listed minor series."""
        if version < self.first or version >= max(self.fixed):
            return False
        return not any(fix[:2] == version[:2] and version >= fix for fix in self.fixed)


_REDIS_HOLES = (
    _Hole("CVE-2026-23479 (blocking reads)", (7, 2, 0), ((8, 6, 3),)),
    _Hole("CVE-2025-49844 (Lua)", (0, 0, 0), ((8, 2, 2),)),
)
_VALKEY_HOLES = (
    _Hole("CVE-2026-23479 (blocking reads)", (0, 0, 0), ((8, 1, 7), (9, 0, 4))),
    _Hole("CVE-2026-63639 and CVE-2026-56684 (streams)", (0, 0, 0), ((9, 1, 1),)),
)


def check_queue(url: str, *, allow_open: bool) -> list[str]:
    """Connect, waiting up to `ANSWER_S_MAX` for the server, and return warnings.

    `allow_open` lets a TCP server without a password pass.

    Raises:
        UnsafeQueueError: see the module; also when the server does not answer or the URL is none.
    """
    try:
        client = Redis.from_url(
            url, socket_timeout=2.0, socket_connect_timeout=2.0, retry=Retry(NoBackoff(), 0)
        )
    except ValueError:
        # Said without the error, which may quote a piece of the password.
        raise UnsafeQueueError(
            "redis: not a URL that can be used; expected redis://, rediss:// or unix://, with "
            "special characters of the password percent-encoded"
        ) from None
    with client:
        server = _answered(lambda: client.info("server"), url)
        memory = _answered(lambda: client.info("memory"), url)
    return judge_queue(server, memory, url, allow_open=allow_open)


def judge_queue(
    server: dict[str, Any], memory: dict[str, Any], url: str, *, allow_open: bool
) -> list[str]:
    """Judge the INFO sections `server` and `memory` of the server at `url`; return warnings.

    Raises:
        UnsafeQueueError: naming the setting.
    """
    is_valkey = server.get("server_name") == "valkey"
    # Valkey reports the Redis version that it is compatible with beside its own.
    compatible = _version(str(server.get("redis_version", "0")))
    if compatible < VERSION_MIN:
        raise UnsafeQueueError(
            f"redis: the server's version is {_text(compatible)}, {_text(VERSION_MIN)} is needed"
        )
    policy = memory.get("maxmemory_policy")
    if policy != NO_EVICTION:
        raise UnsafeQueueError(
            f"redis: maxmemory-policy is {policy}, which drops accepted work; set it to "
            f"{NO_EVICTION}"
        )
    parts = urlsplit(url)
    if parts.scheme in ("redis", "rediss") and not parts.password and not allow_open:
        raise UnsafeQueueError(
            "redis: the URL has no password: anyone who reaches the port could read and write "
            "requests; set requirepass (or an ACL user) and put it into the URL, use a unix:// "
            "socket, or accept it with --allow-open-redis"
        )
    own = _version(str(server.get("valkey_version", "0"))) if is_valkey else compatible
    name = "Valkey" if is_valkey else "Redis"
    return [
        f"{name} {_text(own)} has a known hole, {hole.name}: update it"
        for hole in (_VALKEY_HOLES if is_valkey else _REDIS_HOLES)
        if hole.is_open(own)
    ]


def without_password(url: str) -> str:
    """Return the URL fit for a log: no password, and no query, which may hold one."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    netloc = parts.netloc if parts.password is None else f"***@{host}"
    return f"{parts.scheme}://{netloc}{parts.path}"


def _answered(ask: Callable[[], Any], url: str) -> dict[str, Any]:
    """Ask until the server answers: at start it may still be loading its data."""
    ends_s = time.monotonic() + ANSWER_S_MAX
    while True:
        try:
            return dict(ask())
        except (AuthenticationError, ResponseError) as error:
            if not str(error).startswith("LOADING") or time.monotonic() > ends_s:
                raise UnsafeQueueError(
                    f"redis: {without_password(url)} refuses: {error}"
                ) from error
        except (RedisError, OSError) as error:
            if time.monotonic() > ends_s:
                raise UnsafeQueueError(
                    f"redis: {without_password(url)} did not answer within {ANSWER_S_MAX:g} s: "
                    f"{type(error).__name__}"
                ) from error
        threading.Event().wait(RETRY_S)


def _version(text: str) -> Version:
    numbers = [int(part) if part.isdigit() else 0 for part in text.split(".")[:3]]
    first, second, third = (*numbers, 0, 0, 0)[:3]
    return first, second, third


def _text(version: Version) -> str:
    return ".".join(str(number) for number in version)
