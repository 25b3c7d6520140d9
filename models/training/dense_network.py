"""A trained fully connected network, written as an ONNX graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

# Old enough for every onnxruntime of the last years; the graphs need nothing newer.
OPSET_VERSION = 17
IR_VERSION = 8

Weights = npt.NDArray[np.float32]
Batch = int | str  # a fixed number of rows, or the name of a free dimension


@dataclass(frozen=True, slots=True)
class Layer:
    """y = x·weights + bias; weights [inputs, outputs], bias [outputs]."""

    weights: Weights
    bias: Weights


@dataclass(frozen=True, slots=True)
class Fragment:
    """A piece of a graph: its nodes and the constants that they use."""

    nodes: Sequence[onnx.NodeProto]
    constants: Sequence[onnx.TensorProto]


def layers_of(network: Any) -> list[Layer]:
    """The layers of a fitted scikit-learn MLPClassifier or MLPRegressor, as FP32."""
    return [
        Layer(weights.astype(np.float32), bias.astype(np.float32))
        for weights, bias in zip(network.coefs_, network.intercepts_, strict=True)
    ]


def dense(layers: Sequence[Layer], source: str, result: str) -> Fragment:
    """Gemm nodes from tensor `source` to tensor `result`, with Relu between them."""
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []
    last = len(layers) - 1
    for index, layer in enumerate(layers):
        weights, bias, output = f"weights_{index}", f"bias_{index}", f"dense_{index}"
        constants.append(numpy_helper.from_array(layer.weights, weights))
        constants.append(numpy_helper.from_array(layer.bias, bias))
        target = result if index == last else output
        nodes.append(helper.make_node("Gemm", [source, weights, bias], [target], name=output))
        if index < last:
            source = f"relu_{index}"
            nodes.append(helper.make_node("Relu", [output], [source], name=source))
    return Fragment(nodes, constants)


def image_classifier(layers: Sequence[Layer], batch: Batch, pixel_max: float) -> onnx.ModelProto:
    """Pixels FP32 [batch, 8, 8] in 0..pixel_max → label INT64 [batch], probabilities FP32."""
    network = dense(layers, "flat", "logits")
    scale = numpy_helper.from_array(np.array(pixel_max, dtype=np.float32), "pixel_max")
    nodes = [
        helper.make_node("Div", ["pixels", "pixel_max"], ["scaled"], name="scale"),
        helper.make_node("Flatten", ["scaled"], ["flat"], name="flatten", axis=1),
        *network.nodes,
        helper.make_node("Softmax", ["logits"], ["probabilities"], name="softmax", axis=1),
        helper.make_node("ArgMax", ["logits"], ["label"], name="argmax", axis=1, keepdims=0),
    ]
    classes = len(layers[-1].bias)
    return _model(
        helper.make_graph(
            nodes,
            "image_classifier",
            [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [batch, 8, 8])],
            [
                helper.make_tensor_value_info("label", TensorProto.INT64, [batch]),
                helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [batch, classes]),
            ],
            [scale, *network.constants],
        )
    )


def regressor(layers: Sequence[Layer], batch: Batch, result: str) -> onnx.ModelProto:
    """Features FP32 [batch, k] → the tensor named `result`, FP32 [batch, 1]."""
    network = dense(layers, "features", result)
    features = len(layers[0].weights)
    return _model(
        helper.make_graph(
            network.nodes,
            "regressor",
            [helper.make_tensor_value_info("features", TensorProto.FLOAT, [batch, features])],
            [helper.make_tensor_value_info(result, TensorProto.FLOAT, [batch, 1])],
            network.constants,
        )
    )


def _model(graph: onnx.GraphProto) -> onnx.ModelProto:
    opsets = [helper.make_opsetid("", OPSET_VERSION)]
    model = helper.make_model(
        graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="batchbridge"
    )
    onnx.checker.check_model(model, full_check=True)
    return model
