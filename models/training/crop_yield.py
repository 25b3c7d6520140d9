"""crop_yield: a network on synthetic fields, behind the pipeline.py that also serves it."""

from __future__ import annotations

import importlib.util
import math
import warnings
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor

from models.training.dense_network import layers_of, regressor
from models.training.example import ExampleTensor, write_example
from models.training.synthetic_fields import Column, Fields, held_out_fields, training_fields

HIDDEN_UNITS = (48, 24)
EPOCHS = 80
SEED = 7
KG_PER_T = 1000
STATISTICS_TOLERANCE = 1e-5


def build_crop_yield(folder: Path) -> str:
    """Write model.onnx and example.json; the line to report.

    Raises ValueError when the frozen statistics of pipeline.py are not those of the training rows.
    """
    training = training_fields()
    pipeline = load_pipeline(folder)
    _check_statistics(pipeline, training)
    network = _train(pipeline, training)
    onnx.save(regressor(layers_of(network), "rows", "yield_t_ha"), str(folder / "model.onnx"))
    held_out = held_out_fields()
    write_example(folder, _example(held_out))
    features = pipeline.preprocess(held_out.columns)["features"].astype(np.float64)
    r_squared = network.score(features, held_out.yield_kg_ha / KG_PER_T)
    return f"R² {r_squared:.4f} on {len(features)} held-out synthetic fields"


def load_pipeline(folder: Path) -> ModuleType:
    """The module in a version folder's pipeline.py. Raises ImportError when there is none."""
    path = folder / "pipeline.py"
    spec = importlib.util.spec_from_file_location("crop_yield_pipeline", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"no pipeline in {folder}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _train(pipeline: ModuleType, training: Fields) -> MLPRegressor:
    features = pipeline.preprocess(training.columns)["features"].astype(np.float64)
    network = MLPRegressor(
        hidden_layer_sizes=HIDDEN_UNITS,
        alpha=1e-3,
        max_iter=EPOCHS,
        n_iter_no_change=EPOCHS,
        random_state=SEED,
    )
    with warnings.catch_warnings():
        # A fixed number of epochs is meant, see digits.py.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return network.fit(features, training.yield_kg_ha / KG_PER_T)


def _check_statistics(pipeline: ModuleType, training: Fields) -> None:
    for name, frozen in pipeline.STATISTICS.items():
        values = training.columns[name].astype(np.float64)
        median = float(np.nanmedian(values))
        complete = np.where(np.isnan(values), median, values)
        measured = pipeline.Statistics(median, float(complete.mean()), float(complete.std()))
        pairs = zip(measured, frozen, strict=True)
        if not all(math.isclose(one, other, abs_tol=STATISTICS_TOLERANCE) for one, other in pairs):
            raise ValueError(f"pipeline.py says {frozen} for {name}, the data say {measured}")


def _example(fields: Fields) -> list[ExampleTensor]:
    datatypes = {
        "crop": "BYTES",
        "rainfall_mm": "FP64",
        "mean_temperature_c": "FP64",
        "nitrogen_kg_ha": "FP32",
        "soil_ph": "FP32",
        "sowing_day": "INT64",
        "irrigated": "BOOL",
    }
    complete = np.flatnonzero(
        ~np.isnan(fields.columns["rainfall_mm"]) & ~np.isnan(fields.columns["soil_ph"])
    )
    row = int(complete[0])
    return [
        ExampleTensor(name, datatype, (1,), [_readable(fields.columns[name], row)])
        for name, datatype in datatypes.items()
    ]


def _readable(column: Column, row: int) -> float | int | str | bool:
    """One value as JSON shows it best: an FP32 6.3 as 6.3, not as its 17 digits in FP64."""
    value: float | int | str | bool = column[row : row + 1].tolist()[0]
    return round(value, 3) if isinstance(value, float) else value
