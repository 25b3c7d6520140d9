"""Scenarios: those that come with the load tester, files, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtest.arrivals import Ramp, Square, mean_rate
from loadtest.asked import Asked, BadOption
from loadtest.scenario import ScenarioError, load_scenario, scenario_names
from loadtest.subject import BadShares, parse_shares

NAMED = {
    "burst", "closed", "disconnecting-clients", "mixed-models", "mixed-sizes", "overload10x",
    "overload2x", "ramp", "retry-storm", "slow-clients", "soak", "steady", "wave",
}  # fmt: skip


def test_the_named_scenarios_are_all_there() -> None:
    assert set(scenario_names()) == NAMED


@pytest.mark.parametrize("name", sorted(NAMED))
def test_a_named_scenario_loads_and_says_what_it_is(name: str) -> None:
    assert load_scenario(name).description != ""


def test_an_unknown_name_is_answered_with_those_there_are() -> None:
    with pytest.raises(ScenarioError, match="stedy: no such scenario; there are burst, closed"):
        load_scenario("stedy")


def written(folder: Path, text: str) -> str:
    file = folder / "mine.toml"
    file.write_text(text)
    return str(file)


def test_a_file_is_a_scenario(tmp_path: Path) -> None:
    file = written(tmp_path, 'seconds = 5\n[arrivals]\nkind = "constant"\nrate = 7\n')
    scenario = load_scenario(file)
    assert (scenario.seconds, mean_rate(scenario.arrivals)) == (5.0, 7.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("second = 5", "`second`"),
        ("[clients]\nretry = 3", "`retry`"),
        ("[bodies]\nrow = '1'", "`row`"),
        ("[arrivals]\nkind = 'poisson'\nrate = 1\ncv = 2", "`cv`"),
        ("[arrivals]\nkind = 'often'\nrate = 1", "often"),
        ("[arrivals]\nkind = 'gamma'\nrate = 1", "`cv`"),
        ("seconds = 'long'", r"`\$\.seconds`"),
        ("seconds = ", "mine.toml"),
        ("loop = 'half'", "half"),
    ],
)
def test_what_is_not_understood_is_named_with_the_file(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(ScenarioError, match=rf"(?s)mine\.toml.*{said}|{said}"):
        load_scenario(written(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seconds = 0", "seconds: 0.0 is not between"),
        ("seconds = nan", "seconds: nan is not between"),
        ("seconds = 90000", "seconds: 90000.0 is not between 0.1 and 86400"),
        ("warm_seconds = -1", "warm_seconds: -1.0 "),
        ("callers = 0", "callers: 0 "),
        ("[clients]\nleave_share = 1.1", r"clients.leave_share: 1.1 "),
        ("[clients]\nretries = 101", "clients.retries: 101 "),
        ("[clients]\ntimeout_ms = 0", "clients.timeout_ms: 0.0 "),
        ("[clients]\nconnections_max = 0", "clients.connections_max: 0 "),
        ("[bodies]\ndistinct = 0", "bodies.distinct: 0 "),
        ("[bodies]\nedge_share = 2", "bodies.edge_share: 2.0 "),
        ("[models]\na = -1", "models.a: -1.0 is not a positive share"),
        ("loop = 'closed'\n[clients]\nretries = 1", "need the open loop"),
    ],
)
def test_a_value_out_of_bounds_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ScenarioError, match=said):
        load_scenario(written(tmp_path, text))


def test_shares_of_capacity_become_rates() -> None:
    scaled = load_scenario("overload2x").scaled(400)
    assert (mean_rate(scaled.arrivals), scaled.is_share_of_capacity) == (800.0, False)


def test_a_given_rate_keeps_the_shape_of_a_ramp() -> None:
    ramp = load_scenario("ramp").at_rate(1025)
    assert ramp.arrivals == Ramp(rate=pytest.approx(50), end_rate=pytest.approx(2000))


def test_a_given_rate_keeps_the_shape_of_a_wave() -> None:
    wave = load_scenario("wave").at_rate(100)
    assert wave.arrivals == Square(
        rate=pytest.approx(50), high_rate=pytest.approx(150), period_s=10
    )


@pytest.mark.parametrize("rate", [0.0, -5.0, float("inf"), float("nan")])
def test_a_given_rate_must_be_a_positive_number(rate: float) -> None:
    with pytest.raises(ScenarioError, match="rate: "):
        load_scenario("steady").at_rate(rate)


def test_shares_of_models_are_read() -> None:
    assert parse_shares("a=0.7, b=0.3") == {"a": 0.7, "b": 0.3}


@pytest.mark.parametrize("text", ["", "a", "a=", "a=x", "a=0", "a=-1", "a=1,a=1", "=1", "a=inf"])
def test_shares_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(BadShares, match=r"is not of the form a=0\.7,b=0\.3"):
        parse_shares(text)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"target_ms": 0.0}, "target-ms: 0.0 "),
        ({"processes": 0}, "processes: 0 "),
        ({"processes": 65}, "processes: 65 "),
        ({"seed": -1}, "seed: -1 "),
        ({"models": "a=1,b=1", "data": "rows.csv"}, "data is for one model"),
        ({"expected": "answers.csv"}, "expected: needs data"),
    ],
)
def test_an_option_that_cannot_be_used_is_named(options: dict[str, object], said: str) -> None:
    with pytest.raises(BadOption, match=said):
        Asked(**options).checked()  # type: ignore[arg-type]
