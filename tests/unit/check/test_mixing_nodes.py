"""Which nodes of a graph mix the rows of a batch."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from tests.dependent_models import IN_THE_GRAPH, Planted
from tests.independent_models import INDEPENDENT
from tests.sample_models import MODELS
from tests.small_graphs import WIDTH, graph, node, weights
from workers.check.mixing_nodes import MixingNode, mixing_nodes


def operators(model: onnx.ModelProto) -> list[str]:
    return [found.operator for found in mixing_nodes(model.SerializeToString())]


@pytest.mark.parametrize("planted", IN_THE_GRAPH.values(), ids=IN_THE_GRAPH.keys())
def test_the_first_node_named_is_the_planted_one(planted: Planted) -> None:
    assert planted.graph is not None
    assert operators(planted.graph)[0] == planted.cause


GRAPHS = {name: one.graph for name, one in INDEPENDENT.items() if one.graph is not None}


@pytest.mark.parametrize("model", GRAPHS.values(), ids=GRAPHS.keys())
def test_a_graph_that_works_row_by_row_has_none(model: onnx.ModelProto) -> None:
    assert operators(model) == []


@pytest.mark.parametrize("path", sorted(MODELS.glob("*/1/model.onnx")), ids=lambda p: p.parts[-3])
def test_the_sample_models_have_none(path: object) -> None:
    assert mixing_nodes(path.read_bytes()) == []  # type: ignore[attr-defined]


def test_a_node_is_named_with_its_operator_and_what_it_does() -> None:
    model = graph(node("ReduceMean", "x", "mean", axes=[0]), node("Sub", "x mean", "y"))
    assert mixing_nodes(model.SerializeToString()) == [
        MixingNode("mean", "ReduceMean", "reduces over the rows (axis 0)")
    ]


def test_rows_are_followed_through_a_transposition() -> None:
    model = graph(
        node("Transpose", "x", "columns", perm=[1, 0]),
        node("Softmax", "columns", "shares", axis=-1),
        node("Transpose", "shares", "y", perm=[1, 0]),
    )
    assert operators(model) == ["Softmax"]


def test_an_axis_that_is_not_the_rows_after_a_transposition_is_none() -> None:
    model = graph(
        node("Transpose", "x", "columns", perm=[1, 0]),
        node("Softmax", "columns", "shares", axis=0),
        node("Transpose", "shares", "y", perm=[1, 0]),
    )
    assert operators(model) == []


def test_an_axis_counted_from_the_end_is_the_same_axis() -> None:
    assert operators(graph(node("Softmax", "x", "y", axis=-2))) == ["Softmax"]


def test_a_product_that_sums_over_the_rows_is_named() -> None:
    model = graph(
        node("Gemm", "x x", "squares", transA=1),
        node("MatMul", "x squares", "y"),
    )
    assert operators(model) == ["Gemm"]


def test_an_einsum_over_the_rows_is_named() -> None:
    model = graph(node("Einsum", "x", "total", equation="ij->j"), node("Sub", "x total", "y"))
    assert operators(model) == ["Einsum"]


def test_weights_may_be_reduced() -> None:
    model = graph(
        node("ReduceMean", "w", "mean", axes=[0]),
        node("Add", "x mean", "y"),
        constants={"w": weights(WIDTH, WIDTH)},
    )
    assert operators(model) == []


def test_only_nodes_on_the_way_to_the_output_count() -> None:
    model = graph(
        node("ReduceMean", "x", "unused", axes=[0]),
        node("Abs", "x", "y"),
    )
    assert operators(model) == []


def test_a_reshape_to_pairs_across_rows_is_named() -> None:
    model = graph(
        node("Reshape", "x shape", "y"),
        constants={"shape": np.array([-1, 2], np.int64)},
        row_out=(2,),
    )
    assert operators(model) == ["Reshape"]
