"""Webhooks that are due: a job that has ended owes one until it is delivered or given up.

`end_job` in `script_functions.py` makes it due. Whoever takes it has it for the length of its
lease, then it is due again: a process that dies leaves it to another. So a receiver may hear of a
job twice.
"""

from __future__ import annotations

from typing import Any, Literal

from bridge.job_store import keys
from bridge.job_store.claims import WAIT_S_MAX
from bridge.job_store.connection import StoreConnection

# ARGV  1 id   2 milliseconds of the lease
# Returns 1 where it was due: then it is counted and ours.
_TAKE = """
local P, id = KEYS[1], ARGV[1]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local due = redis.call('ZSCORE', P .. 'webhooks', id)
if not due or tonumber(due) > now then
  return 0
end
redis.call('ZADD', P .. 'webhooks', string.format('%.0f', now + ARGV[2]), id)
if redis.call('EXISTS', P .. id) == 1 then
  redis.call('HINCRBY', P .. id, 'webhook_attempts', 1)
end
return 1
"""

# ARGV  1 id   2 milliseconds until it is due again
_AGAIN = """
local P, id = KEYS[1], ARGV[1]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZADD', P .. 'webhooks', 'XX', string.format('%.0f', now + ARGV[2]), id)
return 1
"""

# ARGV  1 id   2 how it ended, as a field's value
# A job may have been removed meanwhile, or have ended once more and owe another webhook.
_SETTLE = """
local P, id = KEYS[1], ARGV[1]
if redis.call('ZREM', P .. 'webhooks', id) == 1 and redis.call('EXISTS', P .. id) == 1 then
  redis.call('HSET', P .. id, 'webhook_state', ARGV[2])
end
return 1
"""


class Webhooks:
    """The webhooks that are owed; safe to use from several threads.

    All methods raise `StoreAway` when the server does not answer.
    """

    def __init__(self, connection: StoreConnection) -> None:
        """For `JobStore`."""
        self._connection = connection
        self._take = connection.redis.register_script(_TAKE)
        self._again = connection.redis.register_script(_AGAIN)
        self._settle = connection.redis.register_script(_SETTLE)

    def due(self, jobs_max: int) -> list[str]:
        """Return the ids of up to so many jobs whose webhook is due, those first that waited."""
        redis = self._connection.redis

        def ask() -> Any:
            seconds, microseconds = redis.time()
            now_ms = seconds * 1000 + microseconds // 1000
            return redis.zrangebyscore(keys.WEBHOOKS_KEY, 0, now_ms, 0, jobs_max)

        return [job.decode() for job in self._connection.ask(ask)]

    def wait(self, timeout_s: float) -> None:
        """Return when a webhook has become due, or after `timeout_s`, at most `WAIT_S_MAX`."""
        redis = self._connection.redis
        self._connection.ask(
            lambda: redis.blpop([keys.wake_key("webhooks")], min(timeout_s, WAIT_S_MAX))
        )

    def take(self, job: str, lease_ms: int) -> bool:
        """Take a webhook that is due and count the attempt; false where another was faster."""
        return bool(self._run(self._take, job, lease_ms))

    def again(self, job: str, delay_ms: int) -> None:
        """Let a webhook be due again after `delay_ms`."""
        self._run(self._again, job, delay_ms)

    def settle(self, job: str, state: Literal["delivered", "failed"]) -> None:
        """Say how a webhook ended: it is not due any more."""
        self._run(self._settle, job, f'"{state}"')

    def _run(self, script: Any, *words: str | int) -> Any:
        return self._connection.ask(lambda: script(keys=[keys.PREFIX], args=list(words)))
