"""What a unit is made of: a factor, an offset and dimensions, in exact fractions."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Meaning:
    """A unit in root units: `value * scale + offset`, of these dimensions.

    `dimensions` are root units with their exponents; angles, counts and bits are among them, so
    that a slope of 45 degrees is never taken for 0.785, nor revolutions for hertz.
    """

    scale: Fraction
    offset: Fraction
    dimensions: dict[str, Fraction]

    def times(self, other: Meaning, power: int) -> Meaning:
        """Return this times the other to a power, both without their offsets."""
        dimensions = dict(self.dimensions)
        for name, exponent in other.dimensions.items():
            dimensions[name] = dimensions.get(name, Fraction(0)) + exponent * power
        left = {name: exponent for name, exponent in dimensions.items() if exponent}
        return Meaning(self.scale * other.scale**power, Fraction(0), left)


NO_DIMENSION = Meaning(Fraction(1), Fraction(0), {})
