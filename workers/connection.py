"""Synchronous connections to Redis, made anew when they break; one per thread."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import structlog
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry

log = structlog.get_logger(__name__)

REPLY_S_MAX = 5.0
CONNECT_S_MAX = 1.0
RECONNECT_S_FIRST = 0.05
RECONNECT_S_MAX = 0.5


Command = tuple[str | bytes | int, ...]


def execute(client: Redis, commands: Sequence[Command]) -> list[Any]:
    """Send commands together; return their replies as they came, errors of the server among them.

    Without what redis-py's commands and pipelines do around it, which is more than half of what a
    command costs a worker (measured 2026-11-24), and it has three for each frame.

    Raises:
        RedisError, OSError: the connection is of no use any more.
    """
    connection: Any = client.connection
    if connection is None:
        raise RuntimeError("the client is closed")
    connection.send_packed_command(connection.pack_commands(commands))
    return [_reply(connection) for _ in commands]


def _reply(connection: Any) -> Any:
    try:
        return connection.read_response()
    except ResponseError as error:
        return error


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
        client: Redis | None = None
        try:
            # Its only connection is made here; the greeting says whether the server answers.
            client = Redis.from_url(
                self._url,
                single_connection_client=True,
                socket_timeout=self._reply_s_max,
                socket_connect_timeout=CONNECT_S_MAX,
                retry=Retry(NoBackoff(), 0),
                decode_responses=False,
            )
            client.ping()
        except (RedisError, OSError):
            if client is not None:
                client.close()
            self._delay_s = min(RECONNECT_S_MAX, max(RECONNECT_S_FIRST, self._delay_s * 2))
            return None
        self._delay_s = 0.0
        return client
