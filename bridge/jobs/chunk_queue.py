"""A job's side of the queue: chunks in, each once; results out, each until it is removed.

Every command may be repeated: after a lost reply, a restart of the server or of this process the
same calls bring the same results. What the server has forgotten is sent again.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry

from bridge.contract.model import ModelContract, contract_digest, decode_contract
from bridge.contract.repository import MODEL_NAME_PATTERN, VERSION_PATTERN
from bridge.jobs.errors import BadInput, BadResult, NoWorker, QueueAway, Stopped
from bridge.wire import keys
from bridge.wire.chunk import (
    JOB_KEPT_MS,
    ChunkAddress,
    ChunkResult,
    decode_chunk_result,
    job_done_key,
    job_key,
    job_results_key,
)
from bridge.wire.clock import MICROSECONDS, ServerClock
from bridge.wire.frame import WireError

REPLY_S_MAX = 5.0
CONNECT_S_MAX = 2.0
RESULTS_BLOCK_S = 1.0
RESULTS_FETCHED_MAX = 64
RETRY_S_FIRST = 0.05
RETRY_S_MAX = 1.0
AWAY_S_MAX = 300.0
SCAN_COUNT = 1_000
CLOCK_EVERY_S = 10.0
_OOM = "OOM"
# Among the parts that are done: somebody wants the job to look up.
NO_PART = ""

# KEYS  1 stream of the batch lane   2 the job's parts (hash: part -> entry id)   3 results
# ARGV  1 part   2 field of the frame   3 frame   4 milliseconds the job is kept
# Returns 0: its result is there; 1: it is under way already; 2: it was sent; 3: it was sent
# again, because its entry had left the stream without a result.
PUSH = """
redis.call('PEXPIRE', KEYS[2], ARGV[4])
if redis.call('HEXISTS', KEYS[3], ARGV[1]) == 1 then
  return 0
end
local answer = 2
local entry = redis.call('HGET', KEYS[2], ARGV[1])
if entry then
  if #redis.call('XRANGE', KEYS[1], entry, entry) == 1 then
    return 1
  end
  answer = 3
end
entry = redis.call('XADD', KEYS[1], '*', ARGV[2], ARGV[3])
redis.call('HSET', KEYS[2], ARGV[1], entry)
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return answer
"""
HAS_RESULT, UNDER_WAY, SENT, SENT_AGAIN = range(4)

T = TypeVar("T")


class ChunkQueue:
    """One job's chunks on one connection; for one thread."""

    def __init__(
        self,
        url: str,
        model_key: str,
        job: str,
        stopping: threading.Event | None = None,
        *,
        away_s_max: float = AWAY_S_MAX,
        worker_away_s_max: float = AWAY_S_MAX,
        on_away: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`on_away` hears, for a person, what is being waited for."""
        self._redis = Redis.from_url(
            url,
            socket_timeout=RESULTS_BLOCK_S + REPLY_S_MAX,
            socket_connect_timeout=CONNECT_S_MAX,
            retry=Retry(NoBackoff(), 0),
        )
        self._push = self._redis.register_script(PUSH)
        self._stopping = stopping or threading.Event()
        self._away_s_max = away_s_max
        self._worker_away_s_max = worker_away_s_max
        self._on_away = on_away
        self.model_key = model_key
        self.job = job
        self._stream = keys.batch_key(model_key)
        self._parts = job_key(model_key, job)
        self._results = job_results_key(model_key, job)
        self._done = job_done_key(model_key, job)
        self._clock = ServerClock()
        self._clock_s = -CLOCK_EVERY_S
        self.was_away = False
        self._has_ended = False
        self._nudging = threading.Lock()

    def now_us(self) -> int:
        """Return the present on the server's clock."""
        now_s = time.monotonic()
        if now_s - self._clock_s >= CLOCK_EVERY_S:
            seconds, microseconds = self._attempt(self._redis.time)
            self._clock_s = time.monotonic()
            self._clock.observe(now_s, self._clock_s, seconds * MICROSECONDS + microseconds)
        return self._clock.server_us(time.monotonic())

    def contract_digest(self) -> str | None:
        """Return the digest of the contract that workers serve now, None if there are none."""
        data: Any = self._attempt(lambda: self._redis.get(keys.contract_key(self.model_key)))
        return None if data is None else contract_digest(data)

    def note_no_worker(self, silent_s: float) -> None:
        """Say that no worker has served the model for so long.

        Raises:
            NoWorker: that is too long.
        """
        if silent_s > self._worker_away_s_max:
            raise NoWorker(f"no worker has served {self.model_key} for {silent_s:.0f} s")
        self._on_away(f"waiting for a worker that serves {self.model_key}")

    def push(self, address: ChunkAddress, frame: bytes) -> int:
        """Send a part unless it is under way, or its result is there; return what was found."""
        found = self._attempt(
            lambda: self._push(
                keys=[self._stream, self._parts, self._results],
                args=[address.part, keys.FRAME_FIELD, frame, JOB_KEPT_MS],
            )
        )
        return int(found)

    def done_parts(self) -> list[str]:
        """Wait for results; return the parts that have one, none after `RESULTS_BLOCK_S`.

        Also returns after a `nudge`.
        """
        found: Any = self._attempt(
            lambda: self._redis.blmpop(
                RESULTS_BLOCK_S, 1, self._done, direction="LEFT", count=RESULTS_FETCHED_MAX
            )
        )
        parts = [] if found is None else [part.decode() for part in found[1]]
        return [part for part in parts if part != NO_PART]

    def results(self, parts: Sequence[str]) -> dict[str, ChunkResult]:
        """Return the results that are there of some parts.

        Raises:
            BadResult: what is there is no result.
        """
        if not parts:
            return {}
        found: Any = self._attempt(lambda: self._redis.hmget(self._results, list(parts)))
        try:
            return {
                part: decode_chunk_result(data)
                for part, data in zip(parts, found, strict=True)
                if data is not None
            }
        except WireError as error:
            raise BadResult(f"the result of a chunk: {error}") from error

    def remove(self, parts: Iterable[str]) -> None:
        """Forget parts whose results are safe elsewhere."""
        names = list(parts)
        if not names:
            return

        def removal() -> None:
            pipeline = self._redis.pipeline(transaction=True)
            pipeline.hdel(self._parts, *names)
            pipeline.hdel(self._results, *names)
            pipeline.execute()

        self._attempt(removal)

    def cancel(self, request_ids: Iterable[bytes]) -> None:
        """Tell the workers that nobody waits for these requests any more."""
        data = b"".join(request_ids)
        if data:
            self._attempt(lambda: self._redis.publish(keys.CANCELLED_CHANNEL, data))

    def nudge(self) -> None:
        """Let `done_parts` return, at once or when it is called next; from any thread."""
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.rpush(self._done, NO_PART)
        pipeline.pexpire(self._done, JOB_KEPT_MS)
        # Without a server `done_parts` does not wait for results either, but for the server.
        with self._nudging, contextlib.suppress(RedisError, OSError):
            if not self._has_ended:
                pipeline.execute()

    def end(self) -> None:
        """Remove everything of the job, and what workers have not yet taken of it."""
        with self._nudging:  # one that came later would leave a key behind
            self._has_ended = True

        def removal() -> None:
            entries: Any = self._redis.hvals(self._parts)
            pipeline = self._redis.pipeline(transaction=True)
            if entries:
                pipeline.xdel(self._stream, *entries)
            pipeline.delete(self._parts, self._results, self._done)
            pipeline.execute()

        self._attempt(removal)

    def close(self) -> None:
        """Close the connection; what is under way stays there."""
        self._redis.close()

    def _attempt(self, operation: Callable[[], T]) -> T:
        """Do it, again and again while the server is away or full."""
        began_s = time.monotonic()
        delay_s = RETRY_S_FIRST
        while True:
            try:
                return operation()
            except ResponseError as error:
                reason = str(error)[:80]
                if not reason.startswith((_OOM, "READONLY", "MISCONF", "LOADING")):
                    raise QueueAway(f"the queue refuses: {reason}") from error
            except (RedisError, OSError) as error:
                reason = type(error).__name__
                self.was_away = True
            if time.monotonic() - began_s > self._away_s_max:
                raise QueueAway(f"the queue has not answered for {self._away_s_max:g} s: {reason}")
            self._on_away(f"waiting for the queue ({reason})")
            if self._stopping.wait(delay_s):
                raise Stopped("stopped while waiting for the queue")
            delay_s = min(RETRY_S_MAX, delay_s * 2)


def find_contract(url: str, model: str) -> ModelContract:
    """Return the contract of `model@version`, or of the highest version of `model`, as served.

    Raises:
        QueueAway: the queue does not answer.
        NoWorker: no worker serves the model.
        BadInput: the name cannot be a model's.
    """
    name, at, version = model.partition("@")
    if not MODEL_NAME_PATTERN.fullmatch(name) or (at and not VERSION_PATTERN.fullmatch(version)):
        raise BadInput(f"{model!r} is neither a model nor model@version")
    client = Redis.from_url(
        url,
        socket_timeout=REPLY_S_MAX,
        socket_connect_timeout=CONNECT_S_MAX,
        retry=Retry(NoBackoff(), 0),
    )
    with client:
        try:
            names = [keys.contract_key(model)]
            if not at:
                pattern = keys.contract_key(f"{model}@*")
                names = [name.decode() for name in client.scan_iter(pattern, count=SCAN_COUNT)]
            data: Any = client.get(max(names, key=_version)) if names else None
        except (RedisError, OSError) as error:
            raise QueueAway(f"the queue does not answer: {type(error).__name__}") from error
    if data is None:
        raise NoWorker(f"no worker serves {model}")
    return decode_contract(data)


def _version(key: str) -> tuple[int, str]:
    version = key.rpartition("@")[2]
    return (int(version), "") if version.isdigit() else (-1, version)
