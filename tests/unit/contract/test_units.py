from __future__ import annotations

import subprocess
import sys

import pytest

from bridge.contract.unit_expression import FACTORS_MAX, UNIT_CHARS_MAX, UnitError, factors
from bridge.contract.units import KEPT_MAX, Units

CONVERTED = [
    ("mm", "inch", 25.4, 1.0),
    ("t/ha", "kg/ha", 2.0, 2000.0),
    ("lb/acre", "kg/ha", 100.0, 112.08466727943147),
    ("MJ/m²/day", "W/m^2", 8.64, 100.0),
    ("kPa/°C", "Pa/K", 1.5, 1500.0),
    ("W/(m² K)", "W/m²/°C", 3.0, 3.0),
    ("m s^-1", "km/h", 10.0, 36.0),
    ("1/s", "Hz", 3.0, 3.0),
    ("per minute", "1/hour", 2.0, 120.0),
    ("kg·m", "kg m", 2.0, 2.0),
    # Offsets: exact at the ends of ranges.
    ("degC", "degF", 100.0, 212.0),
    ("°F", "°C", 212.0, 100.0),
    ("degF", "degC", 32.0, 0.0),
    ("degC", "K", 25.0, 298.15),
    ("K", "degC", 273.15, 0.0),
    ("delta_degF", "delta_degC", 9.0, 5.0),
    # Shares.
    ("dimensionless", "%", 0.35, 35.0),
    ("%", "1", 35.0, 0.35),
    ("percent", "", 1.0, 0.01),
    ("ppm", "%", 10_000.0, 1.0),
    # Only differences of degrees have a rate.
    ("delta_degC/km", "K/m", 6.5, 0.0065),
]
NOT_CONVERTED = {
    ("kg", "m"): "'kg' does not convert to 'm'",
    # A slope of 45 degrees is 100 %, not 78.5; revolutions are no hertz.
    ("degree", "%"): "'degree' does not convert to '%'",
    ("rpm", "Hz"): "'rpm' does not convert to 'Hz'",
    # A millimetre of rain is a kilogram of water, whatever the contract says of maize.
    ("kg/m²", "mm"): "'kg/m²' does not convert to 'mm'",
    ("furlonk", "m"): "unknown unit 'furlonk'",
    ("kg/furlonk", "kg/m"): "unknown unit 'furlonk' in 'kg/furlonk'",
    ("m", "furlonk"): "unknown unit 'furlonk'",
    ("dB", "m"): "unknown unit 'dB'",
    ("mdegC", "K"): "unknown unit 'mdegC'",
    ("Ym^9 Ym^9 Ym^9", "ym^9 ym^9 ym^9"): "the units differ by more than a double can hold",
}
NO_UNITS = [
    "kg//ha", "*kg", "kg/", "(kg", "kg)", "()", "kg (", "9**9", "2 kg", "m^10", "m^0", "m^m",
    "m**-", "kg-m", "kg+m", "kg;m", "__import__('os')", "m\u202e", "^2", "kg m)", "1", "per",
    " ".join(["m"] * (FACTORS_MAX + 1)), "m" * (UNIT_CHARS_MAX + 1),
]  # fmt: skip


@pytest.fixture(scope="module")
def units() -> Units:
    return Units()


@pytest.mark.parametrize(("source", "target", "value", "expected"), CONVERTED)
def test_a_value_is_converted(
    units: Units, source: str, target: str, value: float, expected: float
) -> None:
    assert units.conversion(source, target).apply(value) == expected


@pytest.mark.parametrize(("pair", "message"), NOT_CONVERTED.items())
def test_what_does_not_convert_is_refused(
    units: Units, pair: tuple[str, str], message: str
) -> None:
    with pytest.raises(UnitError) as raised:
        units.conversion(*pair)
    assert str(raised.value) == message


@pytest.mark.parametrize("text", [text for text in NO_UNITS if text != "1"])
def test_what_is_not_a_unit_is_not_read(text: str) -> None:
    with pytest.raises(UnitError):
        factors(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kg/ha", [("kg", 1), ("ha", -1)]),
        ("kg/ha/day", [("kg", 1), ("ha", -1), ("day", -1)]),
        ("kg/(ha day)", [("kg", 1), ("ha", -1), ("day", -1)]),
        ("kg/ha day", [("kg", 1), ("ha", -1), ("day", 1)]),
        ("W/(m²·(K/s))", [("W", 1), ("m", -2), ("K", -1), ("s", 1)]),
        ("m⁻³", [("m", -3)]),
        ("m**-2", [("m", -2)]),
        ("bushel per acre", [("bushel", 1), ("acre", -1)]),
        ("1/s", [("s", -1)]),
        ("1", []),
        ("dimensionless", []),
    ],
)
def test_a_unit_is_read_from_the_left(text: str, expected: list[tuple[str, int]]) -> None:
    assert factors(text) == expected


@pytest.mark.parametrize(
    ("source", "target", "weight", "value", "expected"),
    [
        # A bushel of 56 lb is 25.40117272 kg, an acre 0.404687... ha (survey foot, as pint has it).
        ("bushel/acre", "kg/ha", 56.0, 180.0, 11298.134461766691),
        ("bushel/acre", "kg/ha", 60.0, 180.0, 12105.144066178598),
        ("bushel", "lb", 56.0, 2.0, 112.0),
        ("kg/ha", "bushel/acre", 56.0, 11298.134461766691, 180.0),
        ("lb", "bu", 60.0, 120.0, 2.0),
    ],
)
def test_bushels_are_weighed_by_their_test_weight(
    units: Units, source: str, target: str, weight: float, value: float, expected: float
) -> None:
    conversion = units.conversion(source, target)
    converted = conversion.apply(value, weight)
    assert (conversion.needs_test_weight, converted) == (True, pytest.approx(expected, rel=1e-15))


def test_bushels_without_a_test_weight_are_not_converted(units: Units) -> None:
    with pytest.raises(ValueError, match="test weight"):
        units.conversion("bushel", "kg").apply(1.0)


def test_units_written_alike_need_not_be_known() -> None:
    units = Units()
    same = units.conversion("pH", "pH")
    assert (same.apply(6.5), units.is_loaded) == (6.5, False)


def test_what_is_kept_of_conversions_is_bounded(units: Units) -> None:
    prefixes = ("k", "M", "G", "T", "m", "u", "n", "c", "d", "h")
    lengths = [f"{prefix}m" for prefix in prefixes]
    areas = [f"{one} {other}" for one in lengths for other in lengths]
    for source in areas:
        for target in areas[: KEPT_MAX // len(areas) + 2]:
            units.conversion(source, target)
    assert len(units._conversions) <= KEPT_MAX


def test_pint_is_loaded_by_the_first_conversion_only() -> None:
    program = (
        "import sys, bridge.gateway.process, workers.process\n"
        "from bridge.contract.units import Units\n"
        "units = Units()\n"
        "units.conversion('kg', 'kg')\n"
        "print('pint' in sys.modules)\n"
        "units.conversion('kg', 'g')\n"
        "print('pint' in sys.modules)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30
    )
    assert result.stdout.split() == ["False", "True"]
