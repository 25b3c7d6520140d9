from __future__ import annotations

import pytest

from bridge.restart_policy import CONFIGURATION_ERROR, RestartPolicy

POLICY = RestartPolicy(first_delay_s=0.5, longest_delay_s=3.0, first_starts_max=3)


@pytest.mark.parametrize(
    ("short_lives", "delay_s"), [(1, 0.5), (2, 1.0), (3, 2.0), (4, 3.0), (100_000, 3.0)]
)
def test_the_delay_doubles_up_to_its_bound(short_lives: int, delay_s: float) -> None:
    assert POLICY.delay_s(short_lives) == delay_s


def test_an_error_of_configuration_is_final_even_for_a_child_that_was_ready() -> None:
    assert POLICY.fatal_exit_code(CONFIGURATION_ERROR, first_starts=None) == CONFIGURATION_ERROR


def test_a_child_that_was_ready_is_always_started_again() -> None:
    assert POLICY.fatal_exit_code(1, first_starts=None) is None


def test_a_child_that_was_never_ready_is_started_again_below_the_bound() -> None:
    assert POLICY.fatal_exit_code(7, first_starts=2) is None


def test_a_child_that_was_never_ready_is_given_up_with_its_own_code() -> None:
    assert POLICY.fatal_exit_code(7, first_starts=3) == 7


@pytest.mark.parametrize("child_exit_code", [0, -9])
def test_a_child_given_up_without_a_code_of_its_own_is_an_error(child_exit_code: int) -> None:
    assert POLICY.fatal_exit_code(child_exit_code, first_starts=3) == 1
