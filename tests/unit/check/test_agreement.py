"""When two answers for one row agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from workers.check.agreement import Agreement, compare, usual_magnitude

NOTHING = np.zeros(1)


def agreement(alone: Any, together: Any, dtype: Any = np.float32, size: float = 0.0) -> Agreement:
    first, second = np.array([alone], dtype), np.array([together], dtype)
    return compare(first, second, np.array([size])).agreement


PAIRS = {
    "equal": (1.0, 1.0, Agreement.EXACT),
    "zeros of either sign": (0.0, -0.0, Agreement.EXACT),
    "NaN twice": (np.nan, np.nan, Agreement.EXACT),
    "infinity twice": (np.inf, np.inf, Agreement.EXACT),
    "a last bit": (1.0, 1.0 + 2**-23, Agreement.ROUNDING),
    "a thousandth": (1.0, 1.001, Agreement.DIFFERENT),
    "NaN and a number": (np.nan, 1.0, Agreement.DIFFERENT),
    "infinity and a number": (np.inf, 1.0, Agreement.DIFFERENT),
    "infinities of either sign": (np.inf, -np.inf, Agreement.DIFFERENT),
    "nothing and something": (0.0, 1e-30, Agreement.DIFFERENT),
}


@pytest.mark.parametrize(("alone", "together", "expected"), PAIRS.values(), ids=PAIRS.keys())
def test_numbers_agree_to_the_bit_up_to_rounding_or_not(
    alone: float, together: float, expected: Agreement
) -> None:
    assert agreement(alone, together) is expected


def test_a_value_near_zero_is_measured_by_the_usual_size() -> None:
    assert agreement(1e-7, 3e-7, size=1.0) is Agreement.ROUNDING


def test_half_precision_has_its_own_rounding() -> None:
    assert agreement(1.0, 1.0 + 2**-9, np.float16) is Agreement.ROUNDING


def test_double_precision_is_not_held_to_more_than_single() -> None:
    assert agreement(1.0, 1.0 + 5e-6, np.float64) is Agreement.ROUNDING


@pytest.mark.parametrize(("alone", "together", "dtype"), [(1, 2, np.int64), ("a", "b", object)])
def test_classes_and_texts_agree_exactly_or_not(alone: Any, together: Any, dtype: Any) -> None:
    assert agreement(alone, alone, dtype) is Agreement.EXACT
    assert agreement(alone, together, dtype) is Agreement.DIFFERENT


def test_the_element_that_differs_most_is_named() -> None:
    found = compare(np.array([1.0, 1.0, 1.0]), np.array([1.0, 1.2, 1.1]), NOTHING)
    assert found.element == 1


def test_answers_of_different_shapes_differ() -> None:
    found = compare(np.zeros(2), np.zeros(3), NOTHING)
    assert found.agreement is Agreement.DIFFERENT


def test_each_column_has_its_own_usual_size() -> None:
    rows = [np.array([1e6, 1e-3]), np.array([-3e6, np.nan]), np.array([2e6, 2e-3])]
    assert usual_magnitude(rows).tolist() == [2e6, 1e-3]
