"""A chunk on trial: the guilty rows are found, with few deaths, and nobody else is condemned."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.jobs.trial import ROW_LOSSES_MAX, Trial


def tried(rows: int, guilty: set[int]) -> tuple[Trial, int, int]:
    """A trial to its end: the trial, the deaths that it cost, and its runs."""
    trial = Trial(rows)
    deaths = runs = 0
    while (on_trial := trial.next_range) is not None:
        runs += 1
        if guilty.isdisjoint(range(on_trial.start, on_trial.end)):
            trial.passed()
        else:
            deaths += on_trial.losses_max
            trial.came_back()
    return trial, deaths, runs


@given(st.integers(1, 3_000), st.sets(st.integers(0, 2_999), max_size=6))
def test_exactly_the_guilty_rows_are_condemned_at_four_deaths_each(
    rows: int, picked: set[int]
) -> None:
    guilty = {row for row in picked if row < rows}
    trial, deaths, runs = tried(rows, guilty)
    assert sorted(trial.condemned) == sorted(guilty)
    assert deaths <= 4 * len(guilty)
    assert runs <= rows + len(guilty) and runs <= (len(guilty) + 2) * (math.isqrt(rows) + 17)


@pytest.mark.parametrize("rows", [1, 16, 17, 1_024])
def test_the_parts_of_a_trial_are_its_rows_each_once_and_in_order(rows: int) -> None:
    trial = Trial(rows)
    seen: list[int] = []
    while (on_trial := trial.next_range) is not None:
        seen += range(on_trial.start, on_trial.end)
        trial.passed()
    assert seen == list(range(rows))


def test_a_row_alone_is_given_more_than_one_chance() -> None:
    trial = Trial(4)
    assert trial.next_range is not None
    assert trial.next_range.losses_max == ROW_LOSSES_MAX == 3
