"""Synthetic field trials: invented numbers, drawn at random, not measured on any field.

The shape is that of textbook agronomy (optimum curves for water, warmth, soil and sowing day,
a saturating answer to nitrogen) with plausible magnitudes, so that a model has something to
learn. No conclusion about real crops may be drawn from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

SEED = 56
FIELDS = 6000
TRAINING_FIELDS = 4500
RAINFALL_MISSING_SHARE = 0.08
SOIL_PH_MISSING_SHARE = 0.12
YIELD_NOISE = 0.06

Column = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class CropTraits:
    """What one crop yields at its best, and the conditions that it wants."""

    name: str
    best_yield_kg_ha: float
    rainfall_mm: float
    temperature_c: float
    soil_nitrogen_kg_ha: float
    soil_ph: float
    sowing_day: float


CROPS = (
    CropTraits("maize", 10500, 650, 23, 30, 6.5, 115),
    CropTraits("wheat", 7500, 500, 17, 40, 6.6, 85),
    CropTraits("soya", 3800, 600, 24, 200, 6.5, 130),
    CropTraits("rice", 8500, 1100, 26, 35, 6.0, 125),
)


@dataclass(frozen=True, slots=True)
class Fields:
    """Columns by name, each [rows], as a caller sends them; yields [rows] in kg/ha."""

    columns: dict[str, Column]
    yield_kg_ha: npt.NDArray[np.float64]

    def rows(self, chosen: slice) -> Fields:
        """The fields of one slice of the row axis."""
        columns = {name: values[chosen] for name, values in self.columns.items()}
        return Fields(columns, self.yield_kg_ha[chosen])


def training_fields() -> Fields:
    """The fields that the network is trained on."""
    return synthetic_fields().rows(slice(TRAINING_FIELDS))


def held_out_fields() -> Fields:
    """The fields that it is judged by."""
    return synthetic_fields().rows(slice(TRAINING_FIELDS, FIELDS))


def synthetic_fields() -> Fields:
    """All fields, always the same, with some values missing (NaN)."""
    random = np.random.default_rng(SEED)
    kind = random.integers(0, len(CROPS), FIELDS)
    columns: dict[str, Column] = {
        "crop": np.array([CROPS[index].name for index in kind], dtype=object),
        "rainfall_mm": random.gamma(4.0, 175.0, FIELDS).clip(0, 4000).round(0),
        "mean_temperature_c": random.normal(21.0, 4.5, FIELDS).clip(-5, 45).round(1),
        "nitrogen_kg_ha": random.uniform(0, 250, FIELDS).round(0).astype(np.float32),
        "soil_ph": random.normal(6.4, 0.8, FIELDS).clip(3, 10).round(1).astype(np.float32),
        "sowing_day": random.normal(110, 25, FIELDS).clip(1, 366).astype(np.int64),
        "irrigated": random.random(FIELDS) < 0.3,
    }
    noise = 1 + YIELD_NOISE * random.standard_normal(FIELDS)
    yield_kg_ha = _yield_kg_ha(kind, columns) * noise
    columns["rainfall_mm"][random.random(FIELDS) < RAINFALL_MISSING_SHARE] = np.nan
    columns["soil_ph"][random.random(FIELDS) < SOIL_PH_MISSING_SHARE] = np.nan
    return Fields(columns, yield_kg_ha)


def _yield_kg_ha(
    kind: npt.NDArray[np.int64], columns: dict[str, Column]
) -> npt.NDArray[np.float64]:
    def trait(name: str) -> npt.NDArray[np.float64]:
        return np.array([getattr(crop, name) for crop in CROPS], dtype=np.float64)[kind]

    rainfall_mm = trait("rainfall_mm")
    water_mm = np.where(
        columns["irrigated"],
        np.maximum(columns["rainfall_mm"], rainfall_mm),
        columns["rainfall_mm"],
    )
    nitrogen_kg_ha = columns["nitrogen_kg_ha"].astype(np.float64) + trait("soil_nitrogen_kg_ha")
    yield_kg_ha: npt.NDArray[np.float64] = (
        trait("best_yield_kg_ha")
        * _optimum(np.log1p(water_mm), np.log1p(rainfall_mm), 0.7)
        * _optimum(columns["mean_temperature_c"], trait("temperature_c"), 7.0)
        * (1 - np.exp(-nitrogen_kg_ha / 80))
        * _optimum(columns["soil_ph"], trait("soil_ph"), 1.6)
        * _optimum(columns["sowing_day"], trait("sowing_day"), 45.0)
    )
    return yield_kg_ha


def _optimum(value: Column, best: Column, width: float) -> npt.NDArray[np.float64]:
    """A bell curve: 1 at the best value, 0.61 at one width from it."""
    bell: npt.NDArray[np.float64] = np.exp(-0.5 * ((value.astype(np.float64) - best) / width) ** 2)
    return bell
