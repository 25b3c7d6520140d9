"""The batches that rows are tried in."""

from __future__ import annotations

from workers.check.trial import beside_strangers, first_trials, further_trials

ROWS = list(range(8))


def test_all_rows_together_come_first() -> None:
    assert next(first_trials(ROWS, 65)).rows == tuple(ROWS)


def test_each_stranger_stands_before_and_after_the_rows() -> None:
    batches = [trial.rows for trial in beside_strangers(ROWS, {8: "zeros"}, 65)]
    assert batches == [(*ROWS, 8), (8, *ROWS)]


def test_a_stranger_is_never_cut_off() -> None:
    batches = [trial.rows for trial in beside_strangers(ROWS, {8: "zeros"}, 3)]
    assert batches == [(0, 1, 8), (8, 0, 1)]


def test_the_sizes_two_three_seven_the_full_batch_and_one_more_are_tried() -> None:
    sizes = [len(trial.rows) for trial in further_trials(ROWS, 17, 16)][:5]
    assert sizes == [2, 3, 7, 16, 17]


def test_each_row_comes_to_each_of_the_first_seven_places() -> None:
    batches = [trial.rows for trial in further_trials(ROWS, 65, 64) if "position" in trial.name]
    batches.append(next(first_trials(ROWS, 65)).rows)
    places = {(row, place) for batch in batches for place, row in enumerate(batch[:7])}
    assert len(places) == len(ROWS) * 7


def test_no_batch_is_larger_than_the_cap_or_smaller_than_two() -> None:
    batches = [
        *first_trials(ROWS, 3),
        *beside_strangers(ROWS, {8: "zeros"}, 3),
        *further_trials(ROWS, 3, 64),
    ]
    assert {len(trial.rows) for trial in batches} == {2, 3}


def test_one_row_alone_is_tried_beside_itself() -> None:
    assert {trial.rows for trial in first_trials([5], 65)} == {(5, 5)}


def test_neighbouring_rows_are_tried_in_pairs_in_both_orders() -> None:
    pairs = [trial.rows for trial in first_trials(ROWS[:3], 65) if trial.name == "in a pair"]
    assert pairs == [(0, 1), (1, 0), (1, 2), (2, 1)]


def test_rows_are_shuffled_three_times() -> None:
    batches = [trial.rows for trial in further_trials(ROWS, 65, 64) if trial.name == "shuffled"]
    assert [sorted(batch) for batch in batches] == [ROWS] * 3
    assert len({*batches, tuple(ROWS)}) == 4
