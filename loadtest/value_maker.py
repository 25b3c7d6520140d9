"""Valid values by the rules of one tensor or column: ordinary ones, and those at the edges."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from loadtest.datatypes import DTYPES, Array, text_array
from loadtest.errors import BadRows
from loadtest.server_model import Rules

# Where a contract gives no range, what a value means is unknown: the datatype's own limits would
# make most models overflow or look up an index that is not there, and the run would measure that.
UNBOUNDED_EXTREME = 1e4
UNBOUNDED_INTEGERS = 100
LETTERS_MAX = 12
_LONG_TEXT_CHARS = 256
_EDGE_TEXTS = (
    "a",
    "e\u0301\u4f60\U0001f33e",
    'say "a:b" \\ {c}',
    "two\nlines",
    "x" * _LONG_TEXT_CHARS,
)


class ValueMaker:
    """Makes the values of one tensor, or of one of its columns.

    `edges` are in the tensor's dtype, the lowest and highest value first.
    """

    def __init__(self, datatype: str, rules: Rules, where: str) -> None:
        self._dtype = DTYPES[datatype]
        self._rules = rules
        self._where = where
        self._low, self._high = _bounds(self._dtype, rules, where)
        self._choices = self._categories()
        self.edges = self._choices if self._choices is not None else self._edges()

    def ordinary(self, random: np.random.Generator, count: int) -> Array:
        """Return `count` values as a caller would send them, in a flat array."""
        kind = self._dtype.kind
        if self._choices is not None:
            chosen: Array = self._choices[random.integers(len(self._choices), size=count)]
            return chosen
        if kind == "b":
            return random.integers(2, size=count).astype(self._dtype)
        if kind == "O":
            return _words(random, count)
        if kind in "iu":
            return random.integers(
                int(self._low), int(self._high), count, dtype=self._dtype, endpoint=True
            )
        return self._floats(random, count)

    def _floats(self, random: np.random.Generator, count: int) -> Array:
        if self._rules.range is None:
            return random.standard_normal(count).astype(self._dtype)
        share = random.random(count)
        # Not low + share * (high - low): that overflows where the range is the whole datatype.
        values = float(self._low) * (1 - share) + float(self._high) * share
        # Rounded to the dtype, a value may lie just outside.
        clipped: Array = np.clip(values.astype(self._dtype), self._low, self._high)
        return clipped

    def _categories(self) -> Array | None:
        if self._rules.categories is None:
            return None
        if self._dtype == object:
            return text_array([str(item) for item in self._rules.categories])
        values = np.array(self._rules.categories).astype(self._dtype)
        values = values if self._dtype.kind == "b" else self._within(values)
        if not len(values):
            raise BadRows(f"{self._where}: no category is within its range")
        return values

    def _edges(self) -> Array:
        kind = self._dtype.kind
        if kind == "b":
            return np.array([False, True])
        if kind == "O":
            return text_array(list(_EDGE_TEXTS))
        low, high = self._low, self._high
        if kind in "iu":
            wanted = [int(low), int(high), 0, 1, -1, int(low) + 1, int(high) - 1]
            kept = dict.fromkeys(value for value in wanted if int(low) <= value <= int(high))
            return np.array(list(kept), dtype=self._dtype)
        tiny = np.finfo(self._dtype).smallest_subnormal
        inner = [np.nextafter(low, high), np.nextafter(high, low)]
        values = np.array([low, high, *inner, 0.0, -0.0, tiny, -tiny], dtype=self._dtype)
        edges = self._within(values)
        if self._rules.nulls == "allow":
            edges = np.append(edges, np.array([np.nan], dtype=self._dtype))
        return edges

    def _within(self, values: Array) -> Array:
        within: Array = values[(values >= self._low) & (values <= self._high)]
        return within


def _bounds(dtype: np.dtype[Any], rules: Rules, where: str) -> tuple[Any, Any]:
    """The lowest and highest value that is sent, in the tensor's dtype; 0 for BOOL and BYTES."""
    if dtype.kind in "bO":
        return 0, 0
    low, high = rules.range or (None, None)
    whole = dtype.kind in "iu"
    info = np.iinfo(dtype) if whole else np.finfo(dtype)
    least, most = (int(info.min), int(info.max)) if whole else (float(info.min), float(info.max))
    if rules.categories is None:
        low, high = _closed(low, high, whole=whole)
    lowest = least if low is None else max(least, math.ceil(low) if whole else low)
    highest = most if high is None else min(most, math.floor(high) if whole else high)
    if lowest > highest:
        raise BadRows(f"{where}: its range {list(rules.range or ())} holds no value")
    return dtype.type(lowest), dtype.type(highest)


def _closed(low: float | None, high: float | None, *, whole: bool) -> tuple[float, float]:
    """Bounds for the sides on which the contract has none."""
    if low is None and high is None:
        return (0, UNBOUNDED_INTEGERS) if whole else (-UNBOUNDED_EXTREME, UNBOUNDED_EXTREME)
    width = UNBOUNDED_INTEGERS if whole else UNBOUNDED_EXTREME
    if low is None:
        assert high is not None
        return high - width, high
    return low, low + width if high is None else high


def _words(random: np.random.Generator, count: int) -> Array:
    words = []
    for length in random.integers(1, LETTERS_MAX, count, endpoint=True).tolist():
        letters = random.integers(ord("a"), ord("z"), length, dtype=np.uint8, endpoint=True)
        words.append(letters.tobytes().decode())
    return text_array(words)
