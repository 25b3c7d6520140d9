"""Hears from the gateways which requests' callers have gone, so that they are not run."""

from __future__ import annotations

import threading
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from bridge.wire import keys
from bridge.wire.frame import REQUEST_ID_BYTES
from workers.connection import Connector
from workers.hand import Hand

LISTEN_S = 1.0


class Cancellations:
    """One thread, subscribed to the channel on which gateways publish ids."""

    def __init__(self, connector: Connector, hand: Hand) -> None:
        self._connector = connector
        self._hand = hand
        self._stop = threading.Event()

    def stop(self) -> None:
        """Let `run` return, within `LISTEN_S`."""
        self._stop.set()
        self._connector.wake()

    def run(self) -> None:
        """Listen until stopped. A message lost while the queue is away costs only a useless run."""
        while not self._stop.is_set():
            client = self._connector.connected(self._stop)
            if client is None:
                return
            try:
                self._listen(client)
            except (RedisError, OSError) as error:
                self._connector.lost(client, error)

    def _listen(self, client: Redis) -> None:
        opened: Any = client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
        with opened as channel:
            channel.subscribe(keys.CANCELLED_CHANNEL)
            while not self._stop.is_set():
                message = channel.get_message(timeout=LISTEN_S)
                if message is not None and isinstance(message["data"], bytes):
                    self._hand.cancel(_ids(message["data"]))


def _ids(data: bytes) -> list[bytes]:
    whole = len(data) - len(data) % REQUEST_ID_BYTES
    return [data[start : start + REQUEST_ID_BYTES] for start in range(0, whole, REQUEST_ID_BYTES)]
