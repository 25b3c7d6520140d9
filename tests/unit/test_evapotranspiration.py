"""The evapotranspiration model against the examples printed in FAO-56."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest

from tests.sample_models import load_pipeline, read_contract

fao = load_pipeline("evapotranspiration")

Days = dict[str, npt.NDArray[np.generic]]

KM_H_PER_M_S = 3.6


def one(value: float) -> npt.NDArray[np.float64]:
    return np.array([value])


def uccle_on_6_july() -> Days:
    """Example 18: Brussels (Uccle), 50°48' N."""
    return {
        "latitude_deg": one(50 + 48 / 60),
        "altitude_m": one(100.0),
        "day_of_year": np.array([187]),
        "t_max_c": one(21.5),
        "t_min_c": one(12.3),
        "rh_max_pct": one(84.0),
        "rh_min_pct": one(63.0),
        "wind_speed_m_s": one(10 / KM_H_PER_M_S),
        "wind_height_m": one(10.0),
        "sunshine_hours": one(9.25),
    }


@pytest.mark.parametrize(
    ("output", "printed", "decimals"),
    [
        ("u2_m_s", 2.078, 3),
        ("delta_kpa_c", 0.122, 3),
        ("es_kpa", 1.997, 3),
        ("ea_kpa", 1.409, 3),
        ("ra_mj_m2_day", 41.09, 2),
        ("rs_mj_m2_day", 22.07, 2),
        ("rn_mj_m2_day", 13.28, 2),
        ("eto_mm_day", 3.88, 2),
        ("eto_mm_day", 3.9, 1),
    ],
)
def test_example_18_gives_the_printed_values(output: str, printed: float, decimals: int) -> None:
    actual = fao.predict(uccle_on_6_july())[output]

    assert round(float(actual[0]), decimals) == printed


def test_example_2_gives_the_printed_psychrometric_constant() -> None:
    assert round(float(fao.psychrometric_constant(one(1800.0))[0]), 3) == 0.054


def test_example_3_gives_the_printed_saturation_vapour_pressure() -> None:
    actual = fao.mean_saturation_vapour_pressure(one(24.5), one(15.0))

    assert round(float(actual[0]), 2) == 2.39


def test_example_5_gives_the_printed_actual_vapour_pressure() -> None:
    actual = fao.actual_vapour_pressure(one(25.0), one(18.0), one(82.0), one(54.0))

    assert round(float(actual[0]), 2) == 1.70


def test_example_8_gives_the_printed_extraterrestrial_radiation_south_of_the_equator() -> None:
    latitude_rad, third_of_september = np.radians(one(-20.0)), one(246)
    sunset_rad = fao.sunset_hour_angle(latitude_rad, third_of_september)

    actual = fao.extraterrestrial_radiation(latitude_rad, third_of_september, sunset_rad)

    assert round(float(actual[0]), 1) == 32.2


def test_example_11_gives_the_printed_net_longwave_radiation() -> None:
    actual = fao.net_longwave_radiation(one(25.1), one(19.1), one(2.1), one(14.5 / 18.8))

    assert round(float(actual[0]), 1) == 3.5


def test_example_14_gives_the_printed_wind_at_2_m() -> None:
    assert round(float(fao.wind_at_2_m(one(3.2), one(10.0))[0]), 1) == 2.4


def declared_ranges() -> dict[str, tuple[float, float]]:
    inputs = read_contract("evapotranspiration")["inputs"]
    return {name: tuple(declared["range"]) for name, declared in inputs.items()}


def test_no_corner_of_the_declared_ranges_gives_a_value_that_is_not_finite() -> None:
    corners = np.array(list(itertools.product(*declared_ranges().values())))
    rows = dict(zip(declared_ranges(), corners.T, strict=True))

    assert all(np.isfinite(values).all() for values in fao.predict(rows).values())


def test_no_row_within_the_declared_ranges_gives_a_value_that_is_not_finite() -> None:
    random = np.random.default_rng(18)
    rows: Days = {name: random.uniform(*ends, 50_000) for name, ends in declared_ranges().items()}
    rows["day_of_year"] = random.integers(1, 367, 50_000)

    assert all(np.isfinite(values).all() for values in fao.predict(rows).values())


def test_no_latitude_on_any_day_gives_a_value_that_is_not_finite() -> None:
    latitudes, days = np.meshgrid(np.arange(-90, 90.25, 0.25), np.arange(1, 367))
    rows = {name: np.full(latitudes.size, v[0]) for name, v in uccle_on_6_july().items()}
    rows |= {"latitude_deg": latitudes.ravel(), "day_of_year": days.ravel()}

    assert all(np.isfinite(values).all() for values in fao.predict(rows).values())


def test_the_polar_night_brings_no_radiation() -> None:
    tromso_at_christmas = uccle_on_6_july() | {
        "latitude_deg": one(69.65),
        "day_of_year": np.array([359]),
        "sunshine_hours": one(0.0),
    }

    assert float(fao.predict(tromso_at_christmas)["ra_mj_m2_day"][0]) == 0.0


def test_the_polar_day_has_24_hours_of_sun() -> None:
    midsummer = fao.sunset_hour_angle(np.radians(one(80.0)), one(172))

    assert float(midsummer[0]) * 24 / np.pi == 24.0


def test_sunshine_beyond_the_length_of_the_day_counts_as_the_whole_day() -> None:
    twenty = fao.predict(uccle_on_6_july() | {"sunshine_hours": one(20.0)})
    twenty_four = fao.predict(uccle_on_6_july() | {"sunshine_hours": one(24.0)})

    assert float(twenty["eto_mm_day"][0]) == float(twenty_four["eto_mm_day"][0])


def test_predict_leaves_its_inputs_as_they_are() -> None:
    inputs = uccle_on_6_july()

    fao.predict(inputs)

    assert {name: values.tolist() for name, values in inputs.items()} == {
        name: values.tolist() for name, values in uccle_on_6_july().items()
    }
