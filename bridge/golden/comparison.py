"""What is expected of rows beside what came: agreement, and where it ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bridge.contract.model import TensorSpec
from workers.check.agreement import Agreement, Comparison, compare, usual_magnitude
from workers.check.conditioning import NEAR_MAX, NUDGES_WORTH

Array = np.ndarray[Any, np.dtype[Any]]
Tensors = Mapping[str, Array]
# By how much an output moves, relatively, when a row's inputs are nudged.
Moved = Callable[[int, str], float]


@dataclass(frozen=True, slots=True)
class Difference:
    """The first place at which a row is not as expected; `row` is its number in the golden file.

    `column` names the element of the tensor; empty where there is one value.
    """

    row: int
    tensor: str
    column: str
    expected: str
    got: str


@dataclass
class Compared:
    """Rows compared on one way: how many, how well they agree, those that differ, the first ones.

    `differences` hold one for each row that differs, `unanswered` the reason for each row without
    an answer.
    """

    way: str
    rows: int = 0
    agreement: Agreement = Agreement.EXACT
    relative: float = 0.0
    differences: dict[int, Difference] = field(default_factory=dict)
    unanswered: dict[int, str] = field(default_factory=dict)

    @property
    def is_passed(self) -> bool:
        """Whether every row is as expected."""
        return not self.differences and not self.unanswered

    @property
    def first_row(self) -> int | None:
        """The first row that is not as expected."""
        return min([*self.differences, *self.unanswered], default=None)

    def add(
        self,
        numbers: tuple[int, ...],
        expected: Tensors,
        got: Tensors,
        specs: Mapping[str, TensorSpec],
        moved: Moved,
    ) -> None:
        """Compare rows, by their numbers, tensor by tensor, each of shape (rows, ...).

        `moved` is asked about rows by their place here, where a small difference might be rounding.
        """
        self.rows += len(numbers)
        for name, wanted in expected.items():
            for place, comparison in _compared(name, wanted, got[name], moved):
                self.agreement = max(self.agreement, comparison.agreement)
                self.relative = max(self.relative, comparison.relative)
                row = numbers[place]
                if comparison.agreement is Agreement.DIFFERENT and row not in self.differences:
                    self.differences[row] = _difference(
                        row, specs.get(name), name, wanted, got[name], place, comparison.element
                    )


def first_difference(
    row: int, expected: Tensors, got: Tensors, specs: Mapping[str, TensorSpec], place: int
) -> Difference | None:
    """Return where the row at `place` of some tensors, (rows, ...), is not as expected.

    The usual size of an element is taken from all rows. A small difference counts as well.
    """
    for name, wanted in expected.items():
        for found, comparison in _compared(name, wanted, got[name], lambda *_: 0.0):
            if found == place and comparison.agreement is Agreement.DIFFERENT:
                spec = specs.get(name)
                element = comparison.element
                return _difference(row, spec, name, wanted, got[name], place, element)
    return None


def _compared(name: str, expected: Array, got: Array, moved: Moved) -> list[tuple[int, Comparison]]:
    """The rows that are not equal to the bit, by their place."""
    rows = len(expected)
    expected, got = _flat(expected), _flat(got)
    if expected.shape != got.shape:
        return [(place, Comparison(Agreement.DIFFERENT, np.inf, 0)) for place in range(rows)]
    magnitude = usual_magnitude([expected[place] for place in range(rows)])
    found = []
    for place in np.flatnonzero(~_equal(expected, got).all(axis=1)).tolist():
        comparison = compare(expected[place : place + 1], got[place : place + 1], magnitude)
        near = comparison.agreement is Agreement.DIFFERENT and comparison.relative <= NEAR_MAX
        if near and comparison.relative <= NUDGES_WORTH * moved(place, name):
            comparison = Comparison(Agreement.ROUNDING, comparison.relative, comparison.element)
        found.append((place, comparison))
    return found


def _equal(first: Array, second: Array) -> Array:
    equal: Array = np.asarray(first == second)
    if first.dtype.kind == "f" and second.dtype.kind == "f":
        equal = equal | (np.isnan(first) & np.isnan(second))
    return equal


def _flat(array: Array) -> Array:
    """Rows by values; text as str, which is what a table holds."""
    flat = array.reshape(len(array), -1)
    if flat.dtype.kind not in "OSU":
        return flat
    texts = np.empty(flat.size, dtype=object)
    texts[:] = [
        item.decode(errors="replace") if isinstance(item, bytes) else str(item)
        for item in flat.ravel().tolist()
    ]
    return texts.reshape(flat.shape)


def _difference(
    row: int,
    spec: TensorSpec | None,
    name: str,
    expected: Array,
    got: Array,
    place: int,
    element: int,
) -> Difference:
    wanted, found = _flat(expected), _flat(got)
    if wanted.shape[1:] != found.shape[1:]:
        sizes = (f"{wanted.shape[1]} values", f"{found.shape[1]} values")
        return Difference(row, name, "", *sizes)
    texts = (repr(wanted[place].tolist()[element]), repr(found[place].tolist()[element]))
    return Difference(row, name, _column(spec, expected.shape[1:], element), *texts)


def _column(spec: TensorSpec | None, row_shape: tuple[int, ...], element: int) -> str:
    if spec is not None and spec.columns:
        return spec.columns[element % len(spec.columns)]
    if all(size == 1 for size in row_shape):
        return ""
    return ".".join(str(int(index)) for index in np.unravel_index(element, row_shape))
