"""Where the runner's time goes: runs, and gaps between them while there was work."""

from __future__ import annotations

from workers.run_watch import RunWatch


def watched(*runs: tuple[float, float]) -> RunWatch:
    watch = RunWatch()
    for began_s, ended_s in runs:
        watch.begin(began_s)
        watch.end(ended_s)
    return watch


def test_the_time_in_runs_and_between_them_is_summed() -> None:
    assert watched((1.0, 3.0), (3.5, 4.0)).take_us() == (2_500_000, 500_000)


def test_the_time_before_the_first_run_is_no_gap() -> None:
    assert watched((100.0, 101.0)).take_us() == (1_000_000, 0)


def test_the_time_without_work_is_no_gap() -> None:
    watch = watched((1.0, 2.0))
    watch.rest()
    watch.begin(50.0)
    watch.end(51.0)
    assert watch.take_us() == (2_000_000, 0)


def test_what_was_taken_is_not_counted_again() -> None:
    watch = watched((1.0, 2.0))
    watch.take_us()
    watch.begin(2.25)
    watch.end(3.25)
    assert watch.take_us() == (1_000_000, 250_000)
