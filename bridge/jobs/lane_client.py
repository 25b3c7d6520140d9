"""A client of the batch lane: chunks of rows in, their results out, by one model version.

It is to the workers what a gateway is, with a results list of its own, but it is not registered
as one, so it gets results and no heartbeats.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import numpy as np
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from bridge.contract.model import ModelContract, decode_contract
from bridge.wire import keys
from bridge.wire.block import to_block
from bridge.wire.frame import (
    REQUEST_ID_BYTES,
    RequestEntry,
    RequestFrame,
    ResultFrame,
    decode_reply,
    encode_frame,
)

Array = np.ndarray[Any, np.dtype[Any]]

# A batch is filled up by whole entries: small ones leave few places empty.
ENTRY_ROWS = 16
CLIENT_ID_BYTES = 8
REPLY_S_MAX = 5.0
RESULTS_BLOCK_S = 5
# Work of the batch lane has no deadline: the farthest that a frame can say.
NO_DEADLINE_US = 2**53


class LaneError(Exception):
    """The batch lane cannot be used; the message says why."""


class LaneClient:
    """One connection, used by one thread; results come in the order in which workers finish."""

    def __init__(self, redis_url: str, model_key: str) -> None:
        """Connect.

        Raises:
            RedisError: the server cannot be reached.
        """
        self._redis = Redis.from_url(
            redis_url,
            socket_timeout=RESULTS_BLOCK_S + REPLY_S_MAX,
            socket_connect_timeout=REPLY_S_MAX,
            retry=Retry(NoBackoff(), 0),
        )
        self.model_key = model_key
        self._name = f"lane-{secrets.token_hex(CLIENT_ID_BYTES)}"

    def contract(self) -> ModelContract:
        """Return the contract that workers have published.

        Raises:
            LaneError: no worker serves the model version.
        """
        data: Any = self._redis.get(keys.contract_key(self.model_key))
        if data is None:
            raise LaneError(f"no worker serves {self.model_key}")
        return decode_contract(data)

    def push(self, tensors: Mapping[str, Array]) -> None:
        """Push one frame of rows, by input name in the contract's order, shape (rows, ...)."""
        rows = len(next(iter(tensors.values())))
        seconds, microseconds = self._redis.time()
        now_us = seconds * 1_000_000 + microseconds
        entries = [
            RequestEntry(
                secrets.token_bytes(REQUEST_ID_BYTES),
                0,
                min(ENTRY_ROWS, rows - start),
                now_us,
                NO_DEADLINE_US,
            )
            for start in range(0, rows, ENTRY_ROWS)
        ]
        frame = RequestFrame(
            secrets.token_bytes(REQUEST_ID_BYTES),
            self._name,
            "batch",
            entries,
            [to_block(name, [array]) for name, array in tensors.items()],
        )
        fields: Any = {keys.FRAME_FIELD: encode_frame(frame)}
        self._redis.xadd(keys.batch_key(self.model_key), fields)

    def results(self) -> ResultFrame | None:
        """Wait for the next results; None when there were none for `RESULTS_BLOCK_S`.

        Raises:
            LaneError: something else than results came.
        """
        found: Any = self._redis.blpop([keys.results_key(self._name)], timeout=RESULTS_BLOCK_S)
        if found is None:
            return None
        reply = decode_reply(found[1])
        if not isinstance(reply, ResultFrame):
            raise LaneError("a heartbeat, although this client is not registered as a gateway")
        return reply

    def close(self) -> None:
        """Drop the connection and what has not been fetched."""
        self._redis.delete(keys.results_key(self._name))
        self._redis.close()
