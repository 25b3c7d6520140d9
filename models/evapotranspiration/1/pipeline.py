"""Daily reference evapotranspiration ETo by FAO-56 Penman-Monteith.

Source: Allen, Pereira, Raes, Smith, "Crop evapotranspiration", FAO Irrigation and Drainage
Paper 56, Rome 1998. The number in each docstring is the number of the equation there.

Days without sunrise or sunset. Equation 25 takes the arccosine of −tan φ tan δ, which leaves
[−1, 1] beyond the polar circles. The argument is cut to that interval: the sun then stays up for
24 hours or for none, and extraterrestrial radiation is right in both cases. Where the day has no
hours, the share of sunshine n/N is 0, the value on the dark side of the last short day. The
ratio Rs/Rso is formed without Ra, which cancels, so it exists at night as well. For inputs within
the ranges of contract.toml no output is NaN or infinite. Sunshine longer than the day counts as
the whole day. In the polar night, and on cold and damp winter days, ETo can be slightly below
zero (condensation); it is returned as the equation gives it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Days = npt.NDArray[np.float64]  # one value per row (one place, one day), shape [rows]

SOLAR_CONSTANT_MJ_M2_MIN = 0.0820
STEFAN_BOLTZMANN_MJ_K4_M2_DAY = 4.903e-9
REFERENCE_ALBEDO = 0.23
ANGSTROM_OVERCAST = 0.25
ANGSTROM_SUNSHINE = 0.50
SOIL_HEAT_FLUX_MJ_M2_DAY = 0.0  # Eq. 42: G may be ignored for one day


def predict(inputs: Mapping[str, npt.NDArray[np.generic]]) -> dict[str, Days]:
    """The daily ETo in mm/day and its intermediate values, for whole batches.

    Takes the inputs of contract.toml, each of shape [rows], and returns its outputs, FP64 [rows].
    Rows are independent. Raises KeyError when an input is missing.
    """
    day = {name: np.asarray(values, dtype=np.float64) for name, values in inputs.items()}
    t_max_c, t_min_c, altitude_m = day["t_max_c"], day["t_min_c"], day["altitude_m"]
    t_mean_c = (t_max_c + t_min_c) / 2  # Eq. 9

    u2_m_s = wind_at_2_m(day["wind_speed_m_s"], day["wind_height_m"])
    delta_kpa_c = vapour_pressure_slope(t_mean_c)
    es_kpa = mean_saturation_vapour_pressure(t_max_c, t_min_c)
    ea_kpa = actual_vapour_pressure(t_max_c, t_min_c, day["rh_max_pct"], day["rh_min_pct"])

    latitude_rad = np.pi / 180 * day["latitude_deg"]  # Eq. 22
    sunset_rad = sunset_hour_angle(latitude_rad, day["day_of_year"])
    ra = extraterrestrial_radiation(latitude_rad, day["day_of_year"], sunset_rad)
    sunshine_share = relative_sunshine(day["sunshine_hours"], sunset_rad)
    rs = solar_radiation(sunshine_share, ra)
    cloudiness = relative_shortwave_radiation(sunshine_share, altitude_m)
    rns = (1 - REFERENCE_ALBEDO) * rs  # Eq. 38
    rn = rns - net_longwave_radiation(t_max_c, t_min_c, ea_kpa, cloudiness)  # Eq. 40

    eto_mm_day = penman_monteith(
        t_mean_c, u2_m_s, delta_kpa_c, es_kpa, ea_kpa, rn, psychrometric_constant(altitude_m)
    )
    return {
        "eto_mm_day": eto_mm_day,
        "u2_m_s": u2_m_s,
        "delta_kpa_c": delta_kpa_c,
        "es_kpa": es_kpa,
        "ea_kpa": ea_kpa,
        "ra_mj_m2_day": ra,
        "rs_mj_m2_day": rs,
        "rn_mj_m2_day": rn,
    }


def penman_monteith(
    t_mean_c: Days,
    u2_m_s: Days,
    delta_kpa_c: Days,
    es_kpa: Days,
    ea_kpa: Days,
    rn_mj_m2_day: Days,
    gamma_kpa_c: Days,
) -> Days:
    """Eq. 6: reference evapotranspiration ETo, mm/day."""
    radiation = 0.408 * delta_kpa_c * (rn_mj_m2_day - SOIL_HEAT_FLUX_MJ_M2_DAY)
    aerodynamics = gamma_kpa_c * 900 / (t_mean_c + 273) * u2_m_s * (es_kpa - ea_kpa)
    return (radiation + aerodynamics) / (delta_kpa_c + gamma_kpa_c * (1 + 0.34 * u2_m_s))


def wind_at_2_m(wind_speed_m_s: Days, wind_height_m: Days) -> Days:
    """Eq. 47: wind speed u2 at 2 m above ground, m/s, by the logarithmic profile."""
    return wind_speed_m_s * 4.87 / np.log(67.8 * wind_height_m - 5.42)


def psychrometric_constant(altitude_m: Days) -> Days:
    """Eq. 7 (atmospheric pressure) and Eq. 8: the psychrometric constant γ, kPa/°C."""
    pressure_kpa = 101.3 * ((293 - 0.0065 * altitude_m) / 293) ** 5.26
    return 0.665e-3 * pressure_kpa


def saturation_vapour_pressure(t_c: Days) -> Days:
    """Eq. 11: saturation vapour pressure e°(T), kPa."""
    return 0.6108 * np.exp(17.27 * t_c / (t_c + 237.3))


def mean_saturation_vapour_pressure(t_max_c: Days, t_min_c: Days) -> Days:
    """Eq. 12: the day's saturation vapour pressure es, kPa."""
    return (saturation_vapour_pressure(t_max_c) + saturation_vapour_pressure(t_min_c)) / 2


def vapour_pressure_slope(t_c: Days) -> Days:
    """Eq. 13: slope Δ of the saturation vapour pressure curve, kPa/°C."""
    return 4098 * saturation_vapour_pressure(t_c) / (t_c + 237.3) ** 2


def actual_vapour_pressure(
    t_max_c: Days, t_min_c: Days, rh_max_pct: Days, rh_min_pct: Days
) -> Days:
    """Eq. 17: actual vapour pressure ea from the day's relative humidities, kPa."""
    at_dawn = saturation_vapour_pressure(t_min_c) * rh_max_pct / 100
    at_noon = saturation_vapour_pressure(t_max_c) * rh_min_pct / 100
    return (at_dawn + at_noon) / 2


def solar_declination(day_of_year: Days) -> Days:
    """Eq. 24: solar declination δ, rad."""
    return 0.409 * np.sin(2 * np.pi / 365 * day_of_year - 1.39)


def sunset_hour_angle(latitude_rad: Days, day_of_year: Days) -> Days:
    """Eq. 25: sunset hour angle ωs, rad; 0 in the polar night, π in the polar day."""
    sunset_cosine = -np.tan(latitude_rad) * np.tan(solar_declination(day_of_year))
    sunset_rad: Days = np.arccos(np.clip(sunset_cosine, -1, 1))
    return sunset_rad


def extraterrestrial_radiation(latitude_rad: Days, day_of_year: Days, sunset_rad: Days) -> Days:
    """Eq. 21, with the inverse relative distance Earth-Sun of Eq. 23: Ra, MJ/m²/day."""
    declination_rad = solar_declination(day_of_year)
    inverse_distance = 1 + 0.033 * np.cos(2 * np.pi / 365 * day_of_year)  # Eq. 23
    geometry = sunset_rad * np.sin(latitude_rad) * np.sin(declination_rad) + (
        np.cos(latitude_rad) * np.cos(declination_rad) * np.sin(sunset_rad)
    )
    ra = 24 * 60 / np.pi * SOLAR_CONSTANT_MJ_M2_MIN * inverse_distance * geometry
    # Rounding can leave a value just below zero where the sun only touches the horizon.
    lit: Days = np.maximum(ra, 0)
    return lit


def relative_sunshine(sunshine_hours: Days, sunset_rad: Days) -> Days:
    """n/N in [0, 1], with the daylight hours N of Eq. 34; 0 where the day has no hours."""
    daylight_hours = 24 / np.pi * sunset_rad
    lit = daylight_hours > 0
    share = np.divide(sunshine_hours, daylight_hours, out=np.zeros_like(sunset_rad), where=lit)
    return np.minimum(share, 1)


def solar_radiation(sunshine_share: Days, ra_mj_m2_day: Days) -> Days:
    """Eq. 35 (Angstrom): solar radiation Rs, MJ/m²/day."""
    return (ANGSTROM_OVERCAST + ANGSTROM_SUNSHINE * sunshine_share) * ra_mj_m2_day


def relative_shortwave_radiation(sunshine_share: Days, altitude_m: Days) -> Days:
    """Rs/Rso: Eq. 35 over Eq. 37, with the common factor Ra cancelled; at most 1."""
    received = ANGSTROM_OVERCAST + ANGSTROM_SUNSHINE * sunshine_share
    return np.minimum(received / (0.75 + 2e-5 * altitude_m), 1)


def net_longwave_radiation(
    t_max_c: Days, t_min_c: Days, ea_kpa: Days, relative_shortwave: Days
) -> Days:
    """Eq. 39: net outgoing longwave radiation Rnl, MJ/m²/day."""
    t_max_k, t_min_k = t_max_c + 273.16, t_min_c + 273.16
    emitted = STEFAN_BOLTZMANN_MJ_K4_M2_DAY * (t_max_k**4 + t_min_k**4) / 2
    return emitted * (0.34 - 0.14 * np.sqrt(ea_kpa)) * (1.35 * relative_shortwave - 0.35)
