"""The names under which the values of a model's rows are known, online and in files."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from heapq import nlargest
from itertools import islice, pairwise

from bridge.contract.invalid import ECHO_CHARS_MAX, shown
from bridge.contract.model import TensorSpec, ValueRules

# Of names that are compared with one that is unknown, and of those compared closely: difflib takes
# up to a millisecond for two long names of few letters, 280 ms for 256 of them (measured).
COMPARED_MAX = 512
LIKELY_MAX = 6
SUGGESTED_MAX = 3


def column_names(spec: TensorSpec) -> tuple[str, ...]:
    """Return the names of a row's values where each has one, else nothing."""
    return spec.columns if len(spec.shape) == 2 else ()


def full_name(spec: TensorSpec, column: str) -> str:
    """Return a column's name that no other tensor's column has."""
    return f"{spec.name}.{column}"


def rules_by_value(spec: TensorSpec) -> dict[str, ValueRules]:
    """Return the names under which an output's values are given to callers, and their rules."""
    columns = column_names(spec)
    if not columns:
        return {spec.name: spec.rules}
    rules = rules_of_columns(spec)
    return {full_name(spec, column): rule for column, rule in zip(columns, rules, strict=True)}


def is_single(spec: TensorSpec) -> bool:
    """Return whether a row is one value."""
    return all(size == 1 for size in spec.row_shape)


def rules_of_columns(spec: TensorSpec) -> tuple[ValueRules, ...]:
    """Return the rules of each place along the last axis, or the tensor's own as the only ones."""
    rules = (spec.column_rules.get(column, spec.rules) for column in spec.columns)
    return tuple(rules) or (spec.rules,)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: those it may be a misspelling of."""
    folded = {_folded(item): item for item in islice(known, COMPARED_MAX)}
    wanted = _folded(name)
    parts = _parts(wanted)
    likely = nlargest(LIKELY_MAX, folded, key=lambda item: len(parts & _parts(item)))
    found = get_close_matches(wanted, likely, n=SUGGESTED_MAX)
    if not found:
        return ""
    return f"; did you mean {' or '.join(repr(shown(folded[item])) for item in found)}?"


def _folded(name: str) -> str:
    return name[:ECHO_CHARS_MAX].casefold()


def _parts(name: str) -> set[str]:
    """Letters and pairs of letters."""
    return {*name, *map("".join, pairwise(name))}
