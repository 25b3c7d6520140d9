"""When a stored request is tried again, and when no more."""

from __future__ import annotations

from bridge.gateway.later.backoff import DELAY_S_MAX, delay_s, is_last, is_one_too_many
from bridge.job_store.manifest import JobManifest, JobState

HOUR_MS = 3_600_000
LEASE_MS = 10_000


def claimed(
    *, attempts: int = 1, forgiven: int = 0, unanswered: int = 0, age_ms: int = 0
) -> JobManifest:
    return JobManifest(
        id="a1",
        model="m",
        state=JobState.RUNNING,
        created_ms=1_000,
        lease_until_ms=1_000 + age_ms + LEASE_MS,
        attempts=attempts,
        attempts_forgiven=forgiven,
        attempts_unanswered=unanswered,
        kept_ms=HOUR_MS,
    )


def test_delays_double_up_to_their_bound() -> None:
    assert [delay_s(attempts, 0.0, 0.0) for attempts in (1, 2, 3)] == [0.25, 0.5, 1.0]
    assert delay_s(100_000, 0.0, 0.0) == DELAY_S_MAX / 2


def test_a_hint_is_waited_for() -> None:
    assert delay_s(1, 4.0, 0.5) == 4.0


def test_a_request_that_finds_no_room_is_tried_as_long_as_it_lives() -> None:
    assert not is_last(claimed(attempts=500, forgiven=499), LEASE_MS, was_started=False)
    assert is_last(claimed(age_ms=HOUR_MS + 1), LEASE_MS, was_started=False)


def test_a_request_that_brings_no_answer_is_tried_once_more() -> None:
    assert not is_last(claimed(attempts=9, forgiven=8), LEASE_MS, was_started=True)
    assert is_last(claimed(attempts=10, forgiven=8, unanswered=1), LEASE_MS, was_started=True)


def test_a_request_that_ended_with_ten_gateways_is_not_tried_again() -> None:
    assert not is_one_too_many(claimed(attempts=20, forgiven=9, unanswered=1))
    assert is_one_too_many(claimed(attempts=21, forgiven=9, unanswered=1))
