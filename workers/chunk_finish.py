"""The end of a chunk: its result is set once, by who holds it, in one script with its XACK.

XACK is not fenced: a worker that was stopped and wakes up could acknowledge what another has
claimed, and its late result would stand beside the other's. So the server itself looks who holds
the entry, whether the job waits for it, and whether there is a result already.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.exceptions import NoScriptError

from bridge.wire import keys
from bridge.wire.chunk import (
    JOB_KEPT_MS,
    ChunkAddress,
    ChunkResult,
    encode_chunk_result,
    job_done_key,
    job_key,
    job_results_key,
)

DEAD_LETTERS_MAX = 1_000
# What the script returns.
REFUSED = 0

# KEYS  1 stream of the batch lane   2 the job's parts (hash: part -> entry id)
#       3 results (hash: part -> result)   4 done (list of parts)   5 dead letters (stream)
# ARGV  1 group   2 worker   3 entry id   4 part   5 result   6 milliseconds the results are kept
#       7 dead letters at most   8.. fields of a dead letter, none for no letter
# Returns 0: the worker does not hold the entry, and nothing was changed; 1: the result was set and
# the entry is gone; 2: the entry is gone, its job does not wait for it.
FINISH = """
local held = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1)
if not held[1] or held[1][2] ~= ARGV[2] then
  return 0
end
local answer = 2
if redis.call('HGET', KEYS[2], ARGV[4]) == ARGV[3] then
  if #ARGV > 7 then
    redis.call('XADD', KEYS[5], 'MAXLEN', '~', ARGV[7], '*', unpack(ARGV, 8))
  end
  if redis.call('HSETNX', KEYS[3], ARGV[4], ARGV[5]) == 1 then
    redis.call('RPUSH', KEYS[4], ARGV[4])
    answer = 1
  end
  redis.call('PEXPIRE', KEYS[3], ARGV[6])
  redis.call('PEXPIRE', KEYS[4], ARGV[6])
end
redis.call('XACK', KEYS[1], ARGV[1], ARGV[3])
redis.call('XDEL', KEYS[1], ARGV[3])
return answer
"""
_SHA = hashlib.sha1(FINISH.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class FinishedChunk:
    """A part of a chunk and its result, by the worker that holds its entry.

    `dead_frame`: the frame that goes to the dead letters with it, `dead_reason` why.
    """

    model_key: str
    worker: str
    entry_id: bytes
    address: ChunkAddress
    result: bytes
    dead_frame: bytes = b""
    dead_reason: str = ""


def returned_chunk(
    model_key: str, worker: str, entry_id: bytes, address: ChunkAddress, frame: bytes, reason: str
) -> FinishedChunk:
    """Return a part that goes back to its job unscored; a row alone is a dead letter, too."""
    result = ChunkResult(worker, address.rows, [], [], returned=reason)
    is_dead = address.rows == 1
    return FinishedChunk(
        model_key,
        worker,
        entry_id,
        address,
        encode_chunk_result(result),
        dead_frame=frame if is_dead else b"",
        dead_reason=reason if is_dead else "",
    )


def finish_chunks(client: Redis, chunks: Sequence[FinishedChunk]) -> list[Any]:
    """Finish chunks; return for each what the script returned, or the error that refused it."""
    replies = _finished(client, chunks)
    if any(isinstance(reply, NoScriptError) for reply in replies):
        # The server has started anew. What was refused so has not run.
        client.script_load(FINISH)
        missed = [chunk for chunk, reply in zip(chunks, replies, strict=True) if _missed(reply)]
        again = iter(_finished(client, missed))
        replies = [next(again) if _missed(reply) else reply for reply in replies]
    return replies


def _missed(reply: Any) -> bool:
    return isinstance(reply, NoScriptError)


def _finished(client: Redis, chunks: Sequence[FinishedChunk]) -> list[Any]:
    pipeline = client.pipeline(transaction=False)
    for chunk in chunks:
        model_key, job = chunk.model_key, chunk.address.job
        pipeline.evalsha(
            _SHA,
            5,
            keys.batch_key(model_key),
            job_key(model_key, job),
            job_results_key(model_key, job),
            job_done_key(model_key, job),
            keys.dead_key(model_key),
            keys.GROUP,
            chunk.worker,
            chunk.entry_id,
            chunk.address.part,
            chunk.result,
            JOB_KEPT_MS,
            DEAD_LETTERS_MAX,
            *_dead_letter(chunk),
        )
    replies: list[Any] = pipeline.execute(raise_on_error=False)
    return replies


def _dead_letter(chunk: FinishedChunk) -> list[Any]:
    if not chunk.dead_frame:
        return []
    return [
        keys.FRAME_FIELD,
        chunk.dead_frame,
        keys.REASON_FIELD,
        chunk.dead_reason,
        b"entry",
        chunk.entry_id,
        b"at",
        str(int(time.time())),
    ]
