"""A model whose runs take time: an MLP with random weights, which say nothing wrong about time."""

from __future__ import annotations

import itertools

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

BULK_LAYERS = (30, 2048, 2048, 2048, 2)


def bulk_model(layers: tuple[int, ...] = BULK_LAYERS) -> bytes:
    """Return the ONNX bytes of an MLP with these layers, ReLU between them, input `features`."""
    random = np.random.default_rng(0)
    nodes, weights, name = [], [], "features"
    for index, (before, after) in enumerate(itertools.pairwise(layers)):
        matrix = (random.standard_normal((before, after)) / before**0.5).astype(np.float32)
        weights.append(numpy_helper.from_array(matrix, f"w{index}"))
        nodes.append(helper.make_node("MatMul", [name, f"w{index}"], [f"h{index}"]))
        name = f"h{index}"
        if after != layers[-1]:
            nodes.append(helper.make_node("Relu", [name], [f"r{index}"]))
            name = f"r{index}"
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "bulk",
        [tensor("features", TensorProto.FLOAT, ["rows", layers[0]])],
        [tensor(name, TensorProto.FLOAT, ["rows", layers[-1]])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
