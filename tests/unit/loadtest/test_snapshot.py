"""Progress beside the sending: every request is counted once, however often one looks."""

from __future__ import annotations

import numpy as np

from loadtest.snapshot import Snapshot, Watch, WatchedPart, combined
from loadtest.traffic import LOST, UNSENT

TARGET_S = 0.1
COUNT = 5_000
INTENDED_S = np.arange(COUNT) / 500
STATUS = np.random.default_rng(1).choice([200, 429, LOST], COUNT)
LATENCY_S = np.random.default_rng(2).exponential(0.05, COUNT)


def look(watch: Watch, now_s: float) -> Snapshot:
    """What is seen of the recording at an instant."""
    due = int(np.searchsorted(INTENDED_S, now_s))
    done = now_s >= INTENDED_S + LATENCY_S

    def read(first: int) -> WatchedPart:
        part = slice(first, due)
        return WatchedPart(
            INTENDED_S[part],
            np.where(done, INTENDED_S + LATENCY_S, np.nan)[part],
            np.where(done, STATUS, UNSENT)[part],
            np.zeros(due - first),
        )

    return watch.look(read, now_s, TARGET_S)


def totals(one: Snapshot) -> tuple[int, int, int, int]:
    return one.in_time, one.late, one.refused, one.failed


def test_looking_often_counts_the_same_as_looking_once() -> None:
    watch = Watch()
    often = [look(watch, now_s) for now_s in np.arange(0, 12, 0.5)][-1]
    assert totals(often) == totals(look(Watch(), 11.5))


def test_the_last_look_counts_every_request() -> None:
    assert sum(totals(look(Watch(), 60.0))) == COUNT


def test_what_is_done_and_old_is_looked_at_no_more() -> None:
    watch = Watch()
    look(watch, 9.0)
    assert watch.first > 2_500


def test_requests_without_an_answer_are_in_flight() -> None:
    one = look(Watch(), 5.0)
    open_ones = int((INTENDED_S + LATENCY_S > 5.0)[INTENDED_S < 5.0].sum())
    assert combined([one], 10.0).in_flight == open_ones


def test_the_rate_is_that_of_the_last_second_of_all_processes() -> None:
    one = look(Watch(), 5.0)
    assert combined([one, one], 10.0).rate_per_s == 1_000.0


def test_no_p99_is_shown_from_few_answers() -> None:
    assert combined([look(Watch(), 0.2)], 10.0).p99_ms is None
