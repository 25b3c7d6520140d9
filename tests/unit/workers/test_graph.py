"""Malicious and broken graphs never reach ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable

import onnx
import pytest
from onnx import TensorProto, helper

from tests.tiny_models import affine
from workers.graph import KNOWN_DOMAINS, NESTING_MAX, UnsafeGraphError, check_graph

Change = Callable[[onnx.ModelProto], None]


def external(location: str) -> TensorProto:
    """A tensor whose values are in a file beside the model, or anywhere else."""
    tensor = helper.make_tensor("weights", TensorProto.DOUBLE, [1], [0.0])
    tensor.ClearField("double_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    return tensor


def branch(*, initializer: TensorProto | None = None) -> onnx.GraphProto:
    output = helper.make_tensor_value_info("out", TensorProto.DOUBLE, [1])
    return helper.make_graph([], "branch", [], [output], [initializer] if initializer else [])


def nested(depth: int) -> onnx.GraphProto:
    graph = branch()
    for _ in range(depth):
        node = helper.make_node("If", ["condition"], ["out"], then_branch=graph)
        graph = helper.make_graph([node], "outer", [], [branch().output[0]])
    return graph


def in_initializer(location: str) -> Change:
    return lambda model: model.graph.initializer.append(external(location))


def in_subgraph(model: onnx.ModelProto) -> None:
    inner = branch(initializer=external("../weights"))
    model.graph.node.append(helper.make_node("If", ["c"], ["o"], then_branch=inner))


def in_list_of_subgraphs(model: onnx.ModelProto) -> None:
    inner = branch(initializer=external("weights"))
    model.graph.node.append(helper.make_node("Scan", ["c"], ["o"], bodies=[inner]))


def in_constant(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Constant", [], ["w"], value=external("/etc/passwd")))


def in_list_of_tensors(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Constant", [], ["w"], values=[external("w")]))


def sparse(values: TensorProto) -> onnx.SparseTensorProto:
    indices = helper.make_tensor("i", TensorProto.INT64, [1], [0])
    return onnx.SparseTensorProto(values=values, indices=indices, dims=[1])


def in_sparse_initializer(model: onnx.ModelProto) -> None:
    model.graph.sparse_initializer.append(sparse(external("weights")))


def in_sparse_constant(model: onnx.ModelProto) -> None:
    node = helper.make_node("Constant", [], ["w"], sparse_value=sparse(external("w")))
    model.graph.node.append(node)


def in_list_of_sparse_tensors(model: onnx.ModelProto) -> None:
    node = model.graph.node.add(op_type="Constant")
    attribute = node.attribute.add(name="values", type=onnx.AttributeProto.SPARSE_TENSORS)
    attribute.sparse_tensors.append(sparse(external("w")))


def in_training_info(model: onnx.ModelProto) -> None:
    model.training_info.add().initialization.initializer.append(external("weights"))


def in_training_algorithm(model: onnx.ModelProto) -> None:
    model.training_info.add().algorithm.initializer.append(external("weights"))


def in_function(model: onnx.ModelProto) -> None:
    function = model.functions.add(name="f", domain="ai.onnx")
    function.node.append(helper.make_node("Constant", [], ["w"], value=external("w")))


def in_default_of_function(model: onnx.ModelProto) -> None:
    function = model.functions.add(name="f", domain="ai.onnx")
    function.attribute_proto.append(helper.make_attribute("w", external("w")))


def with_data_and_a_location(model: onnx.ModelProto) -> None:
    # Says that its data are inside, and names a file all the same.
    tensor = external("weights")
    tensor.data_location = TensorProto.DEFAULT
    model.graph.initializer.append(tensor)


EXTERNAL: dict[str, Change] = {
    "in a parent folder": in_initializer("../../secret"),
    "at an absolute path": in_initializer("/etc/passwd"),
    "beside the model": in_initializer("weights.bin"),
    "nowhere named": in_initializer(""),
    "with its data and a location": with_data_and_a_location,
    "in a sub-graph": in_subgraph,
    "in a list of sub-graphs": in_list_of_subgraphs,
    "in a Constant": in_constant,
    "in a list of tensors": in_list_of_tensors,
    "in a sparse initializer": in_sparse_initializer,
    "in a sparse Constant": in_sparse_constant,
    "in a list of sparse tensors": in_list_of_sparse_tensors,
    "in training info": in_training_info,
    "in a training algorithm": in_training_algorithm,
    "in a function": in_function,
    "in a function's default": in_default_of_function,
}


@pytest.mark.parametrize("change", EXTERNAL.values(), ids=EXTERNAL.keys())
def test_data_outside_the_model_file_are_refused(change: Change) -> None:
    model = affine(2, 1)
    change(model)
    with pytest.raises(UnsafeGraphError, match="is stored outside the model file"):
        check_graph(model.SerializeToString())


@pytest.mark.parametrize("domain", ["com.evil", "ai.onnx.contrib", "org.pytorch.aten", "AI.ONNX"])
def test_operators_of_an_unknown_domain_are_refused(domain: str) -> None:
    model = affine(2, 1)
    model.opset_import.append(helper.make_opsetid(domain, 1))
    with pytest.raises(UnsafeGraphError, match=f"domain '{domain}'"):
        check_graph(model.SerializeToString())


def test_operators_of_known_domains_are_accepted() -> None:
    model = affine(2, 1)
    for domain in sorted(KNOWN_DOMAINS - {""}):
        model.opset_import.append(helper.make_opsetid(domain, 1))
    check_graph(model.SerializeToString())


@pytest.mark.parametrize("depth", [NESTING_MAX + 1, 30])
def test_sub_graphs_nested_too_deep_are_refused(depth: int) -> None:
    model = affine(2, 1)
    model.graph.CopyFrom(nested(depth))
    with pytest.raises(UnsafeGraphError, match="nested more than"):
        check_graph(model.SerializeToString())


def field(number: int, content: bytes) -> bytes:
    """A length-delimited field of a protocol buffer."""
    length, size = len(content), b""
    while length > 127:
        size += bytes((length & 127 | 128,))
        length >>= 7
    return bytes((number << 3 | 2,)) + size + bytes((length,)) + content


def test_sub_graphs_nested_beyond_the_parser_are_refused() -> None:
    graph = b""
    for _ in range(10_000):
        # GraphProto.node, NodeProto.attribute, AttributeProto.g
        graph = field(1, field(5, field(6, graph)))
        if len(graph) > 100_000:
            break
    with pytest.raises(UnsafeGraphError, match="not an ONNX model"):
        check_graph(field(7, graph))


def test_sub_graphs_nested_a_little_are_accepted() -> None:
    model = affine(2, 1)
    model.graph.CopyFrom(nested(NESTING_MAX))
    check_graph(model.SerializeToString())


GOOD = affine(2, 1).SerializeToString()


@pytest.mark.parametrize(
    "data",
    [b"", b"\x00", b"PK\x03\x04 a zip", b"\x80\x04\x95 a pickle", GOOD[: len(GOOD) // 2], GOOD[1:]],
    ids=["empty", "zero", "zip", "pickle", "cut", "shifted"],
)
def test_bytes_that_are_no_model_are_refused(data: bytes) -> None:
    with pytest.raises(UnsafeGraphError, match="not an ONNX model"):
        check_graph(data)


def test_a_model_without_outputs_is_refused() -> None:
    model = affine(2, 1)
    model.graph.ClearField("output")
    with pytest.raises(UnsafeGraphError, match="it has no graph"):
        check_graph(model.SerializeToString())


def test_a_plain_model_is_accepted() -> None:
    check_graph(GOOD)
