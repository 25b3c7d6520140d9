"""Golden rows beside what came: what passes, and what does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bridge.golden.comparison import Compared

Array = np.ndarray[Any, np.dtype[Any]]


def compared(expected: Any, got: Any) -> Compared:
    way = Compared("a way")
    numbers = tuple(range(len(expected)))
    way.add(numbers, {"y": np.array(expected)}, {"y": np.array(got)}, {}, lambda *_: 0.0)
    return way


@pytest.mark.parametrize(
    ("expected", "got", "row"),
    [
        ([1.0, 2.0], [1.0, 2.0], None),
        ([1.0, np.nan], [1.0, np.nan], None),
        ([1.0, 2.0], [1.0, np.nan], 1),
        ([np.nan, 2.0], [1.0, 2.0], 0),
        ([1.0, 2.0], [1.0, 2.1], 1),
        (["a", "b"], ["a", "c"], 1),
    ],
)
def test_the_first_row_that_is_not_as_expected_is_found(
    expected: Any, got: Any, row: int | None
) -> None:
    way = compared(expected, got)
    assert (way.first_row, way.is_passed) == (row, row is None)


def test_a_row_without_an_answer_does_not_pass() -> None:
    way = compared([1.0], [1.0])
    way.unanswered[3] = "no answer"
    assert (way.first_row, way.is_passed) == (3, False)
