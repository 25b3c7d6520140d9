"""Send times: each process has its rate and its shape, and a seed gives them again."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from loadtest.arrivals import (
    Arrivals,
    Constant,
    Gamma,
    Poisson,
    Ramp,
    Replay,
    Square,
    draw,
    mean_rate,
    scaled,
)
from loadtest.trace import ArrivalsError, Times

PROCESSES: list[Arrivals] = [
    Constant(rate=200),
    Poisson(rate=200),
    Gamma(rate=200, cv=3),
    Square(rate=100, high_rate=300, period_s=10),
    Ramp(rate=50, end_rate=350),
]
NAMES = [type(process).__name__ for process in PROCESSES]


def cv(times: Times) -> float:
    """The coefficient of variation of the gaps."""
    gaps = np.diff(times)
    return float(gaps.std() / gaps.mean())


def write(path: Path, rows: list[list[object]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


@pytest.mark.parametrize("process", PROCESSES, ids=NAMES)
def test_the_mean_rate_is_what_was_asked(process: Arrivals) -> None:
    # 200 s at 200/s: 40,000 requests; even at cv 3 the count's standard deviation is 1.5 %.
    assert len(draw(process, 200, 1)) / 200 == pytest.approx(200, rel=0.06)


@pytest.mark.parametrize("process", PROCESSES, ids=NAMES)
def test_times_ascend_within_the_run(process: Arrivals) -> None:
    times = draw(process, 20, 1)
    assert (bool((np.diff(times) >= 0).all()), times[0] >= 0, times[-1] < 20) == (True, True, True)


@pytest.mark.parametrize("process", PROCESSES, ids=NAMES)
def test_the_same_seed_gives_the_same_times(process: Arrivals) -> None:
    assert draw(process, 20, 7).tolist() == draw(process, 20, 7).tolist()


@pytest.mark.parametrize("process", PROCESSES[1:], ids=NAMES[1:])
def test_another_seed_gives_other_times(process: Arrivals) -> None:
    assert draw(process, 20, 7).tolist() != draw(process, 20, 8).tolist()


def test_constant_gaps_are_equal() -> None:
    assert draw(Constant(rate=4), 1, 0).tolist() == [0.0, 0.25, 0.5, 0.75]


def test_poisson_gaps_have_a_coefficient_of_variation_of_one() -> None:
    assert cv(draw(Poisson(rate=500), 100, 3)) == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize("wanted", [0.3, 1.0, 2.0, 4.0])
def test_gamma_gaps_have_the_chosen_coefficient_of_variation(wanted: float) -> None:
    assert cv(draw(Gamma(rate=500, cv=wanted), 200, 3)) == pytest.approx(wanted, rel=0.1)


def test_a_square_wave_is_low_then_high_in_every_period() -> None:
    times = draw(Square(rate=100, high_rate=900, period_s=4), 400, 5)
    low = np.mod(times, 4) < 2
    assert (low.sum() / 200, (~low).sum() / 200) == pytest.approx((100, 900), rel=0.05)


def test_the_high_share_of_a_square_wave_is_its_end() -> None:
    times = draw(Square(rate=100, high_rate=900, period_s=4, high_share=0.25), 400, 5)
    high = np.mod(times, 4) >= 3
    assert high.sum() / 100 == pytest.approx(900, rel=0.05)


def test_a_ramp_grows_evenly() -> None:
    times = draw(Ramp(rate=100, end_rate=1100), 100, 5)
    quarters = np.histogram(times, bins=4, range=(0, 100))[0] / 25
    assert quarters.tolist() == pytest.approx([225, 475, 725, 975], rel=0.06)


def test_a_burstgpt_trace_is_replayed_by_its_seconds(tmp_path: Path) -> None:
    head = ["Timestamp", "Model", "Request tokens", "Response tokens", "Total tokens", "Log Type"]
    rows = [[at, "ChatGPT", 472, 18, 490, "Conversation log"] for at in (5, 45, 118)]
    file = write(tmp_path / "BurstGPT.csv", [head, *rows])
    assert draw(Replay(file=str(file), speed=10), 60, 0).tolist() == [0.0, 4.0, 11.3]


def test_a_trace_is_cut_at_the_end_of_the_run(tmp_path: Path) -> None:
    file = write(tmp_path / "trace.csv", [["timestamp"], [5], [45], [118]])
    assert draw(Replay(file=str(file)), 41, 0).tolist() == [0.0, 40.0]


def test_an_azure_llm_trace_is_replayed_by_its_dates(tmp_path: Path) -> None:
    rows = [
        ["TIMESTAMP", "ContextTokens", "GeneratedTokens"],
        ["2023-11-16 18:17:03.9799600", 4808, 10],
        ["2023-11-16 18:17:04.4799600", 3180, 8],
    ]
    file = write(tmp_path / "AzureLLM.csv", rows)
    assert draw(Replay(file=str(file)), 60, 0).tolist() == pytest.approx([0.0, 0.5], abs=1e-6)


def test_an_azure_functions_invocation_came_its_duration_before_its_end(tmp_path: Path) -> None:
    rows = [
        ["app", "func", "end_timestamp", "duration"],
        ["a", "f", 10.0, 8.0],
        ["a", "g", 11.0, 1.0],
        ["b", "h", 11.5, 8.0],
    ]
    file = write(tmp_path / "AzureFunctionsInvocationTrace.csv", rows)
    assert draw(Replay(file=str(file)), 60, 0).tolist() == [0.0, 1.5, 8.0]


def azure_counts(path: Path) -> Replay:
    minutes = [str(minute) for minute in range(1, 1441)]
    head = ["HashOwner", "HashApp", "HashFunction", "Trigger", *minutes]
    first = ["o", "a", "f", "http", 30, *[0] * 1438, 5]
    second = ["o", "a", "g", "timer", 10, 20, *[0] * 1438]
    return Replay(file=str(write(path, [head, first, second])))


def test_azure_functions_counts_are_spread_over_their_minutes(tmp_path: Path) -> None:
    times = draw(azure_counts(tmp_path / "invocations.csv"), 86_400, 0)
    # Counted from the first request, which is up to a minute after midnight.
    late = (times > 1438 * 60).sum()
    assert (len(times), int(late), bool((times[:41] < 120).all())) == (65, 5, True)


def test_azure_functions_counts_are_placed_by_the_seed(tmp_path: Path) -> None:
    replay = azure_counts(tmp_path / "invocations.csv")
    same = draw(replay, 600, 1).tolist() == draw(replay, 600, 1).tolist()
    other = draw(replay, 600, 1).tolist() == draw(replay, 600, 2).tolist()
    assert (same, other) == (True, False)


def test_dates_without_a_zone_are_an_hour_apart_when_clocks_change(tmp_path: Path) -> None:
    rows = [["time"], ["2023-03-26 01:30:00"], ["2023-03-26 02:30:00"]]
    file = write(tmp_path / "trace.csv", rows)
    assert draw(Replay(file=str(file)), 7200, 0).tolist() == [0.0, 3600.0]


@pytest.mark.parametrize(
    ("process", "said"),
    [
        (Constant(rate=0), "arrivals.rate: 0 "),
        (Poisson(rate=-1), "arrivals.rate: -1 "),
        (Poisson(rate=float("nan")), "arrivals.rate: nan "),
        (Constant(rate=1e9), "10000000000 requests, more than 50000000"),
        (Gamma(rate=1, cv=0), "arrivals.cv: 0 "),
        (Square(rate=1, high_rate=2, period_s=0), "arrivals.period_s: 0 "),
        (Square(rate=1, high_rate=2, period_s=1, high_share=1), "arrivals.high_share: 1 "),
        (Square(rate=1, high_rate=0, period_s=1), "arrivals.high_rate: 0 "),
        (Ramp(rate=1, end_rate=-2), "arrivals.end_rate: -2 "),
        (Replay(file="no.csv", speed=0), "arrivals.speed: 0 "),
        (Replay(file="no-such.csv"), "arrivals.file: no-such.csv: "),
    ],
)
def test_an_unusable_setting_is_named(process: Arrivals, said: str) -> None:
    with pytest.raises(ArrivalsError, match=said):
        draw(process, 10, 0)


def test_a_length_that_is_not_positive_is_named() -> None:
    with pytest.raises(ArrivalsError, match="seconds: 0 "):
        draw(Poisson(rate=1), 0, 0)


@pytest.mark.parametrize("text", ["yesterday", "", "nan", "inf"])
def test_a_bad_timestamp_is_named_by_file_and_line(tmp_path: Path, text: str) -> None:
    file = write(tmp_path / "trace.csv", [["timestamp", "x"], [1, 1], [text, 1]])
    with pytest.raises(ArrivalsError, match=f"trace.csv, line 3: '{text}' is "):
        draw(Replay(file=str(file)), 10, 0)


def test_a_bad_count_is_named_by_file_line_and_minute(tmp_path: Path) -> None:
    file = write(tmp_path / "counts.csv", [["f", "1", "2"], ["a", 1, 2], ["b", 3, "-4"]])
    with pytest.raises(ArrivalsError, match=r"counts\.csv, line 3: minute 2: '-4' is not a count"):
        draw(Replay(file=str(file)), 10, 0)


def test_a_trace_without_a_known_column_names_those_it_has(tmp_path: Path) -> None:
    file = write(tmp_path / "trace.csv", [["when", "what"], [1, 2]])
    with pytest.raises(ArrivalsError, match=r"arrivals.column: .* has the columns when, what"):
        draw(Replay(file=str(file)), 10, 0)


def test_a_column_can_be_named(tmp_path: Path) -> None:
    file = write(tmp_path / "trace.csv", [["when", "what"], [3, 2], [1, 2]])
    assert draw(Replay(file=str(file), column="when"), 10, 0).tolist() == [0.0, 2.0]


def test_an_empty_trace_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "trace.csv", [["timestamp"]])
    with pytest.raises(ArrivalsError, match="holds no requests"):
        draw(Replay(file=str(file)), 10, 0)


@pytest.mark.parametrize("process", PROCESSES, ids=NAMES)
def test_a_scaled_pattern_has_the_scaled_mean_rate(process: Arrivals) -> None:
    assert mean_rate(scaled(process, 2.5)) == pytest.approx(500)


def test_a_trace_is_scaled_by_its_speed(tmp_path: Path) -> None:
    file = write(tmp_path / "trace.csv", [["timestamp"], [0], [4], [10]])
    replay = Replay(file=str(file))
    assert (mean_rate(replay), mean_rate(scaled(replay, 3))) == pytest.approx((0.2, 0.6))
