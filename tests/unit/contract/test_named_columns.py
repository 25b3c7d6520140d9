from __future__ import annotations

import pytest

from bridge.contract.model import TensorSpec, ValueRules
from bridge.contract.named_columns import COMPARED_MAX, did_you_mean, is_single, rules_by_value


def spec(*row_shape: int, columns: tuple[str, ...] = ()) -> TensorSpec:
    rules = {name: ValueRules(unit=name) for name in columns[:1]}
    return TensorSpec(
        name="x", datatype="FP32", shape=(-1, *row_shape), columns=columns, column_rules=rules
    )


@pytest.mark.parametrize(
    ("tensor", "names"),
    [
        (spec(), ["x"]),
        (spec(3), ["x"]),
        (spec(2, columns=("a", "b")), ["x.a", "x.b"]),
        # Names along the last of several axes are no names of single values.
        (spec(4, 2, columns=("a", "b")), ["x"]),
    ],
)
def test_the_names_of_an_outputs_values(tensor: TensorSpec, names: list[str]) -> None:
    assert list(rules_by_value(tensor)) == names


def test_each_value_has_the_rules_of_its_column() -> None:
    rules = rules_by_value(spec(2, columns=("a", "b")))
    assert {name: rule.unit for name, rule in rules.items()} == {"x.a": "a", "x.b": None}


@pytest.mark.parametrize(("row_shape", "expected"), [((), True), ((1, 1), True), ((2,), False)])
def test_a_row_of_one_value(row_shape: tuple[int, ...], expected: bool) -> None:
    assert is_single(spec(*row_shape)) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mean raduis", "; did you mean 'mean radius' or 'mean area'?"),
        ("MEAN AREA", "; did you mean 'mean area' or 'mean radius'?"),
        ("zzz", ""),
        ("", ""),
    ],
)
def test_the_nearest_names_are_suggested(name: str, expected: str) -> None:
    assert did_you_mean(name, ["crop", "mean radius", "mean area"]) == expected


def test_so_many_names_are_compared_and_no_more() -> None:
    known = [f"#{number}" for number in range(COMPARED_MAX)] + ["yield"]
    assert "yield" not in did_you_mean("yeild", known)
