"""Small ONNX graphs on x, FP32 [rows, 4], for tests of the checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 9
WIDTH = 4

Arrays = Mapping[str, Any]


def node(kind: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    """A node whose tensors are named in texts, separated by blanks; it is named as its output."""
    made: onnx.NodeProto = helper.make_node(
        kind, inputs.split(), outputs.split(), name=outputs.split(maxsplit=1)[0], **attributes
    )
    return made


def graph(
    *nodes: onnx.NodeProto,
    constants: Arrays | None = None,
    row_in: tuple[int | str, ...] = (WIDTH,),
    row_out: tuple[int | str, ...] = (WIDTH,),
    types: tuple[int, int] = (TensorProto.FLOAT, TensorProto.FLOAT),
) -> onnx.ModelProto:
    """A model of these nodes from x, [rows, *row_in], to y, [rows, *row_out]."""
    made = helper.make_graph(
        list(nodes),
        "small",
        [helper.make_tensor_value_info("x", types[0], ["rows", *row_in])],
        [helper.make_tensor_value_info("y", types[1], ["rows", *row_out])],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in (constants or {}).items()],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", 3)]
    model: onnx.ModelProto = helper.make_model(made, opset_imports=opsets, ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    return model


def weights(*shape: int, seed: int = 7) -> Any:
    """FP32 numbers of the size that trained weights have."""
    return np.random.default_rng(seed).normal(0, 0.5, shape).astype(np.float32)
