"""One column of named values: cells to values in the contract's unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any

import msgspec
import numpy as np

from bridge.contract.defaults import missing_value, null_value
from bridge.contract.invalid import InvalidCode, InvalidInput, shown
from bridge.contract.json_kinds import EXPECTED, JSON_TYPES
from bridge.contract.model import TensorSpec
from bridge.contract.named_columns import full_name, rules_of_columns
from bridge.contract.units import UNCHANGED
from bridge.gateway.dialects.call import Array
from bridge.gateway.dialects.stated_units import BushelWeights, StatedUnits

UNSET = msgspec.UNSET
_CATEGORIES_SHOWN = 8
# Up to here a conversion between units, which is made in doubles, is exact for whole numbers.
_DOUBLE_EXACT_MAX = 2**53


@dataclass(frozen=True, slots=True)
class Reading:
    """The request that cells come from: how many values a row has, and what it says of units.

    `read_before` are inputs that were read: among them the one that says the commodity.
    """

    row_values: int
    stated: StatedUnits
    read_before: Mapping[str, Array]


class NamedColumn:
    """One place along the last axis of an input; of one without names there, all of them."""

    def __init__(
        self, spec: TensorSpec, place: int, weights: BushelWeights, shared: frozenset[str]
    ) -> None:
        all_rules = rules_of_columns(spec)
        self._rules = all_rules[place]
        self._place = place
        self._step = len(all_rules)
        self._datatype = spec.type
        self._types = frozenset(JSON_TYPES[spec.type.kind])
        self._weights = weights
        column = spec.columns[place] if spec.columns else None
        self._aliases: tuple[str, ...] = (spec.name,)
        if column is not None:
            own = () if column in shared else (column,)
            self._aliases = (full_name(spec, column), *own, spec.name)
        self.label = f"column '{shown(spec.name if column is None else column)}'"

    def is_of_type(self, values: Sequence[Any]) -> bool:
        """Return whether all values are of the JSON type that the input takes."""
        return self._types.issuperset(map(type, values))

    def resolved(self, cells: list[Any], reading: Reading) -> list[Any]:
        """Return the cells as values in the contract's unit, with what stands for nulls.

        Raises:
            InvalidInput: naming row, column, value and what was expected.
        """
        unit = reading.stated.of(self._aliases)
        if self.is_of_type(cells):
            return (
                cells if unit is None else self._converted(cells, range(len(cells)), unit, reading)
            )
        values, places_by_unit = self._sorted(cells, unit, reading)
        for stated, places in places_by_unit.items():
            sent = [values[place] for place in places]
            if not self.is_of_type(sent):
                raise self._wrong_type(sent, places, reading)
            if stated is not None:
                converted = self._converted(sent, places, stated, reading)
                for place, value in zip(places, converted, strict=True):
                    values[place] = value
        return values

    def refused(self, row: int, value: object) -> InvalidInput:
        """Return the refusal of a value that is of another type."""
        kinds = {NoneType: "null", dict: "an object", list: "a list"}
        what = kinds.get(type(value)) or as_sent(value)
        return InvalidInput(
            InvalidCode.NULL_VALUE if value is None else InvalidCode.WRONG_TYPE,
            f"row {row}, {self.label}: {what}, expected {self._expected()}",
        )

    def _expected(self) -> str:
        """What a value has to be."""
        rules, text = self._rules, EXPECTED[self._datatype.kind]
        if rules.categories is not None:
            some = ", ".join(shown(item) for item in rules.categories[:_CATEGORIES_SHOWN])
            return f"{text}, one of {some}"
        if rules.range is not None:
            text += f" in [{rules.range[0]:g}, {rules.range[1]:g}]"
        return text if rules.unit is None else f"{text} {rules.unit}"

    def _sorted(
        self, cells: list[Any], unit: str | None, reading: Reading
    ) -> tuple[list[Any], dict[str | None, list[int]]]:
        """The values, and the places of those that were sent, by the unit that was stated."""
        values = list(cells)
        places: dict[str | None, list[int]] = {unit: []}
        missing, null = missing_value(self._rules), null_value(self._rules)
        for place, cell in enumerate(cells):
            if cell is None or cell is UNSET:
                values[place] = null if cell is None else missing
                if values[place] is None:
                    raise self._absent(place, cell, reading)
            elif type(cell) is dict:
                stated, values[place] = self._unit_and_value(cell, place, reading)
                places.setdefault(stated, []).append(place)
            else:
                places[unit].append(place)
        return values, places

    def _unit_and_value(
        self, cell: dict[str, Any], place: int, reading: Reading
    ) -> tuple[str, Any]:
        unit = cell.get("unit")
        if type(unit) is not str or len(cell) != 2 or "value" not in cell:
            raise InvalidInput(
                InvalidCode.WRONG_TYPE,
                f"{self._where(place, reading)}: an object, expected a value or "
                '{"value": ..., "unit": "..."}',
            )
        return unit, cell["value"]

    def _converted(
        self, sent: list[Any], places: Sequence[int], unit: str, reading: Reading
    ) -> list[Any]:
        """Return the values sent in a unit, of these places, in the contract's unit."""
        if not sent:
            return sent
        where = self._where(places[0], reading)
        conversion = reading.stated.conversion(unit, self._rules, where)
        if conversion == UNCHANGED:
            return sent  # whole numbers that no float holds among them
        weights = None
        if conversion.needs_test_weight:
            rows = [self._row(place, reading) for place in places]
            where = f"{self.label}: {unit} to {self._rules.unit}"
            weights = self._weights.of_rows(reading.read_before, rows, where)
        try:
            numbers = np.array(sent, dtype=np.float64)
        except OverflowError:
            return sent  # a whole number that no float holds, nor the datatype
        with np.errstate(over="ignore", invalid="ignore"):
            converted = conversion.apply(numbers, weights)
        is_whole = self._datatype.kind == "integer"
        if is_whole:
            self._refuse_inexact(sent, places, converted, unit, reading)
        is_fit = np.isfinite(converted)
        if is_whole:
            is_fit &= np.trunc(converted) == converted
        if not is_fit.all():
            index = int(np.argmin(is_fit))
            value = float(converted[index])
            raise self._unfit(places[index], f"{shown(sent[index])} {unit}", value, reading)
        return list(map(int, converted.tolist())) if is_whole else converted.tolist()

    def _refuse_inexact(
        self,
        sent: list[Any],
        places: Sequence[int],
        converted: Array,
        unit: str,
        reading: Reading,
    ) -> None:
        for place, value, made in zip(places, sent, converted.tolist(), strict=True):
            if abs(value) > _DOUBLE_EXACT_MAX or _DOUBLE_EXACT_MAX < abs(made) < np.inf:
                raise InvalidInput(
                    InvalidCode.NUMBER_RANGE,
                    f"{self._where(place, reading)}: {shown(value)} {unit} is not converted to "
                    f"{self._rules.unit}: whole numbers beyond 2^53 would not stay exact",
                )

    def _wrong_type(self, sent: list[Any], places: Sequence[int], reading: Reading) -> InvalidInput:
        for place, value in zip(places, sent, strict=True):
            if not self.is_of_type([value]):
                return self.refused(self._row(place, reading), value)
        raise AssertionError("one of them is of another type")

    def _absent(self, place: int, cell: Any, reading: Reading) -> InvalidInput:
        if cell is None:
            return self.refused(self._row(place, reading), None)
        return InvalidInput(
            InvalidCode.MISSING,
            f"{self._where(place, reading)} is missing, expected {self._expected()}",
        )

    def _unfit(self, place: int, sent: str, value: float, reading: Reading) -> InvalidInput:
        return InvalidInput(
            InvalidCode.WRONG_TYPE if np.isfinite(value) else InvalidCode.NUMBER_RANGE,
            f"{self._where(place, reading)}: {sent} is {value:g} {self._rules.unit}, expected "
            f"{self._expected()}",
        )

    def _row(self, place: int, reading: Reading) -> int:
        return (place * self._step + self._place) // reading.row_values

    def _where(self, place: int, reading: Reading) -> str:
        return f"row {self._row(place, reading)}, {self.label}"


def as_sent(value: object) -> str:
    """Return a value as it stands in JSON, cut to what fits into a message."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"'{shown(value)}'" if isinstance(value, str) else shown(value)
