"""Made-up rows: whatever the contract says, it accepts them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from bridge.contract.datatype import DATATYPES
from bridge.contract.example import VARIABLE_SIZE_ASSUMED, example_rows
from bridge.contract.model import TensorSpec, ValueRules
from bridge.contract.values import ValueCheck

RULES: dict[str, tuple[str, ValueRules]] = {
    "a range": ("FP32", ValueRules(range=(0.1, 0.3))),
    "a range of one value": ("FP32", ValueRules(range=(0.1, 0.1))),
    "a range of whole numbers": ("INT64", ValueRules(range=(1, 366))),
    "a negative range of whole numbers": ("INT8", ValueRules(range=(-3, -2))),
    "a range wider than the datatype": ("UINT8", ValueRules(range=(0, 1e9))),
    "a range wider than half precision": ("FP16", ValueRules(range=(0, 1e9))),
    "the widest range": ("FP64", ValueRules(range=(-1.7e308, 1.7e308))),
    "a range open above": ("FP64", ValueRules(range=(5, math.inf))),
    "a range open below": ("INT32", ValueRules(range=(-math.inf, -5))),
    "a range open on both sides": ("FP32", ValueRules(range=(-math.inf, math.inf))),
    "categories of text": ("BYTES", ValueRules(categories=("maize", "wheat"))),
    "categories of whole numbers": ("INT32", ValueRules(categories=(3, 5))),
    "no nulls": ("FP32", ValueRules(nulls="refuse")),
}


def spec(datatype: str, *shape: int, **more: Any) -> TensorSpec:
    return TensorSpec(name="x", datatype=datatype, shape=shape, **more)


@pytest.mark.parametrize("case", RULES)
def test_the_rules_accept_the_value_that_is_made_up_from_them(case: str) -> None:
    datatype, rules = RULES[case]
    tensor = spec(datatype, -1, 2, rules=rules)
    array = example_rows(tensor, 2)
    ValueCheck(tensor).check(array)
    assert array.dtype == object or np.isfinite(array).all()


def test_each_column_takes_its_own_middle() -> None:
    tensor = spec(
        "FP32",
        -1,
        3,
        columns=("rain", "slope", "day"),
        column_rules={
            "rain": ValueRules(range=(0, 4000)),
            "slope": ValueRules(range=(-1, 0)),
        },
    )
    assert example_rows(tensor, 2).tolist() == [[2000, -0.5, 0]] * 2


@pytest.mark.parametrize("datatype", DATATYPES)
def test_without_rules_every_datatype_has_an_example(datatype: str) -> None:
    array = example_rows(spec(datatype, -1, 2), 1)
    assert (array.shape, array.dtype) == ((1, 2), DATATYPES[datatype].dtype)


def test_a_variable_dimension_gets_an_assumed_size() -> None:
    assert example_rows(spec("FP32", -1, -1, 2), 3).shape == (3, VARIABLE_SIZE_ASSUMED, 2)
