"""What the plots are drawn from: the thinned timeline, the distribution, the server's buckets."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from loadtest.report.buckets import Buckets
from loadtest.report.latency_curve import LatencyCurve, nines_supported
from loadtest.report.plain_words import caveats, verdict
from loadtest.report.plots import plots_of
from loadtest.report.timeline import Timeline
from loadtest.result import Second
from loadtest.summary import samples_needed
from tests.unit.loadtest import pages, results


def seconds(count: int) -> list[Second]:
    return [
        Second(
            at_s=float(at_s),
            offered=at_s,
            in_time=at_s,
            late=0,
            refused=0,
            failed=0,
            p50_ms=float(at_s),
            p99_ms=None if at_s % 2 else 10.0 * at_s,
            max_ms=20.0 * at_s,
        )
        for at_s in range(count)
    ]


def test_a_short_run_has_one_point_per_second() -> None:
    assert Timeline.of(seconds(5), points_max=5).seconds_per_point == 1


def test_a_long_run_has_no_more_points_than_a_plot_shows() -> None:
    assert len(Timeline.of(seconds(1001), points_max=100).middles) == 91


def test_thinning_keeps_the_worst_maximum() -> None:
    assert Timeline.of(seconds(4), points_max=2).max_ms.tolist() == [20.0, 60.0]


def test_thinning_keeps_the_worst_p99_that_there_is() -> None:
    assert Timeline.of(seconds(4), points_max=2).p99_ms.tolist() == [0.0, 20.0]


def test_thinning_averages_counts() -> None:
    assert Timeline.of(seconds(4), points_max=2).per_s["offered"].tolist() == [0.5, 2.5]


def test_a_second_without_a_p99_is_a_gap() -> None:
    assert np.isnan(Timeline.of(seconds(2)).p99_ms).tolist() == [False, True]


@pytest.mark.parametrize(("length", "unit"), [(60, "s"), (601, "min"), (36_001, "h")])
def test_the_time_axis_counts_in_a_unit_with_short_numbers(length: int, unit: str) -> None:
    assert Timeline.of(seconds(length)).unit.name == unit


def test_the_curve_has_the_p99_of_the_result() -> None:
    result = pages.result("sound")
    curve = LatencyCurve.read(result.latency)
    assert curve is not None

    p99_ms = float(np.interp(2.0, curve.nines, curve.latency_ms))

    assert p99_ms == pytest.approx(result.latency.percentiles_ms["99"], rel=0.01)


def test_the_curve_ends_at_the_maximum() -> None:
    result = pages.result("stalled")
    curve = LatencyCurve.read(result.latency)
    assert curve is not None

    assert curve.latency_ms[-1] == pytest.approx(result.latency.percentiles_ms["100"], rel=0.001)


@pytest.mark.parametrize("encoded", ["", "AAAA", "<script>", "HISTFAAAACB42pNpmSzM"])
def test_an_unreadable_histogram_gives_no_curve(encoded: str) -> None:
    latency = msgspec.structs.replace(pages.result("sound").latency, histogram=encoded)

    assert LatencyCurve.read(latency) is None


@pytest.mark.parametrize(("percentile", "nines"), [(90.0, 1.0), (99.0, 2.0), (99.9, 3.0)])
def test_so_many_samples_as_a_percentile_needs_support_it(percentile: float, nines: float) -> None:
    needed = samples_needed(percentile)

    assert nines_supported(needed - 1) < nines <= nines_supported(needed)


def test_buckets_are_read_in_order_without_empty_ends() -> None:
    counts = {"+Inf": 0, "8": 5, "2": 0, "4": 1, "16": 0, "32": 2}

    assert Buckets.read(counts) == Buckets(2.0, (4.0, 8.0, 16.0, 32.0), (1, 5, 0, 2))


def test_buckets_of_rows_are_named_by_the_whole_numbers_in_them() -> None:
    buckets = Buckets.read({"1": 1, "2": 1, "4": 1, "+Inf": 1})
    assert buckets is not None

    assert buckets.row_ranges() == ["1", "2", "3–4", "> 4"]


def test_buckets_of_seconds_are_named_in_milliseconds() -> None:
    buckets = Buckets.read({"0.0005": 1, "0.001": 1, "1": 1, "+Inf": 1})
    assert buckets is not None

    assert buckets.millisecond_bounds() == ["≤ 0.5", "≤ 1", "≤ 1,000", "> 1,000"]


@pytest.mark.parametrize("counts", [{}, {"1": 0}, {"<b>": 3}, {"nan": 3}])
def test_buckets_that_hold_nothing_readable_give_no_plot(counts: dict[str, int]) -> None:
    assert Buckets.read(counts) is None


def test_a_run_too_slow_for_a_p99_per_second_says_so_at_the_plot() -> None:
    notes = [plot.note for plot in plots_of(pages.result("void"))]

    assert notes[0].endswith("No p99: it takes 459 answers in a second.")


def test_callers_who_left_on_purpose_do_not_count_against_the_server() -> None:
    result = results.sound(outcomes={"in_time": 80, "left": 20}, offered=100)

    assert verdict(result) == (
        "At least 99 % of the requests whose callers stayed were answered in time: the server "
        "carried this load."
    )


def test_a_closed_loop_is_named_with_what_it_cannot_tell() -> None:
    assert caveats(results.sound(loop="closed"))[0].startswith("In a closed loop a slow server")
