"""Units of measure: values in a caller's unit to the contract's, exactly where fractions can be.

pint is asked for single names only, so that no caller's text meets its grammar or fills its caches.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from bridge.contract.unit_expression import UnitError, factors, shown_unit
from bridge.contract.unit_meaning import NO_DIMENSION, Meaning

if TYPE_CHECKING:
    from bridge.contract.unit_names import UnitNames

# Of names, and of pairs of units: a busy gateway meets a handful.
KEPT_MAX = 1024
TEST_WEIGHT_UNIT = "pound/bushel"
# A test weight is that of a bushel of grain. Litres and gallons in a contract with commodities
# measure something else: 1 kg/m² of rain is no question of maize.
_BUSHELS = frozenset({"bu", "bushel", "bushels"})

# One value, or many: shape (rows,), FP64.
Values = TypeVar("Values", float, np.ndarray[Any, np.dtype[np.float64]])

_DOUBLE_EXACT_MAX = 2**53


@dataclass(frozen=True, slots=True)
class Conversion:
    """From one unit to another: `(value * factor + addend) / divisor`.

    The three are whole numbers where they fit into a double, so that 212 °F are 100 °C and not
    100.00000000000001, which a range would refuse. `weight_power`: by which power of the
    commodity's test weight, in pounds per bushel, a value is multiplied first: 0 for none.
    """

    factor: float
    addend: float
    divisor: float
    weight_power: int = 0

    def apply(self, values: Values, test_weight: Values | None = None) -> Values:
        """Return the converted values; `test_weight` in pounds per bushel if it is needed.

        Raises:
            ValueError: it is needed and not given.
        """
        if self.weight_power:
            if test_weight is None:
                raise ValueError("bushels are converted by a test weight")
            values = values * test_weight if self.weight_power > 0 else values / test_weight
        return (values * self.factor + self.addend) / self.divisor

    @property
    def needs_test_weight(self) -> bool:
        """Whether mass is made of bushels, or bushels of mass."""
        return self.weight_power != 0


UNCHANGED = Conversion(1.0, 0.0, 1.0)


class Units:
    """Conversions between units, each compiled once.

    What the units mean is loaded with the first conversion between different units, or by `load`,
    which another thread may call.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: UnitNames | None = None
        self._meanings: dict[str, Meaning | None] = {}
        self._conversions: dict[tuple[str, str], Conversion] = {}

    @property
    def is_loaded(self) -> bool:
        """Whether the next conversion need not load what the units mean."""
        return self._names is not None

    def load(self) -> None:
        """Load what the units mean, if that was not done: about a second of CPU."""
        with self._lock:
            if self._names is None:
                # Late, for those who never see a unit.
                from bridge.contract.unit_names import UnitNames  # noqa: PLC0415

                self._names = UnitNames()

    def conversion(self, source: str, target: str) -> Conversion:
        """Return how values in `source` become values in `target`.

        Units written alike are not looked at: a contract may have one that pint does not know.

        Raises:
            UnitError: a unit that is not read or known, or the two measure different things.
        """
        if source == target:
            return UNCHANGED
        known = self._conversions.get((source, target))
        if known is None:
            known = self._compiled(source, target)
            _keep(self._conversions, (source, target), known)
        return known

    def _compiled(self, source: str, target: str) -> Conversion:
        one, other = self._reduced(source), self._reduced(target)
        if one.dimensions == other.dimensions:
            shift = (one.offset - other.offset) / other.scale
            return _conversion(one.scale / other.scale, shift, 0)
        if _BUSHELS.intersection(name for name, _ in (*factors(source), *factors(target))):
            test_weight = self._reduced(TEST_WEIGHT_UNIT)
            for power in (1, -1):
                weighed = one.times(test_weight, power)
                if weighed.dimensions == other.dimensions:
                    return _conversion(weighed.scale / other.scale, Fraction(0), power)
        raise UnitError(f"'{shown_unit(source)}' does not convert to '{shown_unit(target)}'")

    def _reduced(self, unit: str) -> Meaning:
        self.load()
        meanings = [(self._of_name(name, unit), power) for name, power in factors(unit)]
        if len(meanings) == 1 and meanings[0][1] == 1:
            return meanings[0][0]
        # A degree in a quotient is a difference of degrees: the offset is dropped.
        total = NO_DIMENSION
        for meaning, power in meanings:
            total = total.times(meaning, power)
        return total

    def _of_name(self, name: str, unit: str) -> Meaning:
        if name not in self._meanings:
            assert self._names is not None
            _keep(self._meanings, name, self._names.meaning(name))
        meaning = self._meanings[name]
        if meaning is None:
            where = "" if name == unit else f" in '{shown_unit(unit)}'"
            raise UnitError(f"unknown unit '{shown_unit(name)}'{where}")
        return meaning


def _conversion(scale: Fraction, shift: Fraction, weight_power: int) -> Conversion:
    divisor = lcm(scale.denominator, shift.denominator)
    numbers = (scale * divisor, shift * divisor, Fraction(divisor))
    if max(map(abs, numbers)) > _DOUBLE_EXACT_MAX:
        numbers = (scale, shift, Fraction(1))
    try:
        factor, addend, divided = map(float, numbers)
    except OverflowError:
        raise UnitError("the units differ by more than a double can hold") from None
    if not factor:
        raise UnitError("the units differ by more than a double can hold")
    return Conversion(factor, addend, divided, weight_power)


_Key = TypeVar("_Key")
_Kept = TypeVar("_Kept")


def _keep(cache: dict[_Key, _Kept], key: _Key, value: _Kept) -> None:
    if len(cache) >= KEPT_MAX:
        cache.clear()
    cache[key] = value
