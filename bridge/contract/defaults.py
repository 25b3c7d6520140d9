"""What stands in for a value that is null or was not sent."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bridge.contract.invalid import InvalidInput, shown
from bridge.contract.json_kinds import EXPECTED, JSON_TYPES
from bridge.contract.model import TensorSpec, ValueRules
from bridge.contract.values import ValueCheck


def null_value(rules: ValueRules) -> Any:
    """Return what stands for a null: the default, or NaN; None where a null is not accepted."""
    if rules.nulls == "default":
        return rules.default
    return math.nan if rules.nulls == "allow" else None


def missing_value(rules: ValueRules) -> Any:
    """Return what stands for a value that is not sent; None where it must be."""
    return null_value(rules) if rules.default is None else rules.default


def default_fault(spec: TensorSpec, rules: ValueRules) -> str | None:
    """Return why a tensor, or the column with these rules, cannot have its default; None if it can.

    A default has to be a value that a caller might send.
    """
    value = rules.default
    if value is None:
        return (
            "nulls are to be the default, and there is none" if rules.nulls == "default" else None
        )
    if type(value) not in JSON_TYPES[spec.type.kind]:
        return f"{shown(value)!r} is not {EXPECTED[spec.type.kind]}"
    single = TensorSpec(name=spec.name, datatype=spec.datatype, shape=(-1,), rules=rules)
    try:
        with np.errstate(over="ignore"):
            array = np.array([value], dtype=spec.type.dtype)
        if spec.type.kind == "floating" and not np.isfinite(array).all():
            return f"{shown(value)} is not a finite {spec.datatype}"
        ValueCheck(single).check(array)
    except OverflowError:
        return f"{shown(value)} is outside {spec.datatype}"
    except InvalidInput as error:
        return error.message
    return None
