"""What may be claimed of a recording."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]

from loadtest.summary import (
    after_warm_up,
    generator_cost,
    latency_summary,
    merged,
    model_parts,
    nearest_rank,
    outcomes,
    percentile_interval_ms,
    percentile_ms,
    rate_steps,
    samples_needed,
    series,
)
from loadtest.traffic import LEFT, LOST, TIMED_OUT, UNSENT, WRONG, Floats, Recording

STATUSES = [200, 429, 503, 504, 400, UNSENT, LOST, TIMED_OUT, LEFT, WRONG]


def recording_of(
    intended_s: Floats, latency_s: Floats | float, status: object = 200, lag_s: float = 0.0
) -> Recording:
    times_s = np.asarray(intended_s, dtype=np.float64)
    recording = Recording.empty(np.arange(len(times_s)), times_s)
    recording.lag_s[:] = lag_s
    recording.sent_s[:] = recording.intended_s + recording.lag_s
    recording.done_s[:] = recording.intended_s + latency_s
    recording.status[:] = status
    return recording


def wrk2_corrected(latencies_ms: list[float], interval_ms: float) -> list[float]:
    """The correction of HdrHistogram and wrk2 for a caller who waited for each answer.

    A latency L at an expected interval i stands for the further requests that would have waited
    L - i, L - 2 i, ... (hdr_record_corrected_value).
    """
    corrected: list[float] = []
    for latency in latencies_ms:
        corrected.append(latency)
        missing = latency - interval_ms
        while missing >= interval_ms:
            corrected.append(missing)
            missing -= interval_ms
    return sorted(corrected)


def test_percentiles_agree_with_wrk2_on_a_stall() -> None:
    # A server that answers in 1 ms and stands still from 5.0 to 6.0 s, asked every 10 ms.
    intended_s = np.arange(1_000) / 100
    latency_s = np.where((intended_s >= 5) & (intended_s < 6), 6 - intended_s, 0.0) + 0.001
    open_loop = latency_summary(recording_of(intended_s, latency_s)).percentiles_ms
    # What a waiting caller records: 900 answers of 1 ms and a single one of 1,001 ms.
    corrected = wrk2_corrected([1.0] * 900 + [1_001.0], 10.0)
    wrk2 = {
        name: corrected[math.ceil(round(float(name) * len(corrected) / 100, 6)) - 1]
        for name in ("50", "90", "99", "100")
    }
    # One interval of slack: wrk2 does not know where in an interval the stall began.
    assert [open_loop[name] for name in wrk2] == pytest.approx(list(wrk2.values()), abs=10.001)


def test_without_correction_the_same_stall_is_hidden() -> None:
    waiting_caller_ms = np.sort(np.array([1.0] * 900 + [1_001.0]))
    assert percentile_ms(waiting_caller_ms, 99) == 1.0


@pytest.mark.parametrize("percentile", [50.0, 90.0, 99.0, 99.9])
@pytest.mark.parametrize("count", [4_603, 5_000, 10_000, 12_345])
def test_a_percentile_is_the_nearest_rank(percentile: float, count: int) -> None:
    exact = -(-round(percentile * 10) * count // 1_000)  # in whole numbers
    assert percentile_ms(np.arange(1.0, count + 1), percentile) == exact


def test_a_rank_is_not_pushed_up_by_floating_point() -> None:
    assert nearest_rank(99.9, 1_000) == 999


@pytest.mark.parametrize(("percentile", "needed"), [(50, 7), (90, 44), (99, 459), (99.9, 4_603)])
def test_a_percentile_needs_so_many_samples(percentile: float, needed: int) -> None:
    one_fewer, enough = np.ones(needed - 1), np.ones(needed)
    assert (
        samples_needed(percentile),
        percentile_ms(one_fewer, percentile),
        percentile_ms(enough, percentile),
    ) == (needed, None, 1.0)


def test_no_p99_nor_interval_is_claimed_from_458_answers() -> None:
    latency = latency_summary(recording_of(np.arange(458) / 100, 0.01))
    assert (latency.percentiles_ms["99"], latency.p99_interval_ms) == (None, None)


def test_refused_requests_are_no_samples_of_latency() -> None:
    status = np.where(np.arange(1_000) < 458, 200, 429)
    latency = latency_summary(recording_of(np.arange(1_000) / 100, 0.01, status))
    assert (latency.samples, latency.percentiles_ms["99"]) == (458, None)


@pytest.mark.parametrize("count", [459, 1_000, 20_000])
def test_the_interval_of_p99_covers_the_truth_as_often_as_it_says(count: int) -> None:
    random = np.random.default_rng(42)
    truth_ms, rounds, covered = -math.log(0.01), 2_000, 0
    for _ in range(rounds):
        interval = percentile_interval_ms(np.sort(random.exponential(1.0, count)), 99.0)
        assert interval is not None
        covered += interval[0] <= truth_ms <= interval[1]
    # 95 % less three standard errors of 2,000 rounds and what a normal approximation may cost.
    assert covered / rounds >= 0.925


def test_every_request_is_counted_once() -> None:
    status = np.tile(STATUSES, 7)
    counts = outcomes(recording_of(np.arange(len(status)) / 10, 0.05, status), 100)
    assert sum(counts.values()) == len(status)


def test_outcomes_are_named() -> None:
    latency_s = np.array([0.1, 0.1001, *[0.05] * (len(STATUSES) - 1)])
    recording = recording_of(np.arange(len(latency_s)) / 10, latency_s, [200, *STATUSES])
    assert outcomes(recording, 100.001) == {
        "in_time": 1, "late": 1, "refused": 1, "unavailable": 1, "expired": 1, "status 400": 1,
        "unsent": 1, "lost": 1, "timed_out": 1, "left": 1, "wrong": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("lag_ms", "reason"), [(0.9, None), (1.1, "the generator itself was late: p99 1.10 ms")]
)
def test_a_run_is_void_when_the_lag_exceeds_1_percent_of_the_target(
    lag_ms: float, reason: str | None
) -> None:
    recording = recording_of(np.arange(1_000) / 100, 0.01, lag_s=lag_ms / 1e3)
    cost = generator_cost(recording, 100, 1, is_open=True)
    assert cost.void_reason is None if reason is None else str(cost.void_reason).startswith(reason)


def test_a_lag_of_less_than_1_percent_of_the_requests_is_forgiven() -> None:
    recording = recording_of(np.arange(1_000) / 100, 0.01)
    recording.lag_s[:10] = 0.5
    assert generator_cost(recording, 100, 1, is_open=True).void_reason is None


def test_a_run_with_requests_that_were_never_sent_is_void() -> None:
    status = np.where(np.arange(1_000) < 999, 200, UNSENT)
    cost = generator_cost(recording_of(np.arange(1_000) / 100, 0.01, status), 100, 1, is_open=True)
    assert cost.void_reason == "the generator itself did not send 1 of 1000 requests"


def test_a_run_without_requests_is_void() -> None:
    cost = generator_cost(recording_of(np.zeros(0), 0.0), 100, 1, is_open=True)
    assert cost.void_reason == "no request was due in the measured time"


@pytest.mark.parametrize("percentile", [50, 90, 99, 99.9])
def test_the_histogram_decodes_to_the_same_percentiles_within_its_precision(
    percentile: float,
) -> None:
    latency_s = np.random.default_rng(3).lognormal(-4, 1.5, 20_000)
    latency = latency_summary(recording_of(np.arange(20_000) / 1_000, latency_s))
    decoded = HdrHistogram.decode(latency.histogram)
    # Three significant digits, and one microsecond of rounding.
    assert decoded.get_value_at_percentile(percentile) / 1e3 == pytest.approx(
        latency.percentiles_ms[f"{percentile:g}"], rel=1e-3, abs=1e-3
    )


def test_the_histogram_holds_every_answer() -> None:
    latency = latency_summary(recording_of(np.arange(777) / 100, 0.0))
    assert HdrHistogram.decode(latency.histogram).get_total_count() == 777


def test_what_was_due_during_the_warm_up_is_left_out() -> None:
    measured = after_warm_up(recording_of(np.arange(100) / 10, 0.01), 3.0)
    assert (len(measured.intended_s), measured.intended_s[0]) == (70, 0.0)


def test_the_parts_of_several_processes_are_brought_into_order() -> None:
    times = np.arange(10) / 10
    whole = merged([recording_of(times[1::2], 0.1), recording_of(times[::2], 0.2)])
    assert (whole.intended_s.tolist(), (whole.done_s - whole.intended_s).round(3).tolist()) == (
        times.tolist(),
        [0.2, 0.1] * 5,
    )


def test_the_seconds_of_a_run_add_up_to_its_outcomes() -> None:
    random = np.random.default_rng(1)
    status = random.choice(STATUSES, 5_000)
    recording = recording_of(np.sort(random.uniform(0, 10, 5_000)), 0.05, status)
    seconds = series(recording, 10, 100)
    counts = outcomes(recording, 100)
    assert (
        sum(one.offered for one in seconds),
        sum(one.in_time for one in seconds),
        sum(one.refused for one in seconds),
        sum(one.in_time + one.late + one.refused + one.failed for one in seconds),
    ) == (5_000, counts["in_time"], counts["refused"], 5_000)


def test_a_step_of_a_ramp_has_its_own_rate() -> None:
    intended_s = np.sqrt(np.arange(12_000) / 12_000) * 12  # twice the time, four times the requests
    steps = rate_steps(recording_of(intended_s, 0.01), 12, 100)
    wanted = [12_000 * ((k + 1) ** 2 - k**2) / 144 for k in range(12)]
    assert [step.offered_per_s for step in steps] == pytest.approx(wanted, abs=1)


def test_each_model_has_its_own_outcomes_and_latency() -> None:
    which = np.arange(2_000) % 2
    recording = recording_of(
        np.arange(2_000) / 100, np.where(which, 0.2, 0.01), np.where(np.arange(2_000) < 2, 429, 200)
    )
    parts = model_parts(recording, 100, ("quick", "slow"), which)
    found = [
        (part.model, part.offered, part.outcomes, round(part.latency.percentiles_ms["99"] or 0))
        for part in parts
    ]
    assert found == [
        ("quick", 1_000, {"in_time": 999, "late": 0, "refused": 1}, 10),
        ("slow", 1_000, {"in_time": 0, "late": 999, "refused": 1}, 200),
    ]


def test_no_p99_of_a_model_is_claimed_from_fewer_than_459_answers() -> None:
    recording = recording_of(np.arange(917) / 100, 0.01)
    parts = model_parts(recording, 100, ("a", "b"), np.arange(917) % 2)
    assert [part.latency.percentiles_ms["99"] for part in parts] == [pytest.approx(10), None]


def test_the_parts_of_several_processes_keep_which_request_each_was() -> None:
    whole = recording_of(np.arange(10) / 10, 0.1)
    parts = [whole.part(slice(1, None, 2)), whole.part(slice(0, None, 2))]
    assert merged(parts).choice.tolist() == list(range(10))
