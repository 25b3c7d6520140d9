"""What one unit's name means, by pint: the only file that imports it.

Loading takes about a second of CPU and 30 MB, so this module is imported where a unit is first
converted (`bridge.contract.units`) and nowhere else.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pint

from bridge.contract.unit_meaning import Meaning

# Any unit that takes prefixes; a prefix's factor is what it makes of this one.
_PREFIXED = "meter"


class UnitNames:
    """pint's dictionary of units, in exact fractions.

    Only single names are looked up, unprefixed: pint's own caches grow with every expression that
    it reads, these by the units and prefixes that there are.
    """

    def __init__(self) -> None:
        self._registry: pint.UnitRegistry[Fraction] = pint.UnitRegistry(non_int_type=Fraction)
        # As many as there are units and prefixes.
        self._known: dict[str, Meaning | None] = {}

    def meaning(self, name: str) -> Meaning | None:
        """Return what a unit's name or symbol means; None for an unknown or logarithmic unit."""
        readings = self._registry.parse_unit_name(name)
        if not readings:
            return None
        prefix, unit, _ = readings[0]
        meaning = self._meaning(unit)
        if meaning is None or not prefix:
            return meaning
        factor = self._meaning(prefix + _PREFIXED)
        if factor is None or meaning.offset:
            return None  # a thousandth of a degree Celsius: of the scale, or of the difference?
        return Meaning(meaning.scale * factor.scale, Fraction(0), meaning.dimensions)

    def _meaning(self, unit: str) -> Meaning | None:
        """Of pint's own name for a unit."""
        if unit not in self._known:
            self._known[unit] = self._found(unit)
        return self._known[unit]

    def _found(self, unit: str) -> Meaning | None:
        try:
            roots = [self._registry.Quantity(Fraction(k), unit).to_root_units() for k in range(3)]
            zero, one, two = (_exact(root.magnitude) for root in roots)
        except TypeError:
            return None  # pint's logarithms know no fractions
        if two - one != one - zero:
            return None
        return Meaning(one - zero, zero, {name: _exact(n) for name, n in roots[1].unit_items()})


def _exact(magnitude: Any) -> Fraction:
    """A number of pint's: a fraction, or a float where a definition has a root."""
    return Fraction(magnitude)
