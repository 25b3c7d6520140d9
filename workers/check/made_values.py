"""Values that a tensor's contract allows: drawn, extreme, missing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from bridge.contract.model import TensorSpec, ValueRules

WORDS = ("wheat", "7", "maize is high", "", "ärger", "a", "rain and more rain", "3.5")
LONG_TEXT = "a long text of many words " * 8


@dataclass(frozen=True, slots=True)
class OpenValues:
    """What stands for a range that the contract leaves open.

    `integer_max`: integers go from 0 to it. `scales`: of normally distributed floating values.
    `extreme`: of floating values, as a maximum.
    """

    integer_max: int
    scales: tuple[float, ...]
    extreme: float


# In a worker that is about to serve, nothing is tried that the contract does not name: an integer
# may be a code that ends the process or a size that fills the memory.
CAUTIOUS = OpenValues(integer_max=0, scales=(1.0,), extreme=100.0)
BOLD = OpenValues(integer_max=9, scales=(1.0, 10.0, 100.0), extreme=1e6)


class ValueMaker:
    """Makes values for one tensor; each method takes the rules of the column it is for."""

    def __init__(self, spec: TensorSpec, open_values: OpenValues) -> None:
        self._kind = spec.type.kind
        self._dtype: np.dtype[Any] = spec.type.dtype
        self._open = open_values

    def drawn(self, rules: ValueRules, generator: np.random.Generator) -> Any:
        """Return a value at random."""
        choices = self._choices(rules)
        if choices:
            return choices[int(generator.integers(len(choices)))]
        low, high = self._bounds(rules)
        if self._kind == "integer":
            return int(generator.integers(int(low), int(high), endpoint=True))
        if rules.range is not None and math.isfinite(rules.range[0] + rules.range[1]):
            share = generator.random()
            return low * (1 - share) + high * share  # high − low may be too large
        scale = self._open.scales[int(generator.integers(len(self._open.scales)))]
        return min(max(generator.normal() * scale, low), high)

    def zero(self, rules: ValueRules) -> Any:
        """Return zero, or what is nearest to it; the first category; no text; false."""
        choices = self._choices(rules)
        if choices:
            return "" if rules.categories is None and self._kind == "bytes" else choices[0]
        low, high = self._bounds(rules)
        return min(max(0, low), high)

    def highest(self, rules: ValueRules) -> Any:
        """Return the largest value, the last category, a long text, true."""
        choices = self._choices(rules)
        if choices:
            is_open_text = rules.categories is None and self._kind == "bytes"
            return LONG_TEXT if is_open_text else choices[-1]
        return self._bounds(rules)[1]

    def lowest(self, rules: ValueRules) -> Any:
        """Return the smallest value, the first category, no text, false."""
        if self._choices(rules):
            return self.zero(rules)
        return self._bounds(rules)[0]

    def null(self, rules: ValueRules) -> Any:
        """Return NaN, and zero where it is refused or cannot be.

        A contract that says nothing of nulls lets a binary body carry them.
        """
        if self._kind == "floating" and rules.nulls not in ("refuse", "default"):
            return math.nan
        return self.zero(rules)

    def _choices(self, rules: ValueRules) -> tuple[Any, ...]:
        if rules.categories:
            return rules.categories
        return {"bytes": WORDS, "bool": (False, True)}.get(self._kind, ())

    def _bounds(self, rules: ValueRules) -> tuple[Any, Any]:
        """The range within the datatype, closed where the contract leaves it open."""
        low, high = rules.range or (-math.inf, math.inf)
        if self._kind == "integer":
            info = np.iinfo(self._dtype)
            first = max(math.ceil(low), info.min) if math.isfinite(low) else min(0, _floor(high))
            last = _floor(high) if math.isfinite(high) else max(0, first) + self._open.integer_max
            return first, min(last, int(info.max))
        largest = float(np.finfo(self._dtype).max)
        extreme = min(self._open.extreme, largest)
        first_f = max(low, -largest) if math.isfinite(low) else min(-extreme, high)
        last_f = min(high, largest) if math.isfinite(high) else max(extreme, low)
        return first_f, last_f


def _floor(bound: float) -> int:
    return math.floor(bound) if math.isfinite(bound) else 0
