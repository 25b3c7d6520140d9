"""Is an ONNX graph safe to load? Looked at before ONNX Runtime sees it.

Refused: tensors stored outside the file (how a model reads files that are not its own:
CVE-2022-25882, CVE-2024-27318, CVE-2026-27489), and operators of domains that ONNX Runtime does
not define itself, which would need a custom-op library.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

KNOWN_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
NESTING_MAX = 16


class UnsafeGraphError(Exception):
    """The graph is not loaded; the message names what was found."""


def check_graph(model_bytes: bytes) -> None:
    """Check a serialized ONNX model.

    Raises:
        UnsafeGraphError: not an ONNX model, external data, an unknown operator domain, or
            sub-graphs nested too deep.
    """
    try:
        model = onnx.ModelProto.FromString(model_bytes)
    except DecodeError as error:
        raise UnsafeGraphError("not an ONNX model") from error
    if not model.HasField("graph") or not model.graph.output:
        raise UnsafeGraphError("not an ONNX model: it has no graph")
    for opset in model.opset_import:
        if opset.domain not in KNOWN_DOMAINS:
            raise UnsafeGraphError(f"operators of the domain {opset.domain!r} are not known")
    for tensor in _tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise UnsafeGraphError(f"tensor {tensor.name!r} is stored outside the model file")


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    yield from _graph_tensors(model.graph, 0)
    for function in model.functions:
        yield from _node_tensors(function.node, 0)
        yield from _attribute_tensors(function.attribute_proto, 0)
    for training in model.training_info:
        yield from _graph_tensors(training.initialization, 0)
        yield from _graph_tensors(training.algorithm, 0)


def _graph_tensors(graph: onnx.GraphProto, depth: int) -> Iterator[onnx.TensorProto]:
    if depth > NESTING_MAX:
        raise UnsafeGraphError(f"sub-graphs are nested more than {NESTING_MAX} deep")
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _node_tensors(graph.node, depth)


def _node_tensors(nodes: object, depth: int) -> Iterator[onnx.TensorProto]:
    for node in nodes:  # type: ignore[attr-defined]
        yield from _attribute_tensors(node.attribute, depth)


def _attribute_tensors(attributes: object, depth: int) -> Iterator[onnx.TensorProto]:
    for attribute in attributes:  # type: ignore[attr-defined]
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors
        for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
            yield from (sparse.values, sparse.indices)
        if attribute.HasField("g"):
            yield from _graph_tensors(attribute.g, depth + 1)
        for graph in attribute.graphs:
            yield from _graph_tensors(graph, depth + 1)
