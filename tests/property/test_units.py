"""Conversions between units, over generated units and values."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bridge.contract.unit_expression import FACTORS_MAX, UNIT_CHARS_MAX, UnitError, factors
from bridge.contract.units import Units

# One for all: loading what units mean takes a second.
UNITS = Units()

LENGTHS = ("m", "km", "mm", "inch", "foot", "mile", "yard")
MASSES = ("kg", "g", "lb", "tonne", "oz")
TIMES = ("s", "minute", "hour", "day", "week")
TEMPERATURES = ("K", "degC", "degF", "degR")
YIELDS = ("kg/ha", "t/ha", "lb/acre", "g/m²", "kg m^-2")
GRAIN = ("bushel/acre", "bu/ha", "bushel/m²")

same_kind = st.one_of(
    [st.tuples(st.sampled_from(kind), st.sampled_from(kind)) for kind in (LENGTHS, MASSES, TIMES)]
    + [st.tuples(st.sampled_from(YIELDS), st.sampled_from(YIELDS))]
)
compound = st.lists(
    st.tuples(st.sampled_from((*LENGTHS, *MASSES, *TIMES)), st.integers(-3, 3).filter(bool)),
    min_size=1,
    max_size=4,
)
numbers = st.floats(-1e12, 1e12).filter(lambda value: value == 0 or abs(value) > 1e-12)


def close(one: float, other: float, *, scale: float = 0.0) -> bool:
    return math.isclose(one, other, rel_tol=1e-12, abs_tol=scale * 1e-12)


def written(powers: list[tuple[str, int]], style: int) -> str:
    mark = ("^", "**", "^")[style % 3]
    joint = (" ", "*", "·")[style % 3]
    return joint.join(name if n == 1 else f"{name}{mark}{n}" for name, n in powers)


@given(same_kind, numbers)
def test_there_and_back_is_where_it_began(pair: tuple[str, str], value: float) -> None:
    there, back = UNITS.conversion(*pair), UNITS.conversion(*pair[::-1])
    assert close(back.apply(there.apply(value)), value)


@given(st.sampled_from(TEMPERATURES), st.sampled_from(TEMPERATURES), st.floats(-500, 5000))
def test_temperatures_come_back(one: str, other: str, value: float) -> None:
    there, back = UNITS.conversion(one, other), UNITS.conversion(other, one)
    assert close(back.apply(there.apply(value)), value, scale=1000)


@given(same_kind, st.sampled_from(LENGTHS), numbers)
def test_a_detour_ends_at_the_same_value(pair: tuple[str, str], divisor: str, value: float) -> None:
    source, target = (f"{one}/{divisor}" for one in pair)
    direct = UNITS.conversion(*pair).apply(value)
    assert close(UNITS.conversion(source, target).apply(value), direct)


@given(compound, st.integers(0, 2), st.integers(0, 2), numbers)
def test_a_unit_written_in_two_ways_is_the_same(
    powers: list[tuple[str, int]], one: int, other: int, value: float
) -> None:
    conversion = UNITS.conversion(written(powers, one), written(powers, other))
    assert conversion.apply(value) == value


@given(compound, numbers)
def test_what_is_in_the_divisor_has_the_opposite_exponent(
    powers: list[tuple[str, int]], value: float
) -> None:
    divided = f"1/({written(powers, 0)})"
    turned = written([(name, -n) for name, n in powers], 0)
    assert UNITS.conversion(divided, turned).apply(value) == value


@given(st.sampled_from(GRAIN), st.sampled_from(YIELDS), st.floats(20, 80), st.floats(0.001, 1e6))
def test_bushels_come_back_by_the_same_test_weight(
    grain: str, mass: str, weight: float, value: float
) -> None:
    there, back = UNITS.conversion(grain, mass), UNITS.conversion(mass, grain)
    assert close(back.apply(there.apply(value, weight), weight), value)


@given(st.sampled_from(GRAIN), st.sampled_from(YIELDS), st.lists(st.floats(20, 80), min_size=1))
def test_many_rows_are_converted_like_each_alone(
    grain: str, mass: str, weights: list[float]
) -> None:
    conversion = UNITS.conversion(grain, mass)
    values = np.linspace(1, 200, len(weights))
    alone = [conversion.apply(v, w) for v, w in zip(values.tolist(), weights, strict=True)]
    assert conversion.apply(values, np.array(weights)).tolist() == alone


@given(
    st.integers(-(10**6), 10**6), st.sampled_from([("inch", "mm"), ("foot", "m"), ("degF", "degC")])
)
def test_conversions_are_as_exact_as_fractions(value: int, pair: tuple[str, str]) -> None:
    exact = {
        ("inch", "mm"): Fraction(254, 10) * value,
        ("foot", "m"): Fraction(3048, 10_000) * value,
        ("degF", "degC"): Fraction(5, 9) * (value - 32),
    }[pair]
    assert UNITS.conversion(*pair).apply(float(value)) == float(exact)


@given(st.text(max_size=UNIT_CHARS_MAX + 10) | st.text("kgm/*^()²·1- per°%", max_size=30))
def test_any_text_is_a_unit_of_bounded_size_or_refused(text: str) -> None:
    try:
        found = factors(text)
    except UnitError:
        return
    assert len(found) <= FACTORS_MAX
    assert all(1 <= abs(power) <= 9 for _, power in found)


@given(st.text("kgmsalbhou/*^()² 1-°%", max_size=20), st.sampled_from(["kg/ha", "°C", "%", "pH"]))
def test_any_text_converts_or_is_refused(text: str, target: str) -> None:
    try:
        conversion = UNITS.conversion(text, target)
    except UnitError:
        return
    assert math.isfinite(conversion.factor)
