"""What surrounds the crop yield network: the functions of the nightly batch script, unchanged.

STATISTICS was measured on the training rows and is frozen, so a row is treated the same alone, in
a batch, and in training. It stands here, and not in a file beside, because the hash by which a
model version is known covers this file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt


class Statistics(NamedTuple):
    """Of one column: what replaces a missing value, and what scales it."""

    median: float
    mean: float
    std: float


CROPS = ("maize", "wheat", "soya", "rice")
STATISTICS = {
    "rainfall_mm": Statistics(median=636.0, mean=688.536222, std=339.211306),
    "mean_temperature_c": Statistics(median=21.0, mean=20.988244, std=4.605929),
    "nitrogen_kg_ha": Statistics(median=123.0, mean=124.939111, std=72.26387),
    "soil_ph": Statistics(median=6.4, mean=6.382733, std=0.748603),
    "sowing_day": Statistics(median=110.0, mean=109.42, std=24.879828),
    "irrigated": Statistics(median=0.0, mean=0.276, std=0.447017),
}

Columns = Mapping[str, npt.NDArray[Any]]


def preprocess(inputs: Columns) -> dict[str, npt.NDArray[np.float32]]:
    """Caller's columns, each [rows] → {"features": FP32 [rows, 10]}.

    `crop` is an array of str; the measurements are numbers, NaN where a value is missing.
    Raises ValueError for a crop that the network was not trained on.
    """
    scaled = [_scaled(inputs[name], statistics) for name, statistics in STATISTICS.items()]
    features = np.column_stack([_one_hot(inputs["crop"]), *scaled])
    return {"features": features.astype(np.float32)}


def postprocess(outputs: Columns, inputs: Columns) -> dict[str, npt.NDArray[np.float64]]:
    """Network output in t/ha, [rows, 1] → {"yield": FP64 [rows]} in kg/ha.

    A drought can drive the network slightly below zero; a harvest cannot be.
    """
    kg_ha = outputs["yield_t_ha"].astype(np.float64).reshape(-1) * 1000
    return {"yield": np.maximum(kg_ha, 0.0)}


def _one_hot(crop: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    known = np.array(CROPS, dtype=object)
    matches: npt.NDArray[np.bool_] = crop.astype(object)[:, np.newaxis] == known
    if not matches.any(axis=1).all():
        raise ValueError(f"crop must be one of {', '.join(CROPS)}")
    return matches


def _scaled(values: npt.NDArray[Any], statistics: Statistics) -> npt.NDArray[np.float64]:
    numbers = values.astype(np.float64)
    complete = np.where(np.isnan(numbers), statistics.median, numbers)
    scaled: npt.NDArray[np.float64] = (complete - statistics.mean) / statistics.std
    return scaled
