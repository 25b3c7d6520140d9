"""A unit as it is written: names with small exponents, multiplied and divided, without numbers.

UnitError
└── a unit that cannot be read, is unknown, or does not convert; fit for the caller

`kg/ha`, `MJ/m²/day`, `W/(m^2 K)`, `1/s`, `bushel per acre`. As pint does, a unit is read from the
left: `kg/ha day` is `kg/ha*day`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bridge.contract.invalid import shown

UNIT_CHARS_MAX = 64
FACTORS_MAX = 8

_SUPERSCRIPTS = str.maketrans("⁻⁺¹²³⁴⁵⁶⁷⁸⁹", "-+123456789")
_SUPERSCRIPT = re.compile(r"[⁻⁺]?[¹²³⁴⁵⁶⁷⁸⁹]")
_NAME = r"[A-Za-zµμΩÅ°%‰_][A-Za-z0-9µμΩÅ°_]*"
_TOKEN = re.compile(
    rf"\s*(?:(?P<name>{_NAME})(?:(?:\^|\*\*)(?P<power>[+-]?[1-9]))?|(?P<mark>[*·/()]))\s*"
)
_RECIPROCAL = re.compile(r"^\s*(?:1\s*/|per\b)")
_NO_UNIT = frozenset({"", "1", "dimensionless"})


class UnitError(Exception):
    """A unit cannot be used; the message is fit for the caller."""


def factors(unit: str) -> list[tuple[str, int]]:
    """Return the names in a unit, each with its exponent; none for what has no unit.

    Raises:
        UnitError: longer than `UNIT_CHARS_MAX`, more than `FACTORS_MAX` names, or not a unit.
    """
    if len(unit) > UNIT_CHARS_MAX:
        raise UnitError(f"'{shown(unit)}' is longer than the {UNIT_CHARS_MAX} characters of a unit")
    if unit.strip() in _NO_UNIT:
        return []
    text = _SUPERSCRIPT.sub(lambda found: "^" + found[0].translate(_SUPERSCRIPTS), unit)
    text = _RECIPROCAL.sub("dimensionless/", text)
    product = _Product()
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None or not product.takes(found):
            raise _unreadable(unit)
        at = found.end()
    if not product.is_complete or len(product.factors) > FACTORS_MAX:
        raise _unreadable(unit)
    return product.factors


def shown_unit(unit: str) -> str:
    """Return a unit fit for a message: as it is where that is harmless, or escaped and cut."""
    is_plain = len(unit) <= UNIT_CHARS_MAX and unit.isprintable()
    return unit if is_plain else shown(unit)


@dataclass(slots=True)
class _Sign:
    """Of the exponents within a bracket, and of the next factor there."""

    bracket: int = 1
    next: int = 1


class _Product:
    """What was read so far: factors, open brackets, and whether another factor is due."""

    def __init__(self) -> None:
        self.factors: list[tuple[str, int]] = []
        self._signs = [_Sign()]
        self._is_due = True

    @property
    def is_complete(self) -> bool:
        """Whether the unit may end here."""
        return not self._is_due and len(self._signs) == 1

    def takes(self, token: re.Match[str]) -> bool:
        """Take the next token; return False if it cannot stand here."""
        mark = "/" if token["name"] == "per" else token["mark"]
        if mark is None:
            self._take_name(token["name"], int(token["power"] or 1))
        elif mark == "(":
            sign = self._signs[-1]
            self._signs.append(_Sign(sign.bracket * sign.next))
            self._is_due = True
        elif self._is_due or (mark == ")" and len(self._signs) == 1):
            return False
        elif mark == ")":
            self._signs.pop()
            self._signs[-1].next = 1
        else:
            self._signs[-1].next = -1 if mark == "/" else 1
            self._is_due = True
        return True

    def _take_name(self, name: str, power: int) -> None:
        sign = self._signs[-1]
        if name not in _NO_UNIT:
            self.factors.append((name, sign.bracket * sign.next * power))
        sign.next = 1
        self._is_due = False


def _unreadable(unit: str) -> UnitError:
    return UnitError(
        f"'{shown_unit(unit)}' is not read as a unit: names with exponents from 1 to 9, "
        f"multiplied and divided, at most {FACTORS_MAX} of them"
    )
