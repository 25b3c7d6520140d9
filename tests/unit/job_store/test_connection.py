"""When everything that was stored before is on the queue's disk."""

from __future__ import annotations

from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ResponseError

from bridge.job_store.connection import StoreConnection
from bridge.job_store.durability import durability_of
from bridge.job_store.errors import NotDurable, StoreAway


class Pipeline:
    """Takes any commands; answers with what a test says."""

    def __init__(self, answers: list[Any]) -> None:
        self.answers = answers

    def set(self, *_: Any) -> None:
        pass

    def waitaof(self, *_: Any) -> None:
        pass

    def execute(self, *, raise_on_error: bool) -> list[Any]:
        return self.answers


class Server:
    """Redis as far as it is asked here."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    def pipeline(self, *, transaction: bool) -> Pipeline:
        return Pipeline(self.answers)

    def info(self, section: str) -> dict[str, Any]:
        return {"aof_enabled": 1, "redis_version": "8.0.0"}

    def config_get(self, name: str) -> dict[str, str]:
        raise self.answers[0]


def connected(*answers: Any) -> StoreConnection:
    connection = StoreConnection("redis://127.0.0.1:1")
    connection.redis = Server(*answers)  # type: ignore[assignment]
    return connection


def test_a_write_that_waitaof_confirms_is_on_the_disk() -> None:
    connected(True, [1, 0]).wait_durable(has_waitaof=True)


@pytest.mark.parametrize(
    "answers",
    [
        (True, [0, 0]),
        (True, ResponseError("WAITAOF cannot be used")),
        # Nothing was written on this connection: WAITAOF answers at once, and means nothing.
        (OutOfMemoryError("command not allowed"), [1, 0]),
    ],
)
def test_what_is_not_confirmed_is_not_promised(answers: tuple[Any, ...]) -> None:
    with pytest.raises(NotDurable):
        connected(*answers).wait_durable(has_waitaof=True)


def test_a_server_whose_settings_are_forbidden_is_judged_without_them() -> None:
    assert durability_of(connected(ResponseError("NOPERM"))).has_waitaof


def test_a_server_that_goes_away_while_it_is_asked_for_its_settings_is_away() -> None:
    with pytest.raises(StoreAway):
        durability_of(connected(RedisConnectionError("closed")))
