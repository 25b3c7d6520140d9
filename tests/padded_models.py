"""Models of rows of any length: those whose answers padding changes, and those that stand it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.dependent_models import function
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
_COUNT = node("ReduceSum", "mask axis", "count", keepdims=0)
_RECURRENT = {
    "w": weights(1, 3 * WIDTH, WIDTH),
    "r": weights(1, 3 * WIDTH, WIDTH),
    "b": weights(1, 6 * WIDTH),
    "axis": np.array([0], np.int64),
}
_LSTM = {
    "w": weights(1, 4 * WIDTH, WIDTH),
    "r": weights(1, 4 * WIDTH, WIDTH),
    "b": weights(1, 8 * WIDTH),
    "axis": np.array([0], np.int64),
}
_STEPS = ("steps", WIDTH)


def _recurrent(kind: str, inputs: str, constants: Mapping[str, Any], more: Tensors) -> Any:
    return sequence(
        node("Transpose", "x", "steps", perm=[1, 0, 2]),
        node(kind, inputs, "states last", hidden_size=WIDTH),
        node("Squeeze", "last axis", "y"),
        constants=constants,
        more=more,
        row_in=_STEPS,
        row_out=(WIDTH,),
    )


def _attention(bias: str, constants: Mapping[str, Any]) -> onnx.ModelProto:
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
        row_in=_STEPS,
        row_out=_STEPS,
    )


CHANGED = {
    "mean over the padding too": Padded(
        MASKED,
        "input mask",
        sequence(node("ReduceMean", "x", "y", axes=[1], keepdims=0), more=MASK),
    ),
    "mean and no mask": Padded(
        PAD_0, "inputs.x.pad", sequence(node("ReduceMean", "x", "y", axes=[1], keepdims=0))
    ),
    "largest, with a pad that may be larger": Padded(
        PAD_0, "inputs.x.pad", sequence(node("ReduceMax", "x", "y", axes=[1], keepdims=0))
    ),
    "last step of the padded row": Padded(
        PAD_0,
        "inputs.x.pad",
        sequence(node("Gather", "x last", "y", axis=1), constants={"last": np.array(-1, np.int64)}),
    ),
    "embedding of the pad that is not zero": Padded(
        TOKENS,
        "inputs.x.pad",
        sequence(
            node("Gather", "table x", "vectors", axis=0),
            node("ReduceSum", "vectors axis", "y", keepdims=0),
            constants={"table": weights(10, WIDTH), **AXIS_1},
            kind=INT64,
            row_out=(WIDTH,),
        ),
    ),
    "softmax over the steps": Padded(
        PAD_0, "inputs.x.pad", sequence(node("Softmax", "x", "y", axis=1), row_out=("steps",))
    ),
    "normalised along the row": Padded(
        PAD_0,
        "inputs.x.pad",
        sequence(
            node("ReduceMean", "x", "mean", axes=[1]),
            node("Sub", "x mean", "y"),
            row_out=("steps",),
        ),
    ),
    "sum from the end": Padded(
        PAD_0.replace("pad = 0", "pad = 1"),
        "inputs.x.pad",
        sequence(
            node("CumSum", "x axis", "y", reverse=1),
            constants={"axis": np.array(1, np.int64)},
            row_out=("steps",),
        ),
    ),
    "attention with the mask upside down": Padded(
        MASKED.replace("[-5, 5]", "[-2, 2]"),
        "input mask",
        _attention("Mul", {"least": np.float32(-1e9)}),
    ),
    "attention masked after its softmax": Padded(
        MASKED,
        "input mask",
        sequence(
            node("Transpose", "x", "keys", perm=[0, 2, 1]),
            node("MatMul", "x keys", "scores"),
            node("Softmax", "scores", "all_shares", axis=2),
            node("Unsqueeze", "mask axis", "mask_of_keys"),
            node("Mul", "all_shares mask_of_keys", "shares"),
            node("MatMul", "shares x", "y"),
            constants=AXIS_1,
            more=MASK,
            row_in=_STEPS,
            row_out=_STEPS,
        ),
    ),
    "LSTM that runs through the padding": Padded(
        MEASURED, "input length", _recurrent("LSTM", "steps w r b", _LSTM, LENGTH)
    ),
    "GRU that runs through the padding": Padded(
        PAD_0, "inputs.x.pad", _recurrent("GRU", "steps w r b", _RECURRENT, {})
    ),
    "GRU with a bidirectional mean": Padded(
        MEASURED,
        "input length",
        sequence(
            node("Transpose", "x", "steps", perm=[1, 0, 2]),
            node("GRU", "steps w r b length", "states last", hidden_size=WIDTH),
            node("ReduceMean", "states", "mean", axes=[0, 1], keepdims=0),
            node("Add", "mean mean", "y"),
            constants=_RECURRENT,
            more=LENGTH,
            row_in=_STEPS,
            row_out=(WIDTH,),
        ),
    ),
    "an output of a size of its own": Padded(
        PAD_0,
        "inputs.x.pad",
        sequence(
            node("Slice", "x start end axis step", "y"),
            constants={
                "start": np.array([0], np.int64),
                "end": np.array([99], np.int64),
                "step": np.array([2], np.int64),
                **AXIS_1,
            },
            row_out=("every second",),
        ),
    ),
    "a mean in the batch script": Padded(
        NUMBERS, "inputs.x.pad", pipeline=function("return {'y': inputs['x'].mean(axis=1)}")
    ),
    "a mean in the batch script that does not heed the mask": Padded(
        NUMBERS + 'mask = "mask"\n' + MASK_INPUT,
        "input mask",
        pipeline=function("return {'y': inputs['x'].mean(axis=1)}"),
    ),
    "a batch script that fails over padding": Padded(
        NUMBERS,
        "inputs.x.pad",
        pipeline=function(
            "x = inputs['x']\nif (x == 0).any():\n    raise ValueError\nreturn {'y': x.sum(axis=1)}"
        ),
    ),
}

UNCHANGED = {
    "sum with zeros": Padded(
        PAD_0,
        graph=sequence(node("ReduceSum", "x axis", "y", keepdims=0), constants=AXIS_1),
    ),
    "largest with a pad that is smaller": Padded(
        PAD_0.replace("pad = 0", "pad = -inf"),
        graph=sequence(node("ReduceMax", "x", "y", axes=[1], keepdims=0)),
    ),
    "mean with a mask": Padded(
        MASKED,
        graph=sequence(
            node("Mul", "x mask", "own"),
            node("ReduceSum", "own axis", "sum", keepdims=0),
            _COUNT,
            node("Div", "sum count", "y"),
            constants=AXIS_1,
            more=MASK,
        ),
    ),
    "mean with a length": Padded(
        MEASURED,
        graph=sequence(
            node("ReduceSum", "x axis", "sum", keepdims=0),
            node("Cast", "length", "count", to=FP32),
            node("Div", "sum count", "y"),
            constants=AXIS_1,
            more=LENGTH,
        ),
    ),
    "last step by its length": Padded(
        MEASURED,
        graph=sequence(
            node("Sub", "length one", "last"),
            node("Unsqueeze", "last axis", "place"),
            node("GatherElements", "x place", "own", axis=1),
            node("Squeeze", "own axis", "y"),
            constants={"one": np.int32(1), **AXIS_1},
            more=LENGTH,
        ),
    ),
    "attention with a mask": Padded(MASKED, graph=_attention("Sub", {})),
    "LSTM with lengths": Padded(
        MEASURED, graph=_recurrent("LSTM", "steps w r b length", _LSTM, LENGTH)
    ),
    "GRU with lengths": Padded(
        MEASURED, graph=_recurrent("GRU", "steps w r b length", _RECURRENT, LENGTH)
    ),
    "embedding whose pad is zero": Padded(
        TOKENS,
        graph=sequence(
            node("Gather", "table x", "vectors", axis=0),
            node("ReduceSum", "vectors axis", "y", keepdims=0),
            constants={
                "table": np.concatenate([np.zeros((1, WIDTH), np.float32), weights(9, WIDTH)]),
                **AXIS_1,
            },
            kind=INT64,
            row_out=(WIDTH,),
        ),
    ),
    "each step for itself": Padded(
        PAD_0, graph=sequence(node("Tanh", "x", "y"), row_out=("steps",))
    ),
    "each pair of steps for itself": Padded(
        MASKED,
        graph=sequence(
            node("Unsqueeze", "x axis", "row"),
            node("Unsqueeze", "x two", "column"),
            node("Mul", "row column", "products"),
            node("Identity", "mask", "unused"),
            node("Identity", "products", "y"),
            constants={"two": np.array([2], np.int64), **AXIS_1},
            more=MASK,
            row_out=("steps", "steps"),
        ),
    ),
    "sum so far": Padded(
        PAD_0,
        graph=sequence(
            node("CumSum", "x axis", "y"),
            constants={"axis": np.array(1, np.int64)},
            row_out=("steps",),
        ),
    ),
    "convolution over what came before": Padded(
        PAD_0,
        graph=sequence(
            node("Unsqueeze", "x axis", "channel"),
            node("Conv", "channel kernel", "map", pads=[2, 0]),
            node("Squeeze", "map axis", "y"),
            constants={"kernel": weights(1, 1, 3), **AXIS_1},
            row_out=("steps",),
        ),
    ),
    "a mean with a mask in the batch script": Padded(
        NUMBERS + 'mask = "mask"\n' + MASK_INPUT,
        pipeline=function(
            "own = inputs['mask']\n"
            "return {'y': np.where(own, inputs['x'], 0).sum(axis=1) / own.sum(axis=1)}"
        ),
    ),
    "words that are counted": Padded(
        TEXTS.replace('"INT64"', '"INT64"'),
        pipeline=function(
            "return {'y': np.array([sum(map(len, row)) for row in inputs['x'].tolist()])}"
        ),
    ),
}
