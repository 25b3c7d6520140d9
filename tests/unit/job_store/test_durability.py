"""Which servers can promise to keep a job."""

from __future__ import annotations

import pytest

from bridge.job_store.durability import judge_durability
from bridge.job_store.errors import NotDurable

ON, OFF = {"aof_enabled": 1}, {"aof_enabled": 0}


@pytest.mark.parametrize(
    ("server", "appendfsync", "has_waitaof"),
    [
        ({"redis_version": "7.2.0"}, "everysec", True),
        ({"redis_version": "7.2.4", "valkey_version": "9.1.1"}, "everysec", True),
        ({"redis_version": "8.0.0"}, "", True),
        ({"redis_version": "7.0.15"}, "always", False),
    ],
)
def test_a_server_that_says_when_it_is_on_its_disk_will_do(
    server: dict[str, str], appendfsync: str, has_waitaof: bool
) -> None:
    assert judge_durability(ON, server, appendfsync).has_waitaof is has_waitaof


@pytest.mark.parametrize(
    ("persistence", "version", "appendfsync", "named"),
    [
        (OFF, "8.0.0", "everysec", "appendonly"),
        (ON, "8.0.0", "no", "appendfsync"),
        (ON, "7.0.15", "everysec", "WAITAOF"),
        (ON, "7.0.15", "", "WAITAOF"),
    ],
)
def test_another_server_is_refused_naming_the_setting(
    persistence: dict[str, int], version: str, appendfsync: str, named: str
) -> None:
    with pytest.raises(NotDurable, match=named):
        judge_durability(persistence, {"redis_version": version}, appendfsync)
