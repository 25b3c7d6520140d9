"""Models of rows of any length: those whose answers padding changes, and those that stand it."""

from __future__ import annotations

import numpy as np

from tests.dependent_models import function
from tests.padded_graphs import (
    AXIS_1,
    COUNT,
    FP32,
    GRU,
    INT64,
    LENGTH,
    LSTM,
    MASK,
    MASK_INPUT,
    MASKED,
    MEASURED,
    NUMBERS,
    PAD_0,
    STEPS,
    TEXTS,
    TOKENS,
    Padded,
    attention,
    recurrent,
    sequence,
)
from tests.small_graphs import WIDTH, node, weights

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
        attention("Mul", {"least": np.float32(-1e9)}),
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
            row_in=STEPS,
            row_out=STEPS,
        ),
    ),
    "LSTM that runs through the padding": Padded(
        MEASURED, "input length", recurrent("LSTM", "steps w r b", LSTM, LENGTH)
    ),
    "GRU that runs through the padding": Padded(
        PAD_0, "inputs.x.pad", recurrent("GRU", "steps w r b", GRU, {})
    ),
    "GRU with a bidirectional mean": Padded(
        MEASURED,
        "input length",
        sequence(
            node("Transpose", "x", "steps", perm=[1, 0, 2]),
            node("GRU", "steps w r b length", "states last", hidden_size=WIDTH),
            node("ReduceMean", "states", "mean", axes=[0, 1], keepdims=0),
            node("Add", "mean mean", "y"),
            constants=GRU,
            more=LENGTH,
            row_in=STEPS,
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
            COUNT,
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
    "attention with a mask": Padded(MASKED, graph=attention("Sub", {})),
    "LSTM with lengths": Padded(
        MEASURED, graph=recurrent("LSTM", "steps w r b length", LSTM, LENGTH)
    ),
    "GRU with lengths": Padded(MEASURED, graph=recurrent("GRU", "steps w r b length", GRU, LENGTH)),
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
        TEXTS,
        pipeline=function(
            "return {'y': np.array([sum(map(len, row)) for row in inputs['x'].tolist()])}"
        ),
    ),
}
