"""Which servers are refused, which are warned of, and that no password is ever shown."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.queue_check import UnsafeQueueError, check_queue, judge_queue, without_password

SECRET = "s3cr3t"
SAFE_URL = "unix:///run/queue.sock"
OPEN_URL = "redis://10.0.0.1:6379"
REDIS = {"redis_version": "8.8.0"}
VALKEY = {"server_name": "valkey", "redis_version": "7.2.4", "valkey_version": "9.1.2"}
NO_EVICTION = {"maxmemory_policy": "noeviction"}


def judge(
    server: dict[str, Any],
    *,
    policy: str = "noeviction",
    url: str = SAFE_URL,
    allow_open: bool = False,
) -> list[str]:
    return judge_queue(server, {"maxmemory_policy": policy}, url, allow_open=allow_open)


def refusal(server: dict[str, Any] = REDIS, **options: Any) -> str:
    with pytest.raises(UnsafeQueueError) as refused:
        judge(server, **options)
    return str(refused.value)


@pytest.mark.parametrize("server", [REDIS, VALKEY], ids=["redis", "valkey"])
def test_a_current_server_is_fit_without_a_warning(server: dict[str, Any]) -> None:
    assert judge(server) == []


@pytest.mark.parametrize("version", ["6.2.14", "5.0.0", "2.8", "0", "", "unknown"])
def test_a_server_too_old_is_refused_with_the_version_needed(version: str) -> None:
    assert refusal({"redis_version": version}).endswith("7.0.0 is needed")


def test_a_server_that_does_not_say_its_version_is_refused() -> None:
    assert "the server's version is 0.0.0" in refusal({})


def test_the_oldest_server_allowed_is_fit() -> None:
    assert judge({"redis_version": "7.0.0"})


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl", "allkeys-random"])
def test_a_server_that_evicts_is_refused_with_the_setting(policy: str) -> None:
    assert refusal(policy=policy).startswith(f"redis: maxmemory-policy is {policy}, which drops")


def test_a_server_that_hides_its_policy_is_refused() -> None:
    with pytest.raises(UnsafeQueueError, match="maxmemory-policy is None"):
        judge_queue(REDIS, {}, SAFE_URL, allow_open=False)


@pytest.mark.parametrize("url", [OPEN_URL, "rediss://queue.example", "redis://user@queue.example"])
def test_an_open_server_is_refused_with_the_ways_out(url: str) -> None:
    text = refusal(url=url)
    assert text.startswith("redis: the URL has no password")
    assert "--allow-open-redis" in text


@pytest.mark.parametrize(
    "url", [SAFE_URL, f"redis://:{SECRET}@queue.example", f"rediss://u:{SECRET}@queue.example"]
)
def test_a_socket_or_a_password_is_no_open_server(url: str) -> None:
    assert judge(REDIS, url=url) == []


def test_an_open_server_may_be_accepted_knowingly() -> None:
    assert judge(REDIS, url=OPEN_URL, allow_open=True) == []


def test_accepting_an_open_server_accepts_nothing_else() -> None:
    assert "maxmemory-policy" in refusal(url=OPEN_URL, policy="allkeys-lru", allow_open=True)


BLOCKING, LUA, STREAMS = "CVE-2026-23479", "CVE-2025-49844", "CVE-2026-63639"


@pytest.mark.parametrize(
    ("version", "holes"),
    [
        ("7.0.15", [LUA]),
        ("7.2.0", [BLOCKING, LUA]),
        ("8.2.1", [BLOCKING, LUA]),
        ("8.2.2", [BLOCKING]),
        ("8.6.2", [BLOCKING]),
        ("8.6.3", []),
        ("9.0.0", []),
    ],
)
def test_a_redis_with_a_known_hole_is_warned_of_by_its_name(version: str, holes: list[str]) -> None:
    warnings = judge({"redis_version": version})
    assert [hole for hole in (BLOCKING, LUA) if hole in " ".join(warnings)] == holes
    assert len(warnings) == len(holes)
    assert all(warning.startswith(f"Redis {version} has a known hole") for warning in warnings)


@pytest.mark.parametrize(
    ("version", "holes"),
    [
        ("7.2.11", [BLOCKING, STREAMS]),
        ("8.1.6", [BLOCKING, STREAMS]),
        ("8.1.7", [STREAMS]),
        ("8.2.0", [BLOCKING, STREAMS]),
        ("9.0.3", [BLOCKING, STREAMS]),
        ("9.0.4", [STREAMS]),
        ("9.1.0", [STREAMS]),
        ("9.1.1", []),
        ("10.0.0", []),
    ],
)
def test_a_valkey_is_judged_by_its_own_version(version: str, holes: list[str]) -> None:
    warnings = judge({**VALKEY, "valkey_version": version})
    assert [hole for hole in (BLOCKING, STREAMS) if hole in " ".join(warnings)] == holes
    assert len(warnings) == len(holes)
    assert all(warning.startswith(f"Valkey {version} has a known hole") for warning in warnings)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"redis://:{SECRET}@host:6379/0", "redis://***@host:6379/0"),
        (f"rediss://user:{SECRET}@host", "rediss://***@host"),
        (f"redis://user:{SECRET}%40x@host", "redis://***@host"),
        (f"unix:///run/queue.sock?password={SECRET}", "unix:///run/queue.sock"),
        (f"redis://host?username=u&password={SECRET}", "redis://host"),
        ("redis://host:6379/0", "redis://host:6379/0"),
        (SAFE_URL, SAFE_URL),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert without_password(url) == shown


@pytest.mark.parametrize("url", [f"redis://u:{SECRET}@host", f"http://u:{SECRET}@host"])
@pytest.mark.parametrize("server", [{"redis_version": "6.0"}, REDIS], ids=["old", "new"])
def test_a_refusal_shows_no_password(url: str, server: dict[str, Any]) -> None:
    assert SECRET not in refusal(server, url=url, policy="allkeys-lru")


@pytest.mark.parametrize(
    "url",
    [
        f"http://u:{SECRET}@host",
        f"redis://:{SECRET}/part@host:6379",
        f"redis://:{SECRET}#part@host:6379",
        f"redis://host:{SECRET}",
        SECRET,
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(UnsafeQueueError, match="not a URL that can be used") as refused:
        check_queue(url, allow_open=True)
    assert SECRET not in str(refused.value)
    assert refused.value.__cause__ is None
