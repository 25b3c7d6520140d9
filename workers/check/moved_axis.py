"""Where the rows go in operators that move axes or multiply matrices; rules as in `row_axis`."""

from __future__ import annotations

import math
from collections.abc import Callable

from workers.check.graph_facts import attribute
from workers.check.row_axis import Effect, Place

_SUMS = "sums over the rows"
_MOVES = "moves rows into another axis"


def _transpose(place: Place) -> Effect:
    rank = place.rank()
    permutation = attribute(place.node, "perm")
    if permutation is None and rank is not None:
        permutation = list(range(rank))[::-1]
    if place.axis is None or permutation is None:
        return Effect((place.axis,))
    return Effect((list(permutation).index(place.axis),))


def _reshape(place: Place) -> Effect:
    axis, target = place.axis, place.facts.integers(place.node, 1)
    if axis is None or not target:
        return Effect((axis,))
    if axis < len(target) and target[axis] == 0 and not attribute(place.node, "allowzero", 0):
        return Effect((axis,))
    given = place.facts.shape(place.node.input[0])
    rows = None if given is None else given[axis]
    if axis < len(target) and target[axis] == rows and rows is not None:
        return Effect((axis,))
    if -1 not in target:
        return Effect((None,), _MOVES)
    free = target.index(-1)
    before = [size for size in target[:free] if size != 1]
    is_whole = _row_size(given, axis) in (None, math.prod(target[free + 1 :]))
    if axis == 0 and not before and is_whole:
        return Effect((free,))
    return Effect((free,), _MOVES if axis == 0 else "")


def _row_size(shape: tuple[int | None, ...] | None, axis: int) -> int | None:
    """How many elements a row has after the axis of the rows; None if that is not known."""
    if shape is None or None in shape[axis + 1 :]:
        return None
    return math.prod(size for size in shape[axis + 1 :] if size is not None)


def _flatten(place: Place) -> Effect:
    split = place.counted(attribute(place.node, "axis", 1))
    if place.axis is None or (place.axis == 0 and split == 1):
        return Effect((place.axis,))
    return Effect((0 if place.axis < split else 1,), _MOVES)


def _unsqueeze(place: Place) -> Effect:
    axes = attribute(place.node, "axes") or place.facts.integers(place.node, 1)
    if place.axis is None or not axes:
        return Effect((place.axis,))
    rank = place.rank()
    total = len(axes) + (rank or 0)
    added = {axis + total if axis < 0 and rank is not None else axis for axis in axes}
    kept = [axis for axis in range(place.axis + len(axes) + 1) if axis not in added]
    return Effect((kept[place.axis],))


def _squeeze(place: Place) -> Effect:
    axes = attribute(place.node, "axes") or place.facts.integers(place.node, 1)
    if place.axis is None or not axes:
        return Effect((place.axis,))
    axis = place.axis
    return Effect((axis - sum(place.counted(one) < axis for one in axes),))


def _matmul(place: Place) -> Effect:
    left, right = (*place.axes, None, None)[:2]
    left_rank, right_rank = place.rank(0), place.rank(1)
    if left_rank is None or right_rank is None:
        return Effect((left if left is not None else right,))
    rank = max(left_rank, right_rank)
    if left is not None and left == left_rank - 1:
        return Effect((None,), _SUMS)
    if right is not None and right == max(0, right_rank - 2):
        return Effect((None if left is None else left + rank - left_rank,), _SUMS)
    found = {
        axis + rank - own
        for axis, own in ((left, left_rank), (right, right_rank))
        if axis is not None
    }
    return Effect((min(found, default=None),), "sets rows against rows" if len(found) > 1 else "")


def _gemm(place: Place) -> Effect:
    left, right = (*place.axes, None, None)[:2]
    if left is not None and attribute(place.node, "transA", 0):
        left = 1 - left
    if right is not None and attribute(place.node, "transB", 0):
        right = 1 - right
    if left == 1 or right == 0:
        return Effect((0 if left == 0 else None,), _SUMS)
    if left is not None and right is not None:
        return Effect((0,), "sets rows against rows")
    return Effect((left if left is not None else right,))


def _einsum(place: Place) -> Effect:
    inputs, _, output = attribute(place.node, "equation", b"").decode().partition("->")
    terms = [term.strip() for term in inputs.split(",")]
    labels = {
        term[axis]
        for term, axis in zip(terms, place.axes, strict=False)
        if axis is not None and "." not in term and axis < len(term)
    }
    if not labels or "." in output:
        return Effect((place.axis,))
    if len(labels) > 1:
        return Effect((0,), "sets rows against rows")
    label = labels.pop()
    if label not in output:
        return Effect((None,), _SUMS)
    return Effect((output.strip().index(label),))


MOVING_RULES: dict[str, Callable[[Place], Effect]] = {
    "Transpose": _transpose,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "MatMul": _matmul,
    "Gemm": _gemm,
    "Einsum": _einsum,
}
