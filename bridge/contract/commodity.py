"""`[units]` of contract.toml: what a bushel of each commodity weighs.

CommodityError
└── the section does not fit the model's inputs; the message names the key
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec

from bridge.contract.model import Commodities, TensorSpec, ValueRules
from bridge.contract.named_columns import column_names, is_single


class CommodityError(Exception):
    """The commodities cannot be used as they are declared; the message names the key."""


class CommoditySection(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """`[units.commodities.<name>]`."""

    test_weight_lb_per_bushel: float


class UnitsSection(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """`[units]` as it is written; see docs/named-rows.md."""

    commodity_column: str | None = None
    commodity: str | None = None
    commodities: dict[str, CommoditySection]

    def commodities_of(self, inputs: tuple[TensorSpec, ...]) -> Commodities:
        """Return the commodities for a model with these inputs.

        Raises:
            CommodityError: see the class.
        """
        weights: dict[str, float] = {}
        for name, section in self.commodities.items():
            weight = section.test_weight_lb_per_bushel
            if not (math.isfinite(weight) and weight > 0):
                raise CommodityError(
                    f"units.commodities.{name}.test_weight_lb_per_bushel: {weight:g} is not "
                    "positive"
                )
            weights[name] = weight
        if (self.commodity_column is None) == (self.commodity is None):
            raise CommodityError("units: either commodity_column or commodity must be given")
        if self.commodity is not None and self.commodity not in weights:
            raise CommodityError(
                f"units.commodity: {self.commodity!r} is not among the commodities"
            )
        if self.commodity_column is not None:
            _check_column(self.commodity_column, weights, inputs)
        return Commodities(
            column=self.commodity_column, commodity=self.commodity, test_weights=weights
        )


def _check_column(column: str, weights: dict[str, float], inputs: tuple[TensorSpec, ...]) -> None:
    found = [(spec, rules) for name, spec, rules in _single_columns(inputs) if name == column]
    if len(found) != 1 or found[0][0].type.kind != "bytes":
        raise CommodityError(
            f"units.commodity_column: {column!r} is not one column of BYTES, one value a row"
        )
    categories = found[0][1].categories
    for name in weights:
        if categories is not None and name not in categories:
            raise CommodityError(
                f"units.commodities.{name}: {name!r} is not among the categories of {column!r}"
            )


def _single_columns(
    inputs: tuple[TensorSpec, ...],
) -> Iterator[tuple[str, TensorSpec, ValueRules]]:
    for spec in inputs:
        if columns := column_names(spec):
            for column in columns:
                yield column, spec, spec.column_rules.get(column, spec.rules)
        elif is_single(spec):
            yield spec.name, spec, spec.rules
