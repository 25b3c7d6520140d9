"""Models that answer each row for itself, in ways that look like mixing: none may be accused."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from tests.dependent_models import NUMBERS, TEXTS, WITH_NULLS, Planted, function
from tests.small_graphs import WIDTH, graph, node, weights

HIDDEN = 256
STEPS = 6
_NOTHING = ""

_FP32_TEXT = '[inputs.x]\nnulls = "refuse"\n'

_ATTENTION = graph(
    # A step of zeros is padding: it neither asks nor is asked.
    node("Abs", "x", "sizes"),
    node("ReduceMax", "sizes", "largest", axes=[2], keepdims=0),
    node("Greater", "largest zero", "is_step"),
    node("Where", "is_step zero least", "bias"),
    node("Unsqueeze", "bias one", "bias_of_keys"),
    node("Transpose", "x", "keys", perm=[0, 2, 1]),
    node("MatMul", "x keys", "raw"),
    node("Add", "raw bias_of_keys", "scores"),
    node("Softmax", "scores", "shares", axis=2),
    node("MatMul", "shares x", "mixed"),
    node("ReduceMean", "mixed", "y", axes=[1], keepdims=0),
    constants={
        "zero": np.float32(0),
        "least": np.float32(-1e9),
        "one": np.array([1], np.int64),
    },
    row_in=("steps", WIDTH),
)

_LSTM = graph(
    node("Transpose", "x", "steps", perm=[1, 0, 2]),
    node("LSTM", "steps w r", "states last", hidden_size=WIDTH),
    node("Squeeze", "last zero", "y"),
    constants={
        "zero": np.array([0], np.int64),
        "w": weights(1, 4 * WIDTH, WIDTH),
        "r": weights(1, 4 * WIDTH, WIDTH),
    },
    row_in=(STEPS, WIDTH),
)

_GRU = graph(
    node("Transpose", "x", "steps", perm=[1, 0, 2]),
    node("GRU", "steps w r", "states last", hidden_size=WIDTH),
    node("Transpose", "last", "rows_first", perm=[1, 0, 2]),
    node("Flatten", "rows_first", "y"),
    constants={"w": weights(1, 3 * WIDTH, WIDTH), "r": weights(1, 3 * WIDTH, WIDTH)},
    row_in=(STEPS, WIDTH),
)

_CNN = graph(
    node("Conv", "x kernel", "maps", pads=[1, 1, 1, 1]),
    node("Relu", "maps", "active"),
    node("MaxPool", "active", "pooled", kernel_shape=[2, 2], strides=[2, 2]),
    node("Flatten", "pooled", "flat"),
    node("Gemm", "flat w", "y"),
    constants={"kernel": weights(8, 1, 3, 3), "w": weights(8 * 16, WIDTH)},
    row_in=(1, 8, 8),
)

_TREES = graph(
    node(
        "TreeEnsembleRegressor",
        "x",
        "y",
        domain="ai.onnx.ml",
        n_targets=1,
        nodes_treeids=[0, 0, 0],
        nodes_nodeids=[0, 1, 2],
        nodes_featureids=[1, 0, 0],
        nodes_values=[0.1, 0.0, 0.0],
        nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"],
        nodes_truenodeids=[1, 0, 0],
        nodes_falsenodeids=[2, 0, 0],
        target_treeids=[0, 0],
        target_nodeids=[1, 2],
        target_ids=[0, 0],
        target_weights=[3.0, 5.0],
    ),
    row_out=(1,),
)

INDEPENDENT = {
    "linear": Planted(
        _NOTHING, graph(node("Gemm", "x w", "y"), constants={"w": weights(WIDTH, WIDTH)})
    ),
    "MLP whose sums are rounded": Planted(
        _NOTHING,
        graph(
            node("MatMul", "x first", "raw"),
            node("Relu", "raw", "hidden"),
            node("MatMul", "hidden second", "raw2"),
            node("Tanh", "raw2", "hidden2"),
            node("MatMul", "hidden2 third", "logits"),
            node("Softmax", "logits", "y", axis=1),
            constants={
                "first": weights(WIDTH, HIDDEN),
                "second": weights(HIDDEN, HIDDEN, seed=8) / 16,
                "third": weights(HIDDEN, WIDTH, seed=9) / 16,
            },
        ),
    ),
    "CNN": Planted(_NOTHING, _CNN),
    "LSTM over the steps of a row": Planted(_NOTHING, _LSTM),
    "GRU over the steps of a row": Planted(_NOTHING, _GRU),
    "attention with a mask": Planted(_NOTHING, _ATTENTION, contract=_FP32_TEXT),
    "trees": Planted(_NOTHING, _TREES),
    "batch normalisation as exported": Planted(
        _NOTHING,
        graph(
            node("BatchNormalization", "x scale bias mean var", "y"),
            constants={
                "scale": np.ones(WIDTH, np.float32),
                "bias": np.zeros(WIDTH, np.float32),
                "mean": weights(WIDTH),
                "var": np.full(WIDTH, 2.0, np.float32),
            },
        ),
    ),
    "layer normalisation": Planted(
        _NOTHING,
        graph(
            node("LayerNormalization", "x scale", "y", axis=-1),
            constants={"scale": np.ones(WIDTH, np.float32)},
        ),
    ),
    "best of each row": Planted(
        _NOTHING,
        graph(
            node("TopK", "x two", "y places", axis=1),
            constants={"two": np.array([2], np.int64)},
            row_out=(2,),
        ),
    ),
    "softmax and sum along each row": Planted(
        _NOTHING,
        graph(
            node("Softmax", "x", "shares", axis=-1),
            node("CumSum", "shares one", "y"),
            constants={"one": np.int64(1)},
        ),
    ),
    "quantisation with a fixed scale": Planted(
        _NOTHING,
        graph(
            node("QuantizeLinear", "x scale zero", "q"),
            node("DequantizeLinear", "q scale zero", "y"),
            constants={"scale": np.float32(0.02), "zero": np.uint8(128)},
        ),
    ),
    "embedding": Planted(
        _NOTHING,
        graph(
            node("Gather", "table x", "vectors", axis=0),
            node("ReduceSum", "vectors one", "y", keepdims=0),
            constants={"table": weights(10, WIDTH), "one": np.array([1], np.int64)},
            row_in=(3,),
            types=(TensorProto.INT64, TensorProto.FLOAT),
        ),
    ),
    "dropout left out": Planted(
        _NOTHING,
        graph(
            node("Dropout", "x share training", "y"),
            constants={"share": np.float32(0.5), "training": np.bool_(False)},
        ),
    ),
    "a reshape within rows": Planted(
        _NOTHING,
        graph(
            node("Reshape", "x shape", "pairs"),
            node("ReduceMax", "pairs", "y", axes=[2], keepdims=0),
            constants={"shape": np.array([-1, 2, 2], np.int64)},
            row_out=(2,),
        ),
    ),
    "frozen statistics": Planted(
        _NOTHING,
        graph=graph(node("MatMul", "x w", "y"), constants={"w": weights(WIDTH, WIDTH)}),
        pipeline=function("return {'x': (inputs['x'] - 0.3) / 1.7}", "preprocess"),
    ),
    "nulls filled with a constant": Planted(
        _NOTHING,
        pipeline=function("return {'y': np.nan_to_num(inputs['x'], nan=0.4)}"),
        contract=WITH_NULLS,
    ),
    "rank within the row": Planted(
        _NOTHING,
        pipeline=function(
            "x = inputs['x']\nreturn {'y': x.argsort(axis=1).argsort(axis=1).astype(float)}"
        ),
        contract=NUMBERS,
    ),
    "length of each text": Planted(
        _NOTHING,
        pipeline=function("return {'y': np.array([len(t) for t in inputs['x'].tolist()], float)}"),
        contract=TEXTS,
    ),
    "a text for each text": Planted(
        _NOTHING,
        pipeline=function("return {'y': np.array([t.upper() for t in inputs['x']], object)}"),
        contract='[inputs.x]\ndatatype = "BYTES"\n[outputs.y]\ndatatype = "BYTES"\n',
    ),
    # As matrix kernels do for one row and for many. The terms are a hundred times their sum.
    "sums in two orders": Planted(
        _NOTHING,
        pipeline=function(
            "x = inputs['x']\n"
            "w = (100 * np.sin(np.arange(64))).reshape(16, 4)\n"
            "w[-1] = 1 - w[:-1].sum(axis=0)\n"
            "terms = np.tile(x, (1, 16)) * w.ravel().astype(np.float32)\n"
            "ordered = terms if len(x) == 1 else terms[:, ::-1]\n"
            "y = np.cumsum(ordered, axis=1, dtype=np.float32)[:, -1:]\n"
            "return {'y': np.repeat(y, 4, axis=1)}"
        ),
        contract=NUMBERS.replace("FP64", "FP32"),
    ),
    "work in place": Planted(
        _NOTHING,
        pipeline=function("x = inputs['x']\nx *= 2\nreturn {'y': x}"),
        contract=NUMBERS,
    ),
}
