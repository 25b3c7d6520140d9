"""Valid rows made from the contract alone, from a seed: ordinary ones and a share of edge rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from loadtest.body_source import Drawn, check_count
from loadtest.datatypes import DTYPES, Array
from loadtest.errors import BadRows
from loadtest.server_model import Rules, ServerModel, Tensor
from loadtest.value_maker import ValueMaker

EDGE_SHARE_DEFAULT = 0.05
VARIABLE_SIZE_DEFAULT = 8
VALUES_PER_BODY_MAX = 50_000_000
SCATTERED_SHARE = 0.5


class SyntheticRows:
    """Rows from ranges, categories and datatypes.

    `edge_share` of the rows are edge rows. Half of these hold the same edge in every value (all
    lowest, all highest, all zero, ...); in the other half about every second value is an edge: a
    bound, the value next to it, a zero, a subnormal number, null where it is allowed.
    `variable_size` is the size of dimensions that may vary.
    """

    def __init__(
        self,
        model: ServerModel,
        *,
        seed: int = 0,
        edge_share: float = EDGE_SHARE_DEFAULT,
        variable_size: int = VARIABLE_SIZE_DEFAULT,
    ) -> None:
        if not 0 <= edge_share <= 1:
            raise BadRows(f"edge_share: {edge_share} is not between 0 and 1")
        if variable_size < 1:
            raise BadRows(f"variable_size: {variable_size} is below 1")
        self._model = model
        self._described = {
            "kind": "synthetic",
            "seed": seed,
            "edge_share": edge_share,
            "variable_size": variable_size,
        }
        self._edge_share = edge_share
        self._random = np.random.default_rng(seed)
        self._makers = [_TensorMaker(tensor, variable_size) for tensor in model.inputs]
        self._edges_most = max(maker.edges_most for maker in self._makers)

    def draw(self, count: int) -> Drawn:
        check_count(self._model, count)
        values = count * sum(maker.row_values for maker in self._makers)
        if values > VALUES_PER_BODY_MAX:
            raise BadRows(f"{values} values in one body, at most {VALUES_PER_BODY_MAX} are made")
        random = self._random
        at = np.flatnonzero(random.random(count) < self._edge_share)
        # The same choice for all inputs, so that a row is at its lowest in every one of them.
        same = np.where(
            random.random(len(at)) < 0.5, random.integers(self._edges_most, size=len(at)), -1
        )
        return Drawn({maker.name: maker.make(random, count, at, same) for maker in self._makers})

    def describe(self) -> dict[str, Any]:
        return dict(self._described)


class _TensorMaker:
    """Makes one input."""

    def __init__(self, tensor: Tensor, variable_size: int) -> None:
        self.name = tensor.name
        self._dtype = DTYPES[tensor.datatype]
        self._row_shape = _row_shape(tensor, variable_size)
        self.row_values = math.prod(self._row_shape)
        self._columns = [
            ValueMaker(tensor.datatype, rules, where) for where, rules in _rules_by_column(tensor)
        ]
        self.edges_most = max(len(column.edges) for column in self._columns)

    def make(self, random: np.random.Generator, count: int, at: Array, same: Array) -> Array:
        """Return `count` rows; those `at` are edge rows, all of edge `same` where it is not -1."""
        columns = len(self._columns)
        per_column = self.row_values // columns
        array = np.empty((count, per_column, columns), dtype=self._dtype)
        for index, column in enumerate(self._columns):
            values = column.ordinary(random, count * per_column).reshape(count, per_column)
            array[:, :, index] = values
        if len(at):
            self._put_edges(random, array, at, same)
        return array.reshape(count, *self._row_shape)

    def _put_edges(self, random: np.random.Generator, array: Array, at: Array, same: Array) -> None:
        rows = array[at]
        is_edge = (random.random(rows.shape) < SCATTERED_SHARE) | (same >= 0)[:, None, None]
        # At least one, or a row of one value would be an edge row only half of the time.
        flat = is_edge.reshape(len(at), -1)
        flat[np.arange(len(at)), random.integers(flat.shape[1], size=len(at))] = True
        for index, column in enumerate(self._columns):
            scattered = random.integers(len(column.edges), size=rows.shape[:2])
            choice = np.where((same >= 0)[:, None], same[:, None] % len(column.edges), scattered)
            wanted = is_edge[:, :, index]
            rows[:, :, index][wanted] = column.edges[choice][wanted]
        array[at] = rows


def _row_shape(tensor: Tensor, variable_size: int) -> tuple[int, ...]:
    shape = [variable_size if size == -1 else size for size in tensor.row_shape]
    if tensor.columns and tensor.row_shape[-1:] == (-1,):
        shape[-1] = len(tensor.columns)
    return tuple(shape)


def _rules_by_column(tensor: Tensor) -> list[tuple[str, Rules]]:
    """Where to say what is wrong, and the rules: of each column, or the tensor's own."""
    where = f"input {tensor.name!r}"
    if not tensor.column_rules:
        return [(where, tensor.rules)]
    return [
        (f"{where}, column {column!r}", tensor.column_rules.get(column, tensor.rules))
        for column in tensor.columns
    ]
