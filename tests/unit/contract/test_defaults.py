from __future__ import annotations

import math

import numpy as np
import pytest

from bridge.contract.declaration import DeclarationError, parse_declaration
from bridge.contract.defaults import missing_value, null_value
from bridge.contract.model import TensorSpec, ValueRules
from bridge.contract.values import ValueCheck

WRONG = {
    'datatype = "FP32"\nnulls = "default"': "nulls are to be the default, and there is none",
    'datatype = "FP32"\ndefault = "a"': "'a' is not a number",
    'datatype = "FP32"\ndefault = true': "'True' is not a number",
    'datatype = "FP32"\ndefault = 1e39': "1e+39 is not a finite FP32",
    'datatype = "FP32"\ndefault = nan': "nan is not a finite FP32",
    'datatype = "FP64"\nrange = [0, 1]\ndefault = 2.0': "input x, row 0: 2.0 is outside [0, 1]",
    'datatype = "INT8"\ndefault = 300': "300 is outside INT8",
    'datatype = "INT8"\ndefault = 1.0': "'1.0' is not a whole number",
    'datatype = "BYTES"\ncategories = ["a"]\ndefault = "b"': "input x, row 0: b is not one of a",
    'datatype = "BOOL"\ndefault = 0': "'0' is not true or false",
}


@pytest.mark.parametrize(("text", "message"), WRONG.items())
def test_a_default_must_be_a_value_that_callers_could_send(text: str, message: str) -> None:
    declaration = parse_declaration(f"[inputs.x]\n{text}".encode())
    with pytest.raises(DeclarationError) as raised:
        declaration.caller_inputs(None, replaced=False)
    assert str(raised.value) == f"inputs.x.default: {message}"


@pytest.mark.parametrize(
    ("text", "default"),
    [
        ('datatype = "FP32"\ndefault = 1', 1),
        ('datatype = "INT64"\nnulls = "default"\ndefault = 7', 7),
        ('datatype = "BYTES"\ndefault = "maize"', "maize"),
        ('datatype = "BOOL"\ndefault = false', False),
    ],
)
def test_a_default_is_kept_in_the_contract(text: str, default: object) -> None:
    (spec,) = parse_declaration(f"[inputs.x]\n{text}".encode()).caller_inputs(None, replaced=False)
    assert spec.rules.default == default


@pytest.mark.parametrize(
    ("rules", "null", "missing"),
    [
        (ValueRules(), None, None),
        (ValueRules(nulls="refuse"), None, None),
        (ValueRules(nulls="refuse", default=1.0), None, 1.0),
        (ValueRules(nulls="default", default=1.0), 1.0, 1.0),
        (ValueRules(nulls="allow", default=1.0), math.nan, 1.0),
        (ValueRules(nulls="allow"), math.nan, math.nan),
    ],
)
def test_what_stands_for_a_null_and_for_a_value_that_is_not_sent(
    rules: ValueRules, null: float | None, missing: float | None
) -> None:
    found = (null_value(rules), missing_value(rules))
    assert repr(found) == repr((null, missing))


def test_nulls_in_a_tensor_become_the_default_of_their_column() -> None:
    rules = {"a": ValueRules(nulls="default", default=2), "b": ValueRules(nulls="allow")}
    spec = TensorSpec(
        name="x", datatype="FP32", shape=(-1, 2), columns=("a", "b"), column_rules=rules
    )
    array = np.array([[np.nan, np.nan], [1, 3]], np.float32)
    array.flags.writeable = False
    accepted = ValueCheck(spec).accepted(array)
    assert (accepted.tolist()[1], accepted[0, 0], np.isnan(accepted[0, 1]), accepted.dtype) == (
        [1, 3],
        2,
        True,
        np.float32,
    )


def test_rows_without_nulls_are_not_copied() -> None:
    spec = TensorSpec(
        name="x", datatype="FP64", shape=(-1,), rules=ValueRules(nulls="default", default=2)
    )
    array = np.array([1.0])
    assert ValueCheck(spec).accepted(array) is array
