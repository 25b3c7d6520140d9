"""The sample models of models/, run directly: what a served answer must equal."""

from __future__ import annotations

import importlib.util
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

ROOT = Path(__file__).parents[1]
MODELS = ROOT / "models"

Tensors = Mapping[str, npt.NDArray[Any]]

NUMPY_DTYPES: Mapping[str, Any] = {
    "BOOL": np.bool_,
    "BYTES": object,
    "FP32": np.float32,
    "FP64": np.float64,
    "INT64": np.int64,
}


def version_folder(model: str, models: Path = MODELS) -> Path:
    """The folder of version 1 of a sample model."""
    return models / model / "1"


def open_session(model: str, models: Path = MODELS) -> onnxruntime.InferenceSession:
    """An ONNX Runtime session on one thread, without the service around it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    graph = (version_folder(model, models) / "model.onnx").read_bytes()
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def run_graph(
    session: onnxruntime.InferenceSession, inputs: Tensors
) -> dict[str, npt.NDArray[Any]]:
    """The graph's outputs by name."""
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(inputs)), strict=True))


def load_pipeline(model: str, models: Path = MODELS) -> ModuleType:
    """The module in a sample model's pipeline.py."""
    path = version_folder(model, models) / "pipeline.py"
    spec = importlib.util.spec_from_file_location(f"{model}_pipeline", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read_contract(model: str, models: Path = MODELS) -> dict[str, Any]:
    """The parsed contract.toml."""
    return tomllib.loads((version_folder(model, models) / "contract.toml").read_text("utf-8"))


def read_example(model: str, models: Path = MODELS) -> dict[str, Any]:
    """The parsed example.json: a complete V2 inference request body with one row."""
    example: dict[str, Any] = json.loads(
        (version_folder(model, models) / "example.json").read_text("utf-8")
    )
    return example


def example_tensors(model: str) -> dict[str, npt.NDArray[Any]]:
    """The example's row as arrays, [1, …] each."""
    return {
        tensor["name"]: np.array(tensor["data"], NUMPY_DTYPES[tensor["datatype"]]).reshape(
            tensor["shape"]
        )
        for tensor in read_example(model)["inputs"]
    }


def predict(model: str, inputs: Tensors, models: Path = MODELS) -> dict[str, npt.NDArray[Any]]:
    """What a caller who sends `inputs` gets: pipeline, graph and decision, for whole batches.

    For a graph with a fixed batch dimension exactly that many rows must be sent.
    """
    outputs = _computed(model, inputs, models)
    threshold = version_folder(model, models) / "threshold.toml"
    if threshold.exists():
        contract = read_contract(model, models)
        decision = contract["decision"]
        columns = contract["outputs"][decision["output"]]["columns"]
        scores = outputs[decision["output"]][:, columns.index(decision["column"])]
        least = tomllib.loads(threshold.read_text("utf-8"))["threshold"]
        outputs["decision"] = scores.astype(np.float64) >= least
    return outputs


def _computed(model: str, inputs: Tensors, models: Path) -> dict[str, npt.NDArray[Any]]:
    folder = version_folder(model, models)
    pipeline = load_pipeline(model, models) if (folder / "pipeline.py").exists() else None
    if not (folder / "model.onnx").exists():
        assert pipeline is not None
        answered: dict[str, npt.NDArray[Any]] = pipeline.predict(inputs)
        return answered
    session = open_session(model, models)
    if pipeline is None:
        return run_graph(session, inputs)
    outputs = run_graph(session, pipeline.preprocess(inputs))
    processed: dict[str, npt.NDArray[Any]] = pipeline.postprocess(outputs, inputs)
    return processed
