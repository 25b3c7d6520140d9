"""Synchronous connections to Redis, made anew when they break; one per thread."""

from __future__ import annotations

import threading

import structlog
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

log = structlog.get_logger(__name__)

REPLY_S_MAX = 5.0
CONNECT_S_MAX = 1.0
RECONNECT_S_FIRST = 0.05
RECONNECT_S_MAX = 0.5


class Connector:
    """One thread's connection: given out while it works, replaced when it does not.

    redis-py repeats timed-out commands by itself; here retries are off, because what may be
    repeated is known only to the caller.
    """

    def __init__(self, url: str, name: str, reply_s_max: float = REPLY_S_MAX) -> None:
        self._url = url
        self._name = name
        self._reply_s_max = reply_s_max
        self._client: Redis | None = None
        self._pause = threading.Event()
        self._delay_s = 0.0

    def connected(self, stopping: threading.Event) -> Redis | None:
        """Return a working client; waits for the server. None when `stopping` is set meanwhile."""
        while self._client is None:
            if stopping.is_set():
                return None
            if self._delay_s:
                self._pause.wait(self._delay_s)
            self._client = self._try_connect()
        return self._client

    def wake(self) -> None:
        """End a wait for the server, at stop."""
        self._pause.set()

    def lost(self, client: Redis, error: Exception) -> None:
        """Report that the client's connection is of no use any more."""
        if client is self._client:
            log.warning("queue_lost", connection=self._name, reason=type(error).__name__)
            self._client = None
            client.close()

    def close(self) -> None:
        """Close the connection."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _try_connect(self) -> Redis | None:
        client = Redis.from_url(
            self._url,
            single_connection_client=False,
            socket_timeout=self._reply_s_max,
            socket_connect_timeout=CONNECT_S_MAX,
            retry=Retry(NoBackoff(), 0),
            decode_responses=False,
            max_connections=1,
        )
        try:
            client.ping()
        except (RedisError, OSError):
            client.close()
            self._delay_s = min(RECONNECT_S_MAX, max(RECONNECT_S_FIRST, self._delay_s * 2))
            return None
        self._delay_s = 0.0
        return client
