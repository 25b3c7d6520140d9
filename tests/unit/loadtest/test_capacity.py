"""The capacity search against servers whose capacity is known."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from loadtest.capacity import CapacityError, find_capacity, probe_seconds, wilson_interval
from loadtest.result import RunResult
from tests.unit.loadtest.results import GENERATOR, result_of, second_of


def run_of(offered: int, in_time: int, void_reason: str | None = None) -> RunResult:
    latencies_ms = np.repeat([10.0, 90.0], [in_time, offered - in_time])
    cost = msgspec.structs.replace(GENERATOR, void_reason=void_reason)
    series = [second_of(0, offered, latencies_ms, 0, 0)]
    outcomes = {"in_time": in_time, "late": offered - in_time}
    return result_of(series, latencies_ms, generator=cost, outcomes=outcomes)


class StepServer:
    """Answers everything in time up to its capacity, and above it only that much."""

    def __init__(self, capacity: float) -> None:
        self.capacity = capacity
        self.asked: list[float] = []

    def __call__(self, rate: float) -> RunResult:
        self.asked.append(rate)
        return run_of(10_000, round(10_000 * min(1.0, self.capacity / rate)))


@pytest.mark.parametrize("capacity", [4.0, 50.0, 777.0, 12_345.0, 400_000.0])
def test_the_capacity_of_a_step_is_found_within_5_percent(capacity: float) -> None:
    # At 1 % above its capacity such a server still keeps the 99 %.
    assert find_capacity(50, StepServer(capacity)).rate == pytest.approx(capacity, rel=0.05)


def test_the_claimed_rate_was_run_and_kept_the_target() -> None:
    capacity = find_capacity(50, StepServer(777))
    assert (capacity.probe.rate, capacity.probe.share >= 0.99) == (capacity.rate, True)


def test_the_search_ends_where_nothing_is_ever_missed() -> None:
    assert find_capacity(50, StepServer(1e12)).rate == 1_000_000.0


def test_a_search_downwards_gives_up_after_four_halvings() -> None:
    server = StepServer(1.0)
    with pytest.raises(CapacityError, match=r"even 3\.125 requests/s"):
        find_capacity(50, server)
    assert server.asked == [50, 25, 12.5, 6.25, 3.125]


def test_no_rate_is_claimed_where_none_keeps_the_target() -> None:
    with pytest.raises(CapacityError, match=r"even .* requests/s were not answered"):
        find_capacity(50, lambda rate: run_of(1_000, 0))


def test_where_higher_rates_are_void_the_capacity_is_only_a_least_one() -> None:
    def run(rate: float) -> RunResult:
        return run_of(1_000, 1_000, "the generator was late" if rate > 300 else None)

    capacity = find_capacity(50, run)
    assert (capacity.limit, capacity.rate) == (
        "the generator was late",
        pytest.approx(292, abs=8),
    )


def test_a_void_rate_is_never_the_capacity() -> None:
    with pytest.raises(CapacityError, match=r"no rate could be judged.*: late"):
        find_capacity(50, lambda rate: run_of(1_000, 1_000, "late"))


def test_a_void_run_is_no_step_of_the_result() -> None:
    capacity = find_capacity(50, lambda rate: run_of(1_000, 1_000, "late" if rate > 60 else None))
    assert {probe.void_reason for probe in capacity.probes} == {None}


def test_where_a_higher_rate_missed_the_target_the_claim_has_no_limit() -> None:
    assert find_capacity(50, StepServer(777)).limit is None


def test_one_void_run_is_repeated_and_does_not_count() -> None:
    server, void = StepServer(777), [True]

    def run(rate: float) -> RunResult:
        return run_of(1_000, 0, "a hiccup") if void and void.pop() else server(rate)

    assert find_capacity(50, run).rate == find_capacity(50, StepServer(777)).rate


def test_a_run_of_458_requests_is_too_short_for_a_claim() -> None:
    with pytest.raises(CapacityError, match="458 requests at 50 per second are too few"):
        find_capacity(50, lambda rate: run_of(458, 458))


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_the_first_rate_must_be_a_positive_number(rate: float) -> None:
    with pytest.raises(CapacityError, match="start: "):
        find_capacity(rate, StepServer(777))


@pytest.mark.parametrize("rate", [1.0, 50.0, 459.0, 10_000.0])
def test_every_probe_is_long_enough_for_a_p99(rate: float) -> None:
    assert rate * probe_seconds(rate, 5.0, 0.1, 0.05) >= 459


@pytest.mark.parametrize(("target_s", "precision"), [(0.1, 0.05), (2.0, 0.05), (2.0, 0.2)])
def test_a_rate_beyond_the_precision_misses_the_target_before_its_probe_ends(
    target_s: float, precision: float
) -> None:
    # A server that is asked for 1 + precision times what it can do: what comes at the end of the
    # probe waits for this part of it.
    behind_s = precision * probe_seconds(1_000, 1.0, target_s, precision)
    assert behind_s >= target_s


def test_the_gap_that_is_left_is_as_small_as_asked() -> None:
    server = StepServer(777)
    rate = find_capacity(50, server, precision=0.5).rate
    missed = min(asked for asked in server.asked if asked > 777 / 0.99)
    assert (missed / rate <= 1.5, len(server.asked)) == (True, 6)


@pytest.mark.parametrize("precision", [0.0, 0.001, 1.1, float("nan")])
def test_a_precision_out_of_its_bounds_is_refused(precision: float) -> None:
    with pytest.raises(CapacityError, match="precision: "):
        find_capacity(50, StepServer(777), precision=precision)


def test_the_result_carries_every_rate_as_a_step_in_order() -> None:
    server = StepServer(777)
    result = find_capacity(50, server).result
    goodput = [step.goodput_per_s for step in result.steps]
    assert (result.name, len(goodput)) == ("capacity", len(server.asked))


# Newcombe (1998), Statistics in Medicine 17, table I, method 3: score interval, no correction.
@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_interval_of_a_share_agrees_with_the_reference_table(
    hits: int, count: int, low: float, high: float
) -> None:
    assert wilson_interval(hits, count) == pytest.approx((low, high), abs=5e-5)
