"""The Prefer header: RFC 7240's grammar, and what of it is honoured."""

from __future__ import annotations

import time

import pytest

from bridge.gateway.later.prefer import WAIT_S_MAX, RespondAsync, parse_prefer

AT_ONCE = RespondAsync(0.0, "respond-async")


@pytest.mark.parametrize(
    "values",
    [
        ["respond-async"],
        ["Respond-Async"],
        ["  respond-async ; x=1"],
        ["return=minimal, respond-async"],
        ["return=minimal", "respond-async"],
        ['note="a, b; c", respond-async'],
        ['respond-async=""'],
        ["respond-async, wait=soon"],
        ["respond-async, wait=-1"],
        ["respond-async, wait=1234567"],
    ],
)
def test_respond_async_is_found_among_other_preferences(values: list[str]) -> None:
    assert parse_prefer(values) == AT_ONCE


@pytest.mark.parametrize(
    "values",
    [
        [],
        [""],
        ["wait=10"],
        ["respond-asynchronously"],
        ['note="respond-async"'],
        ["respond-async=no"],
        ["return=minimal; respond-async"],
        ["respond-async, " + "x" * 512],
    ],
)
def test_what_does_not_ask_for_it_is_ignored(values: list[str]) -> None:
    assert parse_prefer(values) is None


def test_the_wait_is_read_and_named_as_applied() -> None:
    assert parse_prefer(["respond-async, wait=7"]) == RespondAsync(7.0, "respond-async, wait=7")


def test_of_two_waits_the_first_counts() -> None:
    assert parse_prefer(["wait=2, respond-async", "wait=9"]) == RespondAsync(
        2.0, "respond-async, wait=2"
    )


def test_a_long_wait_is_cut() -> None:
    assert parse_prefer(["respond-async, wait=86400"]) == RespondAsync(
        WAIT_S_MAX, "respond-async, wait=60"
    )


def test_hostile_quotes_are_read_in_no_time() -> None:
    started_s = time.process_time()
    for _ in range(20):
        parse_prefer(['respond-async, "' + '\\"' * 250])
    assert time.process_time() - started_s < 1.0
