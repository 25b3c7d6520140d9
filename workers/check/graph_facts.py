"""What a graph's file tells of its tensors before it runs: ranks, sizes, constants."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference

Array = np.ndarray[Any, np.dtype[Any]]
Shape = tuple[int | None, ...]


class GraphFacts:
    """Shapes by ONNX's own inference, and the values of initializers and Constant nodes."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.graph = shape_inference.infer_shapes(model).graph
        self.opset = max(
            (opset.version for opset in model.opset_import if opset.domain in ("", "ai.onnx")),
            default=1,
        )
        self._constants = dict(_constants(self.graph))
        self._shapes: dict[str, Shape] = {
            name: tuple(array.shape) for name, array in self._constants.items()
        }
        for info in (*self.graph.input, *self.graph.value_info, *self.graph.output):
            if info.type.HasField("tensor_type") and info.type.tensor_type.HasField("shape"):
                sizes = info.type.tensor_type.shape.dim
                self._shapes[info.name] = tuple(
                    size.dim_value if size.HasField("dim_value") else None for size in sizes
                )

    def shape(self, name: str) -> Shape | None:
        """Return a tensor's shape, None for a size that varies; None if it is not known."""
        return self._shapes.get(name)

    def rank(self, name: str) -> int | None:
        """Return a tensor's rank; None if it is not known."""
        shape = self._shapes.get(name)
        return None if shape is None else len(shape)

    def integers(self, node: onnx.NodeProto, position: int) -> list[int] | None:
        """Return the values of a constant input of whole numbers; None if it is none."""
        if position >= len(node.input):
            return None
        constant = self._constants.get(node.input[position])
        return None if constant is None else [int(value) for value in constant.ravel()]


def attribute(node: onnx.NodeProto, name: str, default: Any = None) -> Any:
    """Return the value of a node's attribute, `default` if it has none."""
    for item in node.attribute:
        if item.name == name:
            return helper.get_attribute_value(item)
    return default


def _constants(graph: onnx.GraphProto) -> Iterator[tuple[str, Array]]:
    for tensor in graph.initializer:
        yield tensor.name, numpy_helper.to_array(tensor)
    for node in graph.node:
        value = attribute(node, "value") if node.op_type == "Constant" else None
        if isinstance(value, onnx.TensorProto):
            yield node.output[0], numpy_helper.to_array(value)
