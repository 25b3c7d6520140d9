"""Tiny models for tests: written into a folder, so small that a wrong answer shows at a glance."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

OPSET = 17
IR_VERSION = 9
# So long that admission never refuses and no deadline passes, whatever the machine does.
PATIENT = "[serving]\nlatency_target_ms = 30000\n"


def write_version(
    root: Path,
    model: str,
    version: int = 1,
    *,
    graph: onnx.ModelProto | None = None,
    pipeline: str | None = None,
    contract: str | None = None,
) -> Path:
    """Write `<root>/<model>/<version>/` with the files given; return the folder."""
    folder = root / model / str(version)
    folder.mkdir(parents=True)
    if graph is not None:
        (folder / "model.onnx").write_bytes(graph.SerializeToString())
    if pipeline is not None:
        (folder / "pipeline.py").write_text(pipeline, "utf-8")
    if contract is not None:
        (folder / "contract.toml").write_text(contract, "utf-8")
    return folder


def tensors(name_in: str = "x", name_out: str = "y", width: int = 1, datatype: str = "FP64") -> str:
    """The sections of a contract.toml for one input and one output of [-1, width]."""
    return "\n".join(
        f'[{section}]\ndatatype = "{datatype}"\nshape = [-1, {width}]'
        for section in (f"inputs.{name_in}", f"outputs.{name_out}")
    )


def affine(
    scale: float,
    offset: float,
    *,
    rows: int | str = "rows",
    width: int | str = 1,
) -> onnx.ModelProto:
    """A graph y = x * scale + offset on FP64 [rows, width]."""
    shape: list[int | str | None] = [rows, width]
    return _model(
        [
            helper.make_node("Mul", ["x", "scale"], ["scaled"]),
            helper.make_node("Add", ["scaled", "offset"], ["y"]),
        ],
        helper.make_tensor_value_info("x", TensorProto.DOUBLE, shape),
        helper.make_tensor_value_info("y", TensorProto.DOUBLE, shape),
        [
            helper.make_tensor("scale", TensorProto.DOUBLE, [1], [scale]),
            helper.make_tensor("offset", TensorProto.DOUBLE, [1], [offset]),
        ],
    )


def row_sum() -> onnx.ModelProto:
    """A graph total = the sum of each row of x, FP64 [rows, any] -> [rows, 1]."""
    return _model(
        [helper.make_node("ReduceSum", ["x", "axes"], ["total"], keepdims=1)],
        helper.make_tensor_value_info("x", TensorProto.DOUBLE, ["rows", "any"]),
        helper.make_tensor_value_info("total", TensorProto.DOUBLE, ["rows", 1]),
        [helper.make_tensor("axes", TensorProto.INT64, [1], [1])],
    )


ONNX_TYPES = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
}


def identity(datatype: str, *row_shape: int | str, rows: int | str = "rows") -> onnx.ModelProto:
    """A graph y = x on [rows, *row_shape] of a V2 datatype; a text is a dimension that varies."""
    shape: list[int | str | None] = [rows, *row_shape]
    return _model(
        [helper.make_node("Identity", ["x"], ["y"])],
        helper.make_tensor_value_info("x", ONNX_TYPES[datatype], shape),
        helper.make_tensor_value_info("y", ONNX_TYPES[datatype], shape),
        [],
    )


def same_text() -> onnx.ModelProto:
    """A graph y = x on text, BYTES [rows, 2]."""
    return identity("BYTES", 2)


def _model(nodes: list[Any], x: Any, y: Any, initializers: list[Any]) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "tiny", [x], [y], initializers)
    opset = [helper.make_opsetid("", OPSET)]
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    return model


# Writes down the shape and the first column of every batch, then answers y = 2 x + 1.
RECORDING_PIPELINE = """
import json
from pathlib import Path

RECORD = Path(__file__).with_name("batches.jsonl")


def predict(inputs):
    x = inputs["x"]
    batch = {"shape": x.shape, "first": x.reshape(len(x), -1)[:, 0].tolist()}
    with RECORD.open("a") as file:
        file.write(json.dumps(batch) + "\\n")
    return {"y": x * 2 + 1}
"""


@dataclass
class Recording:
    """The batches that a model with `RECORDING_PIPELINE` has run since `forget`."""

    folder: Path
    _seen: int = 0

    def forget(self) -> None:
        """Leave out what was run so far, such as the rows of the profile at load."""
        self._seen = len(self._all())

    def batches(self) -> list[dict[str, Any]]:
        """Each batch's `shape` and the `first` column of its rows, in the order of the runs."""
        return self._all()[self._seen :]

    def rows(self) -> list[int]:
        """The rows of each batch."""
        return [batch["shape"][0] for batch in self.batches()]

    def _all(self) -> list[dict[str, Any]]:
        path = self.folder / "batches.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


# Rows of x that make `WAYWARD_PIPELINE` fail: it raises, or forgets the last row of the batch.
RAISES = 13.0
FORGETS = 17.0
WAYWARD_PIPELINE = f"""
def predict(inputs):
    x = inputs["x"]
    if (x == {RAISES}).any():
        raise ValueError("a row that this model cannot take")
    y = x * 2 + 1
    return {{"y": y[:-1] if (x == {FORGETS}).any() else y}}
"""


def infer_body(values: Any, *, width: int = 1, name: str = "x", **more: Any) -> dict[str, Any]:
    """A V2 request for a model of one FP64 input of [-1, width]; `values` are flat."""
    flat = list(values)
    shape = [len(flat) // width, width]
    tensor = {"name": name, "shape": shape, "datatype": "FP64", "data": flat}
    return {"inputs": [tensor], **more}


# Each batch of up to 4 rows takes 10 ms, as a model does that computes for so long: 400 rows/s.
_SLOW_PIPELINE = """
import threading

BUSY_S = 0.01


def predict(inputs):
    threading.Event().wait(BUSY_S)
    return {"y": inputs["x"] * 2 + 1}
"""


def write_slow_model(root: Path) -> None:
    """Write the model `slow`, whose target of 100 ms some 36 rows in flight fill."""
    contract = "[serving]\nlatency_target_ms = 100\nmax_batch_rows = 4\n" + tensors()
    write_version(root, "slow", pipeline=_SLOW_PIPELINE, contract=contract)
