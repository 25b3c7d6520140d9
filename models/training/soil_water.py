"""soil_water: a recurrent network that follows the water in the soil through a season so far."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

from models.training.example import ExampleTensor, write_example
from models.training.recurrent_network import Training, predict, sequence_model, train
from models.training.synthetic_seasons import (
    TOTAL_AVAILABLE_MM,
    held_out_seasons,
    training_seasons,
)

# Near the largest usual values; the targets are shares of what the soil can hold.
SCALE_MM = (20.0, 5.0)
TRAINING = Training(units=12, steps=400, batch=32, rate=0.03, seed=7)
# The network is judged by seasons of twice as many days: what it has learned is the balance of one.
TRAINING_DAYS = 64
EXAMPLE_DAYS = 12
NAMES = ("weather", "days", "depletion_mm", "depletion_today_mm")


def build_soil_water(folder: Path) -> str:
    """Write model.onnx and example.json; the line to report."""
    seasons, scale = training_seasons(), np.array(SCALE_MM)
    weights = train(
        seasons.weather[:, :TRAINING_DAYS] / scale,
        seasons.depletion_mm[:, :TRAINING_DAYS] / TOTAL_AVAILABLE_MM,
        TRAINING,
    )
    model = sequence_model(weights, scale.astype(np.float32), TOTAL_AVAILABLE_MM, NAMES)
    onnx.save(model, str(folder / "model.onnx"))
    held_out = held_out_seasons()
    days = held_out.weather[0, :EXAMPLE_DAYS]
    write_example(
        folder, [ExampleTensor("weather", "FP32", (1, *days.shape), days.ravel().tolist())]
    )
    found = predict(weights, held_out.weather / scale) * TOTAL_AVAILABLE_MM
    residual = ((found - held_out.depletion_mm) ** 2).sum()
    total = ((held_out.depletion_mm - held_out.depletion_mm.mean()) ** 2).sum()
    return f"R² {1 - residual / total:.4f} on {found.size} days of {len(found)} held-out seasons"
