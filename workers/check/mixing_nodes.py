"""The nodes of an ONNX graph that are known to mix the rows of a batch.

A list of suspects, no verdict: a node may subtract what another has added, and an operator that is
not known here may mix rows unseen. Rows are followed from the graph's inputs, where they come
first, through its own nodes, not into sub-graphs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import onnx

from workers.check.graph_facts import GraphFacts
from workers.check.moved_axis import MOVING_RULES
from workers.check.row_axis import RULES, Axis, Effect, Place, by_row, classical

CLASSICAL_DOMAIN = "ai.onnx.ml"


@dataclass(frozen=True, slots=True)
class MixingNode:
    """A node by name (or its first output's, if it has none), its operator, and what it does."""

    name: str
    operator: str
    reason: str


def mixing_nodes(model_bytes: bytes, output: str = "") -> list[MixingNode]:
    """Return the nodes that mix rows on the way to `output`, in the order in which they run.

    All of the graph's outputs count if it has none of this name.

    Raises:
        google.protobuf.message.DecodeError: not an ONNX model.
    """
    facts = GraphFacts(onnx.ModelProto.FromString(model_bytes))
    constants = {tensor.name for tensor in facts.graph.initializer}
    rows: dict[str, Axis] = {
        given.name: 0 for given in facts.graph.input if given.name not in constants
    }
    wanted = _on_the_way(facts.graph, output)
    found = []
    for node in facts.graph.node:
        effect = _effect(Place(node, tuple(rows.get(name) for name in node.input), facts))
        for index, name in enumerate(node.output):
            rows[name] = effect.axes[index] if index < len(effect.axes) else effect.axes[0]
        if effect.reason and wanted.intersection(node.output):
            found.append(MixingNode(node.name or node.output[0], node.op_type, effect.reason))
    return found


def _effect(place: Place) -> Effect:
    if place.node.domain == CLASSICAL_DOMAIN:
        return classical(place)
    kind = place.node.op_type
    return (RULES.get(kind) or MOVING_RULES.get(kind) or by_row)(place)


def _on_the_way(graph: onnx.GraphProto, output: str) -> set[str]:
    """Return the tensors that an output is computed from, itself among them."""
    names = {value.name for value in graph.output}
    wanted = {output} if output in names else names
    for node in _backwards(graph.node):
        if wanted.intersection(node.output):
            wanted.update(node.input)
    return wanted


def _backwards(nodes: Iterable[onnx.NodeProto]) -> Iterable[onnx.NodeProto]:
    """An ONNX graph lists its nodes in the order in which they can run."""
    return reversed(list(nodes))
