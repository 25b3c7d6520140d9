"""The fewest rows that still show what a batch showed."""

from __future__ import annotations

from workers.check.shrinking import Example, smallest

BATCH = tuple(range(20))


def test_one_neighbour_is_found_wherever_it_was() -> None:
    def shows(rows: tuple[int, ...], place: int) -> bool:
        return 17 in rows

    assert smallest(BATCH, 3, shows, 1000) == Example((3, 17), 0)


def test_a_neighbour_that_must_come_first_stays_first() -> None:
    def shows(rows: tuple[int, ...], place: int) -> bool:
        return 5 in rows[:place]

    assert smallest(BATCH, 9, shows, 1000) == Example((5, 9), 1)


def test_as_many_rows_are_kept_as_it_takes() -> None:
    def shows(rows: tuple[int, ...], place: int) -> bool:
        return len(rows) >= 6

    found = smallest(BATCH, 9, shows, 1000)
    assert (len(found.batch), found.batch[found.place]) == (6, 9)


def test_several_neighbours_are_kept_together() -> None:
    def shows(rows: tuple[int, ...], place: int) -> bool:
        return {2, 18} <= set(rows)

    assert smallest(BATCH, 9, shows, 1000) == Example((2, 9, 18), 1)


def test_a_row_beside_itself_is_a_neighbour() -> None:
    def shows(rows: tuple[int, ...], place: int) -> bool:
        return len(rows) > 1

    assert smallest((4, 4, 4), 1, shows, 1000) == Example((4, 4), 0)


def test_no_more_batches_are_tried_than_allowed() -> None:
    tried = []

    def shows(rows: tuple[int, ...], place: int) -> bool:
        tried.append(rows)
        return False

    assert smallest(BATCH, 3, shows, 10) == Example(BATCH, 3)
    assert len(tried) == 10


def test_pairs_are_tried_before_neighbours_are_left_out_by_halves() -> None:
    def shows(rows: tuple[int, ...], place: int) -> bool:
        return 3 in rows and len(rows) in (2, 20)

    assert smallest(BATCH, 0, shows, 1000) == Example((0, 3), 0)
