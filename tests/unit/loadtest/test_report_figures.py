"""How the report writes numbers."""

from __future__ import annotations

import pytest

from loadtest.report import figures


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0, "0"),
        (0.65, "0.650"),
        (0.0214, "0.021"),
        (0.0004, "< 0.001"),
        (4.305, "4.30"),
        (41.26, "41.3"),
        (999.6, "1,000"),
        (1234.5, "1,234"),
        (123456.7, "123,457"),
        (float("nan"), "nan"),
    ],
)
def test_a_measurement_has_three_significant_digits(value: float, expected: str) -> None:
    assert figures.number(value) == expected


@pytest.mark.parametrize(
    ("part", "whole", "expected"),
    [
        (0, 0, "–"),
        (0, 7, "0 %"),
        (7, 7, "100 %"),
        (1, 3, "33.33 %"),
        (98_996, 100_000, "98.99 %"),
        (999_999, 1_000_000, "99.99 %"),
        (1, 1_000_000, "< 0.01 %"),
    ],
)
def test_a_share_is_not_rounded_to_all_or_nothing(part: int, whole: int, expected: str) -> None:
    assert figures.share(part, whole) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(30.0, "30 s"), (599.96, "600 s"), (3600.0, "60 min"), (86_400.0, "24 h")],
)
def test_a_length_is_written_in_the_unit_that_people_say(seconds: float, expected: str) -> None:
    assert figures.duration(seconds) == expected


@pytest.mark.parametrize(
    ("value_ms", "expected"),
    [(None, "–"), (0.113, "0.113 ms"), (9_999.0, "9,999 ms"), (12_345.0, "12.3 s")],
)
def test_a_latency_is_in_milliseconds_below_ten_seconds(
    value_ms: float | None, expected: str
) -> None:
    assert figures.milliseconds(value_ms) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(0.0, "0"), (2.5, "+2.50"), (-2.5, "−2.50"), (1e-5, "0")]
)
def test_a_difference_has_its_sign(value: float, expected: str) -> None:
    assert figures.signed(value) == expected


def test_names_that_are_no_percentiles_are_left_out() -> None:
    assert figures.percentiles(["99.9", "<b>", "50", "100", "nan"]) == ["50", "99.9", "100"]
