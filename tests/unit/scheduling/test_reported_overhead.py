"""The overhead that B is chosen with, from what gateways report."""

from __future__ import annotations

import pytest

from bridge.scheduling.reported_overhead import (
    DEAD_SHARE,
    HEARD_S_MAX,
    MEMORY_S,
    ReportedOverhead,
)

START_S = 0.004


def reported(*overheads_s: float, gateway: str = "g", every_s: float = 0.1) -> ReportedOverhead:
    """What is made of reports at equal distances."""
    overhead = ReportedOverhead(START_S)
    for number, overhead_s in enumerate(overheads_s):
        overhead.observe(gateway, overhead_s, number * every_s)
    return overhead


def test_before_a_report_the_start_is_reckoned_with() -> None:
    assert ReportedOverhead(START_S).in_use_s == START_S


def test_no_report_changes_nothing() -> None:
    assert reported(0.0, 0.0).in_use_s == START_S


def test_what_is_reported_for_long_is_reckoned_with() -> None:
    assert reported(*[0.02] * 200).in_use_s == pytest.approx(0.02, rel=DEAD_SHARE)


def test_less_is_believed_too() -> None:
    assert reported(*[0.002] * 200).in_use_s == pytest.approx(0.002, rel=2 * DEAD_SHARE)


def test_one_high_report_changes_nothing() -> None:
    steady = [START_S] * 100
    assert reported(*steady, 0.01, *steady).in_use_s == START_S


def test_reports_that_swing_by_a_fifth_change_nothing() -> None:
    swinging = [START_S * (0.8 if number // 10 % 2 else 1.2) for number in range(300)]
    assert reported(*swinging).in_use_s == START_S


def test_a_jump_is_followed_within_the_memory() -> None:
    count = int(MEMORY_S / 0.1)
    assert reported(*[START_S] * 50, *[0.02] * count).in_use_s > (START_S + 0.02) / 2


def test_the_worst_gateway_counts() -> None:
    overhead = ReportedOverhead(START_S)
    for number in range(100):
        overhead.observe("slow", 0.02, number * 0.2)
        overhead.observe("quick", 0.001, number * 0.2)
    assert overhead.in_use_s == pytest.approx(0.02, rel=DEAD_SHARE)


def test_a_gateway_that_has_fallen_silent_is_forgotten() -> None:
    overhead = ReportedOverhead(START_S)
    overhead.observe("slow", 10.0, 0.0)
    after_s = HEARD_S_MAX + 0.1
    for number in range(300):
        overhead.observe("quick", START_S, after_s + number * 0.1)
    assert overhead.in_use_s < 2 * START_S
