"""Two runs compared: ratios, what differs, and when they should not be compared."""

from __future__ import annotations

from functools import cache

import msgspec
import pytest

from loadtest.report.comparison import Difference, claim, differences, flat, measures
from loadtest.result import RunResult
from tests.unit.loadtest import pages, results
from tests.unit.loadtest.pages import Seen


@cache
def faster() -> RunResult:
    return results.sound(seed=9, middle_ms=4.8)


def measure(name: str, before: RunResult, after: RunResult) -> tuple[str, str, str, str]:
    row = next(row for row in measures(before, after) if row.name == name)
    return row.before, row.after, row.difference, row.ratio


def test_a_latency_is_shown_with_difference_and_ratio() -> None:
    expected = ("15.8", "12.9", "−2.97", "× 0.813")

    assert measure("p99, ms", pages.result("sound"), faster()) == expected


def test_a_percentile_that_one_run_cannot_claim_has_no_ratio() -> None:
    sound, void = pages.result("sound"), pages.result("void")

    assert measure("p99, ms", sound, void) == ("15.8", "–", "–", "–")


def test_an_outcome_that_one_run_has_not_is_none_of_its_requests() -> None:
    sound, overloaded = pages.result("sound"), pages.result("overloaded")
    expected = ("0 %", "50.55 %", "+50.6 points", "–")

    assert measure("refused, of offered", sound, overloaded) == expected


def test_runs_that_differ_in_nothing_have_no_differences() -> None:
    assert differences(pages.result("sound"), pages.result("sound")) == []


def test_another_seed_does_not_forbid_a_comparison() -> None:
    assert differences(pages.result("sound"), faster()) == [Difference("seed", "7", "9", False)]


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("target_ms", 20.0, Difference("target_ms", "50", "20", True)),
        ("machine", results.MACHINE | {"cores": 8}, Difference("machine.cores", "2", "8", True)),
        ("loop", "closed", Difference("loop", "open", "closed", True)),
        ("versions", {}, Difference("versions.python", "3.11.7", "(not given)", False)),
    ],
)
def test_a_difference_is_named_with_both_values(
    field: str, value: object, expected: Difference
) -> None:
    changed = msgspec.structs.replace(pages.result("sound"), **{field: value})

    assert expected in differences(pages.result("sound"), changed)


def test_nested_settings_become_dotted_names() -> None:
    nested = {"a": {"b": [1, 2], "c": {}}, "d": None, "e": True, "f": 2.0, "g": 0.1}
    expected = {"a.b": "1, 2", "a.c": "none", "d": "none", "e": "yes", "f": "2", "g": "0.1"}

    assert flat(nested) == expected


def test_intervals_that_do_not_overlap_are_called_a_difference() -> None:
    assert claim(pages.result("sound"), faster()) == (
        "p99 15.8 ms (15.7 to 16.0) before, 12.9 ms (12.8 to 13.0) after: lower after, and the "
        "95 % intervals do not overlap."
    )


def test_intervals_that_overlap_show_no_difference() -> None:
    assert claim(pages.result("sound"), pages.result("sound")).endswith(
        "the intervals overlap, so these two runs show no difference in p99."
    )


def test_a_void_run_supports_no_comparison() -> None:
    assert claim(pages.result("sound"), pages.result("void")) == "None: after is void."


def test_runs_of_different_loads_are_called_not_like_for_like() -> None:
    assert "Not like for like" in Seen(pages.comparison("sound", "overloaded")).text


def test_runs_of_one_scenario_and_machine_are_not_called_unlike() -> None:
    assert "Not like for like" not in Seen(pages.comparison("sound", "sound")).text


def test_a_void_run_is_named_on_top_of_a_comparison() -> None:
    assert "VOID The run after proves nothing" in Seen(pages.comparison("sound", "void")).text


def test_a_comparison_closes_every_element_where_it_was_opened() -> None:
    seen = Seen(pages.comparison("sound", "overloaded"))

    assert (seen.unclosed, seen.stray) == ([], [])


def test_a_comparison_with_an_empty_run_has_no_plots() -> None:
    assert pages.comparison("sound", "empty").count("<svg ") == 0


def test_runs_with_levels_are_compared_by_offered_rate() -> None:
    assert "Goodput by offered rate" in pages.comparison("ramp", "ramp")
