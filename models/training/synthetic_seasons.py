"""Synthetic seasons: invented weather, and the water in the soil by the FAO-56 balance.

No station measured it: rain comes in spells with gamma-distributed amounts, evapotranspiration
follows the day of the year and is lower on wet days. The balance is that of Allen, Pereira, Raes
and Smith, *Crop evapotranspiration*, FAO Irrigation and Drainage Paper 56, Rome 1998, equations 84
and 85, without irrigation, runoff and capillary rise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

SEED = 85
SEASONS = 1_000
TRAINING_SEASONS = 750
DAYS = 128
# Of a loam with roots of one metre (FAO-56, tables 19 and 22): what the soil can hold, and how much
# of that a crop takes up before it suffers.
TOTAL_AVAILABLE_MM = 150.0
READILY_AVAILABLE_SHARE = 0.5
DRY_TO_WET = 0.18
WET_TO_WET = 0.55

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Seasons:
    """Weather [seasons, days, 2], rain and crop evapotranspiration in mm a day; depletion in mm.

    `depletion_mm` [seasons, days]: how much water the root zone lacks at the end of each day.
    """

    weather: Array
    depletion_mm: Array


def training_seasons() -> Seasons:
    """The seasons that the network is trained on."""
    return _seasons(slice(TRAINING_SEASONS))


def held_out_seasons() -> Seasons:
    """The seasons that it is judged by."""
    return _seasons(slice(TRAINING_SEASONS, SEASONS))


def _seasons(chosen: slice) -> Seasons:
    weather = _weather()[chosen]
    return Seasons(weather, depletion(weather))


def _weather() -> Array:
    random = np.random.default_rng(SEED)
    mean_rain_mm = random.uniform(4.0, 14.0, (SEASONS, 1))
    amounts_mm = random.gamma(0.8, 1.25, (SEASONS, DAYS)) * mean_rain_mm
    chance = random.random((SEASONS, DAYS))
    is_wet = np.zeros((SEASONS, DAYS), dtype=bool)
    is_wet[:, 0] = chance[:, 0] < DRY_TO_WET
    for day in range(1, DAYS):
        is_wet[:, day] = chance[:, day] < np.where(is_wet[:, day - 1], WET_TO_WET, DRY_TO_WET)
    rain_mm = np.where(is_wet, amounts_mm, 0.0).clip(0, 100).round(1)
    day_of_year = random.integers(75, 150, (SEASONS, 1)) + np.arange(DAYS)
    warmth = np.sin((day_of_year - 80) / 365 * 2 * np.pi)
    noise = random.normal(1.0, 0.2, (SEASONS, DAYS))
    evapotranspiration_mm = (3.2 + 2.2 * warmth) * noise * np.where(is_wet, 0.6, 1.0)
    return np.stack([rain_mm, evapotranspiration_mm.clip(0, 12).round(1)], axis=2)


def depletion(weather: Array) -> Array:
    """Return the depletion of the root zone at the end of each day, mm, from a full soil.

    `weather` has shape (seasons, days, 2).
    """
    result = np.empty(weather.shape[:2])
    lacking = np.zeros(len(weather))
    reserve = (1 - READILY_AVAILABLE_SHARE) * TOTAL_AVAILABLE_MM
    for day in range(weather.shape[1]):
        rain_mm, demand_mm = weather[:, day, 0], weather[:, day, 1]
        stress = ((TOTAL_AVAILABLE_MM - lacking) / reserve).clip(0, 1)  # equation 84
        # Equation 85; what the soil cannot hold drains away.
        lacking = (lacking - rain_mm + stress * demand_mm).clip(0, TOTAL_AVAILABLE_MM)
        result[:, day] = lacking
    return result
