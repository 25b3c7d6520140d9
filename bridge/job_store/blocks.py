"""The parts of a job as they are read: block after block, or any range of bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bridge.job_store.connection import StoreConnection
from bridge.job_store.keys import part_key
from bridge.job_store.manifest import BLOCK_BYTES


def block_of(connection: StoreConnection, job: str, part: str, number: int) -> bytes | None:
    """Return one block or record, counted from 0; None where there is none.

    Raises:
        StoreAway: the server does not answer.
    """
    found: Any = connection.ask(lambda: connection.redis.lindex(part_key(job, part), number))
    return None if found is None else bytes(found)


def blocks_of(connection: StoreConnection, job: str, part: str) -> Iterator[bytes]:
    """Yield all blocks or records in order.

    Raises:
        StoreAway: the server does not answer.
    """
    number = 0
    while (block := block_of(connection, job, part, number)) is not None:
        yield block
        number += 1


def bytes_of(
    connection: StoreConnection, job: str, part: str, start: int, stop: int
) -> Iterator[bytes]:
    """Yield the bytes `start` to `stop` of a part in blocks; fewer where there are no more.

    Raises:
        StoreAway: the server does not answer.
    """
    while start < stop:
        number, skipped = divmod(start, BLOCK_BYTES)
        block = block_of(connection, job, part, number) or b""
        data = block[skipped : skipped + stop - start]
        if not data:
            return
        yield data
        start += len(data)
