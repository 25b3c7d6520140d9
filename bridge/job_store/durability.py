"""Can this server promise to keep a job? Asked before jobs are accepted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from redis.exceptions import ResponseError

from bridge.job_store.connection import StoreConnection
from bridge.job_store.errors import NotDurable

# WAITAOF came with Redis 7.2 and Valkey 7.2.
WAITAOF_VERSION = (7, 2)


@dataclass(frozen=True, slots=True)
class Durability:
    """How the server says that a write is on its disk: by WAITAOF, or by answering at all."""

    has_waitaof: bool


def durability_of(connection: StoreConnection) -> Durability:
    """Return how the server promises to keep what it was given.

    Raises:
        NotDurable: it does not; the message names the setting.
        StoreAway: it does not answer.
    """
    redis = connection.redis
    persistence: Any = connection.ask(lambda: redis.info("persistence"))
    server: Any = connection.ask(lambda: redis.info("server"))

    def ask_settings() -> Any:
        try:
            return redis.config_get("appendfsync")
        except ResponseError:
            return {}  # CONFIG is often forbidden to those who only use a server

    settings = connection.ask(ask_settings)
    return judge_durability(persistence, server, settings.get("appendfsync", ""))


def judge_durability(
    persistence: Mapping[str, Any], server: Mapping[str, Any], appendfsync: str
) -> Durability:
    """Judge the INFO sections and the setting `appendfsync`, "" where it is not known.

    Raises:
        NotDurable: naming the setting.
    """
    if not int(persistence.get("aof_enabled", 0)):
        raise NotDurable("the queue keeps nothing over a restart: set appendonly to yes")
    if appendfsync == "no":
        raise NotDurable("the queue does not wait for its disk: set appendfsync to everysec")
    version = str(server.get("valkey_version") or server.get("redis_version", "0.0"))
    numbers = tuple(int(part) if part.isdigit() else 0 for part in version.split(".")[:2])
    if numbers >= WAITAOF_VERSION:
        return Durability(has_waitaof=True)
    if appendfsync == "always":
        return Durability(has_waitaof=False)
    raise NotDurable(
        f"the queue's version {version} cannot say when a write is on its disk: use version 7.2 "
        "or newer (WAITAOF), or set appendfsync to always"
    )
