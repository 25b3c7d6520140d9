"""When a client tries again."""

from __future__ import annotations

import pytest

from bridge.client.retry import HINT_JITTER, Backoff, RetryBudget, backoff_s, retry_s


@pytest.mark.parametrize("ratio", [0.1, 0.5])
def test_of_many_calls_no_more_than_the_ratio_and_the_reserve_are_retries(ratio: float) -> None:
    budget = RetryBudget(ratio, reserve=10)
    retries = 0
    for _ in range(1_000):
        budget.earn()
        while budget.spend():
            retries += 1
    assert 1_000 * ratio <= retries <= 1_000 * ratio + 10


def test_what_was_not_spent_is_kept_up_to_the_reserve() -> None:
    budget = RetryBudget(0.1, reserve=3)
    for _ in range(1_000):
        budget.earn()
    assert [budget.spend() for _ in range(4)] == [True, True, True, False]


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_a_hint_is_waited_for_at_least_as_long_as_it_says(chance: float) -> None:
    assert 2.0 <= retry_s(2.0, chance) <= 2.0 * (1 + HINT_JITTER)


def test_the_wait_between_attempts_doubles_up_to_a_bound() -> None:
    waits = [backoff_s(failures, 1.0, 0.05, 5.0) for failures in (0, 1, 2, 3, 10, 10_000)]
    assert waits == [0.05, 0.1, 0.2, 0.4, 5.0, 5.0]


def test_clients_that_fail_together_come_apart() -> None:
    assert (backoff_s(0, 0.0, 1.0, 5.0), backoff_s(0, 1.0, 1.0, 5.0)) == (0.5, 1.0)


def test_a_server_that_was_not_tried_is_tried_at_once() -> None:
    assert Backoff(0.05, 5.0).wait_s(1_000.0) == 0.0


def test_after_a_failure_the_next_attempt_is_due_later_and_after_a_success_at_once() -> None:
    backoff = Backoff(1.0, 8.0)
    backoff.fail(100.0, 1.0)
    backoff.fail(101.0, 1.0)
    waits = [backoff.wait_s(101.0), backoff.wait_s(102.5), backoff.wait_s(104.0)]
    backoff.succeed()
    assert (waits, backoff.wait_s(101.0)) == ([2.0, 0.5, 0.0], 0.0)


def test_a_server_that_says_when_to_come_back_is_believed() -> None:
    backoff = Backoff(0.05, 5.0)
    backoff.fail(100.0, 0.0, hint_s=20.0)
    assert backoff.wait_s(100.0) == 20.0
