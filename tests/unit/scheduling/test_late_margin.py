"""What is kept back of the latency target, by what became late."""

from __future__ import annotations

import pytest

from bridge.scheduling.late_margin import GAIN, SHARE_MAX, TOLERATED, LateMargin


def after(margin: LateMargin, frames: int, late: int, answered: int) -> float:
    """The share after so many frames, each with `late` of its answers late."""
    for _ in range(frames):
        for number in range(answered):
            margin.observe(number < late)
        margin.end_frame()
    return margin.share


def test_nothing_is_kept_back_while_nobody_is_late() -> None:
    assert after(LateMargin(), 1_000, 0, 10) == 0.0


def test_a_frame_that_is_late_as_a_whole_keeps_a_twentieth_back() -> None:
    assert after(LateMargin(), 1, 50, 50) == pytest.approx(GAIN * (1 - TOLERATED))


@pytest.mark.parametrize("answered", [1, 100])
def test_a_frame_counts_as_one_however_many_answers_it_holds(answered: int) -> None:
    assert after(LateMargin(), 1, answered, answered) == after(LateMargin(), 1, 1, 1)


def test_what_was_kept_back_is_given_back_by_frames_in_time() -> None:
    margin = LateMargin()
    after(margin, 1, 10, 10)
    assert after(margin, 250, 0, 10) == 0.0


def test_there_is_a_most_that_is_kept_back() -> None:
    assert after(LateMargin(), 100, 10, 10) == SHARE_MAX


def test_a_frame_without_answers_changes_nothing() -> None:
    margin = LateMargin()
    before = after(margin, 1, 1, 2)
    margin.end_frame()
    assert margin.share == before
