"""Where the rows of a batch are in each tensor of a graph, and which operators mix them.

Each rule takes a node and the position of the rows in its inputs (None: no rows in it) and says
where the rows are in its outputs, and why it mixes them if it does. An operator without a rule is
taken to work row by row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx

from workers.check.graph_facts import GraphFacts, attribute

Axis = int | None


@dataclass(frozen=True, slots=True)
class Effect:
    """What a node does to the rows: their axis in its outputs, and why it mixes them, if it does.

    `axes` is one for each output, or one for all.
    """

    axes: tuple[Axis, ...]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """A node, and the axis of the rows in each of its inputs."""

    node: onnx.NodeProto
    axes: tuple[Axis, ...]
    facts: GraphFacts

    @property
    def axis(self) -> Axis:
        """The axis of the rows in the first input."""
        return self.axes[0] if self.axes else None

    def rank(self, position: int = 0) -> int | None:
        """Return the rank of an input."""
        return self.facts.rank(self.node.input[position])

    def counted(self, axis: int) -> int:
        """Return an axis of the first input, counted from its first where that is possible."""
        rank = self.rank()
        return axis + rank if axis < 0 and rank is not None else axis


def by_row(place: Place) -> Effect:
    """Return the effect of an operator that broadcasts its inputs against each other."""
    ranks = [place.rank(position) for position in range(len(place.axes))]
    known = [rank for rank in ranks if rank is not None]
    widest = max(known, default=0)
    found = {
        axis + (widest - rank if rank is not None else 0)
        for axis, rank in zip(place.axes, ranks, strict=True)
        if axis is not None
    }
    if len(found) > 1:
        return Effect((min(found),), "sets rows against rows")
    return Effect((next(iter(found), None),))


def classical(place: Place) -> Effect:
    """Return the effect of an operator of ai.onnx.ml: rows first, in and out."""
    return Effect((0 if any(axis is not None for axis in place.axes) else None,))


def _reduce(place: Place) -> Effect:
    node, axis = place.node, place.axis
    axes = attribute(node, "axes") or place.facts.integers(node, 1)
    is_nothing = not axes and attribute(node, "noop_with_empty_axes", 0)
    if axis is None or is_nothing:
        return Effect((axis,))
    reduced = None if not axes else [place.counted(one) for one in axes]
    return _reduced(place, axis, reduced)


def _arg_reduce(place: Place) -> Effect:
    if place.axis is None:
        return Effect((None,))
    return _reduced(place, place.axis, [place.counted(attribute(place.node, "axis", 0))])


def _reduced(place: Place, axis: int, reduced: list[int] | None) -> Effect:
    if reduced is None:
        return Effect((None,), "reduces over everything, the rows too")
    if axis in reduced:
        return Effect((None,), f"reduces over the rows (axis {axis})")
    if attribute(place.node, "keepdims", 1):
        return Effect((axis,))
    return Effect((axis - sum(one < axis for one in reduced),))


def _along(default: int) -> Callable[[Place], Effect]:
    """Operators that work along one axis and leave the shape as it is."""

    def rule(place: Place) -> Effect:
        axis = place.counted(attribute(place.node, "axis", default))
        return _worked_along(place, axis)

    return rule


def _worked_along(place: Place, axis: int) -> Effect:
    is_mixed = place.axis is not None and axis == place.axis
    return Effect((place.axis,), f"works along the rows (axis {axis})" if is_mixed else "")


def _softmax(place: Place) -> Effect:
    if place.facts.opset >= 13:
        return _along(-1)(place)
    # Until opset 13 all axes from `axis` on were one.
    first = place.counted(attribute(place.node, "axis", 1))
    is_mixed = place.axis is not None and place.axis >= first
    return Effect((place.axis,), f"works along the rows (axis {place.axis})" if is_mixed else "")


def _cumulative_sum(place: Place) -> Effect:
    axis = place.facts.integers(place.node, 1)
    return Effect((place.axis,)) if not axis else _worked_along(place, place.counted(axis[0]))


def _normalization(default: tuple[int, ...]) -> Callable[[Place], Effect]:
    def rule(place: Place) -> Effect:
        axes = attribute(place.node, "axes", default)
        is_mixed = place.axis is not None and place.axis in [place.counted(one) for one in axes]
        return Effect((place.axis,), "takes its statistics over the rows" if is_mixed else "")

    return rule


def _layer_normalization(place: Place) -> Effect:
    first = place.counted(attribute(place.node, "axis", -1))
    is_mixed = place.axis is not None and place.axis >= first >= 0
    return Effect((place.axis,), "takes its statistics over the rows" if is_mixed else "")


def _batch_normalization(place: Place) -> Effect:
    is_training = bool(attribute(place.node, "training_mode", 0))
    reason = "takes its statistics from the batch (training mode)" if is_training else ""
    return Effect((place.axis, None, None), reason)


def _dropout(place: Place) -> Effect:
    training = place.facts.integers(place.node, 2)
    reason = "drops values at random (training mode)" if training and training[0] else ""
    return Effect((place.axis,), reason)


def _random(place: Place) -> Effect:
    return Effect((place.axis,), "draws numbers at random")


def _dynamic_quantization(place: Place) -> Effect:
    reason = "takes its scale from the largest and smallest value of the whole batch"
    return Effect((place.axis, None, None), reason if place.axis is not None else "")


def _by_position(place: Place) -> Effect:
    """Split, Concat and the like: pieces of an axis, or put together along it."""
    axis = place.counted(attribute(place.node, "axis", 0))
    rows = next((one for one in place.axes if one is not None), None)
    return Effect(
        (rows,), "takes rows by their position" if rows is not None and axis == rows else ""
    )


def _gather(place: Place) -> Effect:
    axis = place.counted(attribute(place.node, "axis", 0))
    data, indices = place.axes[0], place.axes[1] if len(place.axes) > 1 else None
    if data is None:
        return Effect((None if indices is None else axis + indices,))
    if data == axis:
        return Effect((data,), "takes rows by their position")
    wide = place.rank(1)
    return Effect((data if data < axis else data - 1 + (1 if wide is None else wide),))


def _slice(place: Place) -> Effect:
    node, facts = place.node, place.facts
    starts = attribute(node, "starts") or facts.integers(node, 1) or []
    axes = attribute(node, "axes") or facts.integers(node, 3) or list(range(len(starts)))
    is_cut = place.axis is not None and place.axis in [place.counted(axis) for axis in axes]
    return Effect((place.axis,), "takes rows by their position" if is_cut else "")


def _of_any_size(place: Place) -> Effect:
    reason = "its output has as many elements as the values of all rows make"
    return Effect((None,), reason if place.axis is not None else "")


def _shape(place: Place) -> Effect:
    return Effect((None,))


def _recurrent(place: Place) -> Effect:
    is_batch_first = bool(attribute(place.node, "layout", 0))
    if place.axis is None:
        return Effect((None,))
    if (place.axis == 0) != is_batch_first:
        return Effect((0, 0, 0), "takes the rows for steps of time")
    # Y is [steps, directions, rows, units] and Y_h [directions, rows, units], or rows first.
    return Effect((0, 0, 0) if is_batch_first else (2, 1, 1))


def _scan(place: Place) -> Effect:
    scanned = attribute(place.node, "num_scan_inputs", 0)
    given = place.axes[len(place.axes) - scanned :]
    axes = attribute(place.node, "scan_input_axes") or [0] * scanned
    is_over_rows = any(
        row is not None and row == axis for row, axis in zip(given, axes, strict=False)
    )
    rows = next((one for one in place.axes if one is not None), None)
    return Effect((rows,), "goes from row to row" if is_over_rows else "")


_REDUCTIONS = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")

RULES: dict[str, Callable[[Place], Effect]] = {
    **{f"Reduce{kind}": _reduce for kind in _REDUCTIONS},
    "ArgMax": _arg_reduce,
    "ArgMin": _arg_reduce,
    "Softmax": _softmax,
    "LogSoftmax": _softmax,
    "Hardmax": _softmax,
    "TopK": _along(-1),
    "LpNormalization": _along(-1),
    "CumSum": _cumulative_sum,
    "MeanVarianceNormalization": _normalization((0, 2, 3)),
    "LayerNormalization": _layer_normalization,
    "BatchNormalization": _batch_normalization,
    "Dropout": _dropout,
    "RandomNormalLike": _random,
    "RandomUniformLike": _random,
    "RandomNormal": _random,
    "RandomUniform": _random,
    "Multinomial": _random,
    "Bernoulli": _random,
    "DynamicQuantizeLinear": _dynamic_quantization,
    "DynamicQuantizeMatMul": _dynamic_quantization,
    "DynamicQuantizeLSTM": _dynamic_quantization,
    "Split": _by_position,
    "Concat": _by_position,
    "GatherElements": _by_position,
    "Gather": _gather,
    "Slice": _slice,
    "NonZero": _of_any_size,
    "Unique": _of_any_size,
    "Compress": _of_any_size,
    "Shape": _shape,
    "Size": _shape,
    "LSTM": _recurrent,
    "GRU": _recurrent,
    "RNN": _recurrent,
    "Scan": _scan,
}
