"""Models whose answer to a row depends on its batch: each must be caught, and told by its cause."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from tests.small_graphs import WIDTH, graph, node, weights
from tests.tiny_models import write_version

TENSORS = """
[inputs.x]
datatype = "{datatype}"
shape = [-1, 4]
nulls = "{nulls}"
[outputs.y]
datatype = "FP64"
shape = [-1, 4]
"""
NUMBERS = TENSORS.format(datatype="FP64", nulls="unset")
WITH_NULLS = TENSORS.format(datatype="FP64", nulls="allow")
TEXTS = """
[inputs.x]
datatype = "BYTES"
[outputs.y]
datatype = "FP64"
"""


@dataclass(frozen=True)
class Planted:
    """A model version; `cause` is the operator or the function that mixes its rows."""

    cause: str
    graph: onnx.ModelProto | None = None
    pipeline: str | None = None
    contract: str | None = None

    def write(self, root: Path, name: str, more: str = "") -> Path:
        """Write it as version 1 of a model; `more` comes before the rest of its contract."""
        return write_version(
            root,
            name,
            graph=self.graph,
            pipeline=self.pipeline,
            contract=more + (self.contract or ""),
        )


def function(body: str, name: str = "predict", parameters: str = "inputs") -> str:
    """The text of a pipeline.py with one function."""
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    return f"import numpy as np\n\n\ndef {name}({parameters}):\n{lines}\n"


_LINEAR = graph(
    node("MatMul", "x w", "y"),
    constants={"w": weights(WIDTH, WIDTH)},
)

IN_THE_GRAPH = {
    "batch statistics": Planted(
        "BatchNormalization",
        graph(
            node("BatchNormalization", "x scale bias mean var", "y m v", training_mode=1),
            constants={
                "scale": np.ones(WIDTH, np.float32),
                "bias": np.zeros(WIDTH, np.float32),
                "mean": np.zeros(WIDTH, np.float32),
                "var": np.ones(WIDTH, np.float32),
            },
        ),
    ),
    "mean over axis 0": Planted(
        "ReduceMean", graph(node("ReduceMean", "x", "mean", axes=[0]), node("Sub", "x mean", "y"))
    ),
    "maximum of everything": Planted(
        "ReduceMax",
        graph(
            node("Abs", "x", "size"), node("ReduceMax", "size", "top"), node("Sub", "x top", "y")
        ),
    ),
    "softmax over axis 0": Planted("Softmax", graph(node("Softmax", "x", "y", axis=0))),
    "cumulative sum": Planted(
        "CumSum", graph(node("CumSum", "x zero", "y"), constants={"zero": np.int64(0)})
    ),
    "dynamic quantisation": Planted(
        "DynamicQuantizeLinear",
        graph(
            node("DynamicQuantizeLinear", "x", "q scale zero"),
            node("DequantizeLinear", "q scale zero", "y"),
        ),
    ),
    "best of the batch": Planted(
        "TopK",
        graph(
            node("TopK", "x one", "top places", axis=0),
            node("Sub", "x top", "y"),
            constants={"one": np.array([1], np.int64)},
        ),
    ),
    "relative to the first row": Planted(
        "Gather",
        graph(
            node("Gather", "x zero", "first", axis=0),
            node("Sub", "x first", "y"),
            constants={"zero": np.array([0], np.int64)},
        ),
    ),
    "a reshape that moves rows": Planted(
        "Reshape",
        graph(
            node("Reshape", "x shape", "columns"),
            node("Transpose", "columns", "y", perm=[1, 0]),
            constants={"shape": np.array([WIDTH, -1], np.int64)},
        ),
    ),
    "attention over the batch": Planted(
        "MatMul",
        graph(
            node("Transpose", "x", "keys", perm=[1, 0]),
            node("MatMul", "x keys", "scores"),
            node("Softmax", "scores", "shares", axis=1),
            node("MatMul", "shares x", "y"),
        ),
    ),
    "rows taken for time": Planted(
        "LSTM",
        graph(
            node("Unsqueeze", "x one", "steps"),
            node("LSTM", "steps w r", "states", hidden_size=WIDTH),
            node("Squeeze", "states inner", "y"),
            constants={
                "one": np.array([1], np.int64),
                "inner": np.array([1, 2], np.int64),
                "w": weights(1, 4 * WIDTH, WIDTH),
                "r": weights(1, 4 * WIDTH, WIDTH),
            },
        ),
    ),
    "dropout left in training": Planted(
        "Dropout",
        graph(
            node("Dropout", "x share training", "y"),
            constants={"share": np.float32(0.5), "training": np.bool_(True)},
        ),
    ),
}

IN_THE_PIPELINE = {
    "z-score within the batch": Planted(
        "preprocess",
        graph=_LINEAR,
        pipeline=function(
            "x = inputs['x']\nreturn {'x': (x - x.mean(axis=0)) / (x.std(axis=0) + 1e-6)}",
            "preprocess",
        ),
    ),
    "min-max within the batch": Planted(
        "preprocess",
        graph=_LINEAR,
        pipeline=function(
            "x = inputs['x']\nlow, high = x.min(axis=0), x.max(axis=0)\n"
            "return {'x': (x - low) / (high - low + 1e-6)}",
            "preprocess",
        ),
    ),
    "rank within the batch": Planted(
        "predict",
        pipeline=function(
            "x = inputs['x']\nreturn {'y': x.argsort(axis=0).argsort(axis=0).astype(float)}"
        ),
        contract=NUMBERS,
    ),
    "nulls filled with the batch's mean": Planted(
        "predict",
        pipeline=function(
            "x = inputs['x']\nknown = ~np.isnan(x)\n"
            "mean = np.where(known, x, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)\n"
            "return {'y': np.where(known, x, mean)}"
        ),
        contract=WITH_NULLS,
    ),
    "nulls filled from the row before": Planted(
        "predict",
        pipeline=function(
            "y = np.nan_to_num(inputs['x'][:1]).repeat(len(inputs['x']), axis=0)\n"
            "for row in range(1, len(y)):\n"
            "    given = inputs['x'][row]\n"
            "    y[row] = np.where(np.isnan(given), y[row - 1], given)\n"
            "return {'y': y}"
        ),
        contract=WITH_NULLS,
    ),
    "padding to the longest": Planted(
        "predict",
        pipeline=function(
            "words = [text.split() for text in inputs['x'].tolist()]\n"
            "longest = max(map(len, words)) or 1\n"
            "lengths = np.array([[len(w) for w in row] + [0] * (longest - len(row))"
            " for row in words])\n"
            "return {'y': lengths.mean(axis=1)}"
        ),
        contract=TEXTS,
    ),
    "codes of the categories in the batch": Planted(
        "predict",
        pipeline=function(
            "known = {text: code for code, text in enumerate(sorted(set(inputs['x'].tolist())))}\n"
            "return {'y': np.array([known[text] for text in inputs['x'].tolist()], float)}"
        ),
        contract=TEXTS,
    ),
    "the longest text of the batch": Planted(
        "predict",
        pipeline=function(
            "longest = max(inputs['x'].tolist(), key=len)\n"
            "return {'y': np.array([longest] * len(inputs['x']), object)}"
        ),
        contract='[inputs.x]\ndatatype = "BYTES"\n[outputs.y]\ndatatype = "BYTES"\n',
    ),
    "share of the batch's total": Planted(
        "postprocess",
        graph=_LINEAR,
        pipeline=function(
            "y = outputs['y']\nreturn {'y': y / (np.abs(y).sum(axis=0) + 1e-6)}",
            "postprocess",
            "outputs, inputs",
        ),
    ),
    "a little of the batch's mean": Planted(
        "predict",
        pipeline=function("x = inputs['x']\nreturn {'y': x + 1e-4 * x.mean(axis=0)}"),
        contract=NUMBERS,
    ),
    "difference to the row before": Planted(
        "predict",
        pipeline=function("x = inputs['x']\nreturn {'y': np.diff(x, axis=0, prepend=x[:1])}"),
        contract=NUMBERS,
    ),
    "outliers clipped at the batch's quantiles": Planted(
        "predict",
        pipeline=function(
            "x = inputs['x']\nlow, high = np.quantile(x, [0.05, 0.95], axis=0)\n"
            "return {'y': np.clip(x, low, high)}"
        ),
        contract=NUMBERS,
    ),
    "noise": Planted(
        "predict",
        pipeline=function("return {'y': inputs['x'] + np.random.default_rng().normal()}"),
        contract=NUMBERS,
    ),
    "a mean over all that was ever seen": Planted(
        "predict",
        pipeline="seen = []\n\n\ndef predict(inputs):\n"
        "    seen.extend(inputs['x'].tolist())\n"
        "    return {'y': inputs['x'] - sum(map(sum, seen)) / len(seen)}\n",
        contract=NUMBERS,
    ),
}

DEPENDENT = {**IN_THE_GRAPH, **IN_THE_PIPELINE}
