"""The job store's way to Redis: scripts by name, foreign errors translated at one border."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import OutOfMemoryError, RedisError, ResponseError
from redis.retry import Retry

from bridge.job_store import claim_scripts, job_scripts
from bridge.job_store.errors import NotDurable, StorageFull, StoreAway
from bridge.job_store.keys import PREFIX, WRITTEN_KEY

REPLY_S_MAX = 5.0
CONNECT_S_MAX = 2.0
# The server syncs once a second; a disk that needs longer than this promises nothing.
DURABLE_S_MAX = 4.0
CONNECTIONS_MAX = 64

T = TypeVar("T")
Word = bytes | str | int


class StoreConnection:
    """A pool of connections; safe to use from several threads.

    Nothing is sent twice by itself: whoever gets `StoreAway` decides whether to ask again.
    """

    def __init__(self, url: str) -> None:
        self.redis = Redis.from_url(
            url,
            socket_timeout=REPLY_S_MAX,
            socket_connect_timeout=CONNECT_S_MAX,
            retry=Retry(NoBackoff(), 0),
            max_connections=CONNECTIONS_MAX,
        )
        texts = {**job_scripts.SCRIPTS, **claim_scripts.SCRIPTS}
        self._scripts = {name: self.redis.register_script(text) for name, text in texts.items()}

    def run(self, script: str, *arguments: Word) -> str:
        """Run the script of this name; return the word that it answers.

        Raises:
            StorageFull: the server's memory bound is reached.
            StoreAway: the server does not answer.
        """
        answer: Any = self.ask(lambda: self._scripts[script](keys=[PREFIX], args=list(arguments)))
        return answer.decode() if isinstance(answer, bytes) else str(answer)

    def ask(self, question: Callable[[], T]) -> T:
        """Return what the server answers.

        Raises:
            StorageFull: the server's memory bound is reached.
            StoreAway: the server does not answer, or refuses.
        """
        try:
            return question()
        except OutOfMemoryError as error:
            raise StorageFull("the queue's memory is used up (maxmemory)") from error
        except ResponseError as error:
            raise StoreAway(f"the queue refuses: {str(error)[:80]}") from error
        except (RedisError, OSError) as error:
            raise StoreAway(f"the queue does not answer: {type(error).__name__}") from error

    def wait_durable(self, *, has_waitaof: bool) -> None:
        """Return when everything that the server has answered to before is on its disk.

        Raises:
            NotDurable: it is not there after `DURABLE_S_MAX`, or there is no append-only file.
            StoreAway: the server does not answer.
        """

        def write() -> Any:
            # One connection: WAITAOF waits for the last write of its own connection, and the file
            # is in the order of all writes.
            pipeline = self.redis.pipeline(transaction=False)
            pipeline.set(WRITTEN_KEY, 1)
            if has_waitaof:
                pipeline.waitaof(1, 0, int(DURABLE_S_MAX * 1e3))
            return pipeline.execute(raise_on_error=False)

        answers = self.ask(write)
        # Where the write itself was refused (no memory left) WAITAOF has nothing to wait for.
        for answer in answers:
            if isinstance(answer, ResponseError):
                raise NotDurable(f"the queue's append-only file is not usable: {str(answer)[:80]}")
            if isinstance(answer, Exception):
                raise StoreAway(f"the queue does not answer: {type(answer).__name__}") from answer
        if has_waitaof and int(answers[-1][0]) < 1:
            raise NotDurable(f"the queue's disk did not take it within {DURABLE_S_MAX:g} s")

    def close(self) -> None:
        """Close all connections."""
        self.redis.close()
