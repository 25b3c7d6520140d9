"""The units that a caller states in one request, and the test weights that bushels need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bridge.contract.invalid import InvalidCode, InvalidInput, shown
from bridge.contract.model import Commodities, ModelContract, ValueRules
from bridge.contract.named_columns import column_names
from bridge.contract.unit_expression import UnitError, shown_unit
from bridge.contract.units import Conversion, Units
from bridge.gateway.dialects.call import Array

# Different ones in one request: each may have to be looked up, on the event loop.
STATED_UNITS_MAX = 32

Numbers = np.ndarray[Any, np.dtype[np.float64]]


class BushelWeights:
    """What a bushel of each row's commodity weighs, for one model version."""

    def __init__(self, contract: ModelContract) -> None:
        self._commodities = contract.commodities
        self._input, self._place = _place(contract)

    @property
    def input_name(self) -> str | None:
        """The input that says each row's commodity, None if there is none."""
        return self._input

    def of_rows(self, tensors: Mapping[str, Array], rows: Sequence[int], where: str) -> Numbers:
        """Return pounds per bushel, shape (len(rows),), for rows of a request.

        Raises:
            InvalidInput: `bad_unit`; the contract declares none, or not for one of the rows'
                commodity. `where`, the conversion, follows the row in the message.
        """
        declared = self._commodities
        if declared is None:
            raise InvalidInput(
                InvalidCode.BAD_UNIT,
                f"row {rows[0]}, {where} depends on the commodity's test weight, which the "
                "contract does not declare: [units.commodities.<name>] test_weight_lb_per_bushel",
            )
        if self._input is None:
            assert declared.commodity is not None
            return np.full(len(rows), declared.test_weights[declared.commodity])
        array = tensors[self._input]
        texts = array.reshape(len(array), -1)[list(rows), self._place]
        weights = [declared.test_weights.get(text) for text in texts]
        if None in weights:
            first = weights.index(None)
            where = f"row {rows[first]}, {where}"
            raise self._unknown(declared, str(texts[first]), where)
        return np.array(weights, dtype=np.float64)

    def _unknown(self, declared: Commodities, commodity: str, where: str) -> InvalidInput:
        known = ", ".join(shown(name) for name in list(declared.test_weights)[:8])
        return InvalidInput(
            InvalidCode.BAD_UNIT,
            f"{where} depends on the commodity's test weight; the contract declares those of "
            f"{known}, not of '{shown(commodity)}'",
        )


class StatedUnits:
    """What one request says of its units."""

    def __init__(self, by_name: Mapping[str, str], units: Units) -> None:
        self._by_name = by_name
        self._units = units
        self._seen: dict[tuple[str, str], Conversion] = {}

    def __bool__(self) -> bool:
        """Whether any unit is stated for a whole column."""
        return bool(self._by_name)

    def of(self, names: Sequence[str]) -> str | None:
        """Return the unit stated for a column under the first of these names, None if none is."""
        return next((self._by_name[name] for name in names if name in self._by_name), None)

    def conversion(self, unit: str, rules: ValueRules, where: str) -> Conversion:
        """Return how values in `unit` become what the contract wants.

        Raises:
            InvalidInput: `bad_unit`, naming `where` and both units.
        """
        return self._between(unit, rules.unit, where, (unit, rules.unit or ""))

    def output_conversion(self, unit: str, rules: ValueRules, where: str) -> Conversion:
        """Return how an output's values become values in `unit`; see `conversion`."""
        return self._between(unit, rules.unit, where, (rules.unit or "", unit))

    def _between(self, unit: str, own: str | None, where: str, pair: tuple[str, str]) -> Conversion:
        if own is None:
            raise InvalidInput(
                InvalidCode.BAD_UNIT,
                f"{where}: unit '{shown_unit(unit)}', the contract states none",
            )
        known = self._seen.get(pair)
        if known is not None:
            return known
        if len(self._seen) >= STATED_UNITS_MAX:
            raise InvalidInput(
                InvalidCode.BAD_UNIT,
                f"{where}: more than the {STATED_UNITS_MAX} different units of one request",
            )
        try:
            found = self._seen[pair] = self._units.conversion(*pair)
        except UnitError as error:
            raise InvalidInput(
                InvalidCode.BAD_UNIT, f"{where}: {error}; the contract's unit is {own}"
            ) from None
        return found


def _place(contract: ModelContract) -> tuple[str | None, int]:
    """The input that says the commodity, and the place of its column in it."""
    column = None if contract.commodities is None else contract.commodities.column
    if column is None:
        return None, 0
    for spec in contract.inputs:
        names = column_names(spec) or (spec.name,)
        if column in names and spec.type.kind == "bytes":
            return spec.name, names.index(column)
    return None, 0
