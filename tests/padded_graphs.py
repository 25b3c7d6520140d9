"""Small graphs on rows of any length, and contracts that pad these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.small_graphs import IR_VERSION, OPSET, WIDTH, node, weights
from tests.tiny_models import write_version

FP32, INT64, INT32 = TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT32
BUCKETS = "buckets = [4, 8, 16]\n"
PAD_0 = "[inputs.x]\npad = 0\nrange = [-5, 5]\n" + BUCKETS
MASKED = PAD_0 + 'mask = "mask"\n'
MEASURED = PAD_0 + 'length = "length"\n'
TOKENS = "[inputs.x]\npad = 0\nrange = [1, 9]\n" + BUCKETS
NUMBERS = (
    """
[outputs.y]
datatype = "FP64"
[inputs.x]
datatype = "FP64"
shape = [-1, -1]
pad = 0.0
range = [-5, 5]
"""
    + BUCKETS
)
TEXTS = (
    """
[outputs.y]
datatype = "INT64"
[inputs.x]
datatype = "BYTES"
shape = [-1, -1]
pad = ""
"""
    + BUCKETS
)
MASK_INPUT = '[inputs.mask]\ndatatype = "BOOL"\nshape = [-1, -1]\n'

MASK = {"mask": (FP32, ("rows", "steps"))}
LENGTH = {"length": (INT32, ("rows",))}

Tensors = Mapping[str, tuple[int, tuple[str | int, ...]]]


@dataclass(frozen=True)
class Padded:
    """A model version; `cause` is the suspect that must be named."""

    contract: str
    cause: str = ""
    graph: onnx.ModelProto | None = None
    pipeline: str | None = None

    def write(self, root: Path, name: str = "m", more: str = "") -> Path:
        """Write it as version 1 of a model; `more` comes before the rest of its contract."""
        return write_version(
            root, name, graph=self.graph, pipeline=self.pipeline, contract=more + self.contract
        )


def sequence(
    *nodes: onnx.NodeProto,
    more: Tensors | None = None,
    constants: Mapping[str, Any] | None = None,
    kind: int = FP32,
    row_in: tuple[str | int, ...] = ("steps",),
    row_out: tuple[str | int, ...] = (),
) -> onnx.ModelProto:
    """A model from x, [rows, *row_in], and `more` inputs to y, FP32 [rows, *row_out]."""
    inputs = {"x": (kind, ("rows", *row_in)), **(more or {})}
    made = helper.make_graph(
        list(nodes),
        "sequence",
        [helper.make_tensor_value_info(name, *said) for name, said in inputs.items()],
        [helper.make_tensor_value_info("y", FP32, ["rows", *row_out])],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in (constants or {}).items()],
    )
    opsets = [helper.make_opsetid("", OPSET)]
    model: onnx.ModelProto = helper.make_model(made, opset_imports=opsets, ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    return model


AXIS_1 = {"axis": np.array([1], np.int64)}
COUNT = node("ReduceSum", "mask axis", "count", keepdims=0)
GRU = {
    "w": weights(1, 3 * WIDTH, WIDTH),
    "r": weights(1, 3 * WIDTH, WIDTH),
    "b": weights(1, 6 * WIDTH),
    "axis": np.array([0], np.int64),
}
LSTM = {
    "w": weights(1, 4 * WIDTH, WIDTH),
    "r": weights(1, 4 * WIDTH, WIDTH),
    "b": weights(1, 8 * WIDTH),
    "axis": np.array([0], np.int64),
}
STEPS = ("steps", WIDTH)


def recurrent(kind: str, inputs: str, constants: Mapping[str, Any], more: Tensors) -> Any:
    return sequence(
        node("Transpose", "x", "steps", perm=[1, 0, 2]),
        node(kind, inputs, "states last", hidden_size=WIDTH),
        node("Squeeze", "last axis", "y"),
        constants=constants,
        more=more,
        row_in=STEPS,
        row_out=(WIDTH,),
    )


def attention(bias: str, constants: Mapping[str, Any]) -> onnx.ModelProto:
    """Attention of each step to all; `bias` is how the mask becomes what is added to scores."""
    return sequence(
        node(bias, "mask one", "hidden"),
        node("Mul", "hidden least", "bias"),
        node("Unsqueeze", "bias axis", "bias_of_keys"),
        node("Transpose", "x", "keys", perm=[0, 2, 1]),
        node("MatMul", "x keys", "raw"),
        node("Add", "raw bias_of_keys", "scores"),
        node("Softmax", "scores", "shares", axis=2),
        node("MatMul", "shares x", "y"),
        constants={
            "one": np.float32(1),
            "least": np.float32(1e9),
            **AXIS_1,
            **constants,
        },
        more=MASK,
        row_in=STEPS,
        row_out=STEPS,
    )
