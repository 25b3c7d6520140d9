"""Units that callers state: of values, of columns, of outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bridge.contract.invalid import InvalidCode
from bridge.contract.model import Commodities, ValueRules
from bridge.contract.units import Units
from bridge.gateway.dialects.call import InputLimits
from bridge.gateway.dialects.door import Door
from bridge.gateway.dialects.named_input import OWN_UNITS_MAX
from bridge.gateway.dialects.stated_units import STATED_UNITS_MAX
from tests.unit.dialects.doors import spec
from tests.unit.dialects.named import ROW, named_contract, named_door, read, refused, row

BUSHELS = {"value": 180, "unit": "bushel/acre"}


def values(name: str, *rows: dict[str, Any], **more: Any) -> list[Any]:
    found: list[Any] = read({"rows": list(rows), **more}).tensors[name].tolist()
    return found


def test_a_value_is_converted_from_its_own_unit() -> None:
    rows = [
        row(rain={"value": 2, "unit": "inch"}),
        row(rain=3),
        row(rain={"value": 1, "unit": "m"}),
    ]
    assert values("rain", *rows) == [50.8, 3.0, 1000.0]


def test_a_column_is_converted_from_the_unit_stated_once() -> None:
    units = {"heat": "degF", "clay": "dimensionless"}
    call = read({"rows": [row(heat=212, clay=0.25)], "units": units})
    assert (call.tensors["heat"].tolist(), call.tensors["soil"][0, 1]) == ([100.0], 25.0)


def test_a_values_own_unit_beats_that_of_its_column() -> None:
    rows = [row(rain={"value": 2, "unit": "inch"}), row(rain=3)]
    assert values("rain", *rows, units={"rain": "cm"}) == [50.8, 30.0]


def test_columns_take_units_too() -> None:
    columns = {name: [value] for name, value in ROW.items()}
    columns |= {"rain": [{"value": 2, "unit": "inch"}], "heat": [300]}
    call = read({"columns": columns, "units": {"heat": "K", "soil.ph": "pH"}})
    assert [call.tensors[name].tolist() for name in ("rain", "heat")] == [[50.8], [26.85]]


def test_a_unit_may_be_stated_under_any_name_of_the_column() -> None:
    whole = row(soil=[{"value": 6.4, "unit": "pH"}, 0.25], ph=..., clay=...)
    for units in ({"soil.clay": "1"}, {"clay": "1"}):
        assert read({"rows": [whole], "units": units}).tensors["soil"][0, 1] == 25.0


@pytest.mark.parametrize("size", [3, -1])
def test_a_list_may_state_its_unit(size: int) -> None:
    at = named_door(spec("depth", "FP64", -1, size, rules=ValueRules(unit="m")))
    cell = {"value": [1, 2, 3], "unit": "km"}
    assert read({"rows": [{"depth": cell}]}, at).tensors["depth"].tolist() == [[1e3, 2e3, 3e3]]


def test_lists_that_state_their_unit_are_bounded() -> None:
    at = named_door(spec("depth", "FP64", -1, -1, rules=ValueRules(unit="m")))
    cell = {"value": [1] * (OWN_UNITS_MAX + 1), "unit": "km"}
    assert refused({"rows": [{"depth": cell}]}, at)[0] == InvalidCode.TOO_LARGE


def test_an_object_of_many_keys_is_not_copied_for_each_value_of_its_list() -> None:
    at = named_door(spec("depth", "FP64", -1, -1, rules=ValueRules(unit="m")))
    cell = {"value": [1, 2], "unit": "km", "more": 1}
    assert refused({"rows": [{"depth": cell}]}, at) == (
        InvalidCode.WRONG_TYPE,
        "row 0, column 'depth': an object, expected a number m",
    )


def test_a_whole_number_in_the_contracts_own_unit_keeps_all_its_digits() -> None:
    at = named_door(spec("since", "INT64", -1, rules=ValueRules(unit="ns")))
    sent = 2**60 + 1
    for document in (
        {"rows": [{"since": sent}], "units": {"since": "ns"}},
        {"rows": [{"since": {"value": sent, "unit": "ns"}}]},
    ):
        assert read(document, at).tensors["since"].tolist() == [sent]


@pytest.mark.parametrize("sent", [2**60 + 1, -(2**53) - 1, 2**51])
def test_a_whole_number_that_a_conversion_would_round_is_refused(sent: int) -> None:
    at = named_door(spec("since", "INT64", -1, rules=ValueRules(unit="ms")))
    assert refused({"rows": [{"since": {"value": sent, "unit": "s"}}]}, at) == (
        InvalidCode.NUMBER_RANGE,
        f"row 0, column 'since': {sent} s is not converted to ms: whole numbers beyond 2^53 would "
        "not stay exact",
    )


def test_nulls_and_defaults_are_not_converted() -> None:
    rows = [row(ph=None, rain=None), row(ph=..., rain=...), row(rain={"value": None, "unit": "m"})]
    call = read({"rows": rows[:2], "units": {"rain": "inch", "before": "t/ha"}})
    assert call.tensors["soil"][:, 0].tolist() == [6.5, 6.5]
    assert np.isnan(call.tensors["rain"]).all()
    assert call.tensors["before"].tolist() == [5e6, 5e6]
    assert refused({"rows": rows[2:]})[0] == InvalidCode.NULL_VALUE


def test_whole_numbers_stay_whole() -> None:
    assert values("day", row(day={"value": 2, "unit": "week"})) == [[14]]
    assert refused({"rows": [row(day={"value": 1, "unit": "hour"})]}) == (
        InvalidCode.WRONG_TYPE,
        "row 0, column 'day': 1 hour is 0.0416667 day, expected a whole number in [1, 366] day",
    )


def test_bushels_are_weighed_row_by_row_by_the_rows_commodity() -> None:
    rows = [row(crop="maize", before=BUSHELS), row(crop="wheat", before=BUSHELS)]
    maize, wheat = values("before", *rows)
    assert (round(maize, 2), round(wheat, 2), wheat / maize) == (
        11298.13,
        12105.14,
        pytest.approx(60 / 56),
    )


def test_a_commodity_that_is_not_sent_is_the_default_one() -> None:
    assert round(values("before", row(crop=..., before=BUSHELS))[0], 2) == 11298.13


def test_a_model_of_one_commodity_needs_no_column_for_it() -> None:
    at = named_door(
        spec("before", "FP64", -1, rules=ValueRules(unit="kg/ha")),
        commodities=Commodities(commodity="soya", test_weights={"soya": 60.0}),
    )
    call = read({"rows": [{"before": BUSHELS}]}, at)
    assert round(call.tensors["before"][0], 2) == 12105.14


REFUSED: dict[str, tuple[Any, str]] = {
    "a unit that measures something else": (
        {"rows": [ROW, row(rain={"value": 1, "unit": "kg"})]},
        "row 1, column 'rain': 'kg' does not convert to 'mm'; the contract's unit is mm",
    ),
    "an unknown unit": (
        {"rows": [ROW], "units": {"before": "kg/furlonk"}},
        "row 0, column 'before': unknown unit 'furlonk' in 'kg/furlonk'; "
        "the contract's unit is kg/ha",
    ),
    "a number in a unit": (
        {"rows": [ROW], "units": {"before": "9**9**9"}},
        "row 0, column 'before': '9**9**9' is not read as a unit: names with exponents from 1 to "
        "9, multiplied and divided, at most 8 of them; the contract's unit is kg/ha",
    ),
    "a unit where the contract has none": (
        {"rows": [ROW], "units": {"crop": "kg"}},
        "row 0, column 'crop': unit 'kg', the contract states none",
    ),
    "bushels of a commodity without a test weight": (
        {"rows": [ROW, row(crop="rice"), row(crop="rice", before=BUSHELS)]},
        "row 2, column 'before': bushel/acre to kg/ha depends on the commodity's test weight; "
        "the contract declares those of maize, wheat, not of 'rice'",
    ),
    "an output's unit that measures something else": (
        {"rows": [ROW], "output_units": {"yield": "mm"}},
        "output 'yield': 'kg/ha' does not convert to 'mm'; the contract's unit is kg/ha",
    ),
    "a unit of an output without one": (
        {"rows": [ROW], "output_units": {"share.low": "%"}},
        "output 'share.low': unit '%', the contract states none",
    ),
    "an output in bushels of a commodity without a test weight": (
        {"rows": [ROW, row(crop="rice")], "output_units": {"yield": "bushel/acre"}},
        "row 1, output 'yield': kg/ha to bushel/acre depends on the commodity's test weight; "
        "the contract declares those of maize, wheat, not of 'rice'",
    ),
}


@pytest.mark.parametrize(("document", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_converted_is_refused_with_both_units(document: Any, message: str) -> None:
    assert refused(document) == (InvalidCode.BAD_UNIT, message)


def test_without_declared_commodities_bushels_are_refused_with_what_to_declare() -> None:
    document = {"rows": [row(before=BUSHELS)]}
    assert refused(document, named_door(commodities=None)) == (
        InvalidCode.BAD_UNIT,
        "row 0, column 'before': bushel/acre to kg/ha depends on the commodity's test weight, "
        "which the contract does not declare: [units.commodities.<name>] "
        "test_weight_lb_per_bushel",
    )


def test_units_of_unknown_columns_and_outputs_are_refused_with_the_nearest() -> None:
    assert [
        refused({"rows": [ROW], "units": {"rian": "mm"}})[1],
        refused({"rows": [ROW], "output_units": {"yeild": "t/ha"}})[1],
    ] == [
        "units: the model has no column 'rian'; did you mean 'rain'?",
        "output_units: the model has no output 'yeild'; did you mean 'yield'?",
    ]


def test_the_different_units_of_a_request_are_bounded() -> None:
    rows = [row(rain={"value": 1, "unit": unit}) for unit in _lengths()]
    assert refused({"rows": rows})[1].endswith(
        f"more than the {STATED_UNITS_MAX} different units of one request"
    )


def _lengths() -> list[str]:
    prefixes = ["k", "M", "G", "d", "c", "m", "u", "n", "h"]
    lengths = [f"{one}m^2/{other}m" for one in prefixes for other in prefixes]
    return lengths[: STATED_UNITS_MAX + 1]


def test_a_value_out_of_range_is_told_in_the_contracts_unit() -> None:
    assert refused({"rows": [row(rain={"value": 5, "unit": "m"})]}) == (
        InvalidCode.VALUE_RANGE,
        "input rain, row 0: 5000.0 is outside [0, 4000] mm",
    )


def test_a_value_too_large_to_convert_is_out_of_range() -> None:
    code, _ = refused({"rows": [row(rain={"value": 1e308, "unit": "km"})]})
    assert code == InvalidCode.NUMBER_RANGE


def test_rows_without_units_do_not_load_what_units_mean() -> None:
    units = Units()
    at = Door(named_contract(), InputLimits(), units)
    read({"rows": [ROW], "units": {"rain": "mm"}, "output_units": {"yield": "kg/ha"}}, at)
    assert not units.is_loaded
