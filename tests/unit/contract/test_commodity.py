from __future__ import annotations

import pytest

from bridge.contract.declaration import DeclarationError, parse_declaration
from bridge.contract.model import Commodities, TensorSpec

MAIZE = "[units.commodities.maize]\ntest_weight_lb_per_bushel = 56\n"
INPUTS = """
[inputs.crop]
datatype = "BYTES"
categories = ["maize", "rice"]
[inputs.words]
datatype = "BYTES"
shape = [-1, 2]
columns = ["grain", "place"]
[inputs.only]
datatype = "BYTES"
shape = [-1, 1]
columns = ["kind"]
[inputs.rain]
datatype = "FP64"
"""


def commodities(units: str) -> Commodities | None:
    declaration = parse_declaration((INPUTS + units).encode())
    inputs: tuple[TensorSpec, ...] = declaration.caller_inputs(None, replaced=False)
    return declaration.commodities(inputs)


def test_without_units_there_are_no_commodities() -> None:
    assert commodities("") is None


@pytest.mark.parametrize("column", ["crop", "grain", "kind"])
def test_a_column_names_the_commodity(column: str) -> None:
    found = commodities(f'[units]\ncommodity_column = "{column}"\n{MAIZE}')
    assert found == Commodities(column=column, test_weights={"maize": 56.0})


def test_a_model_of_one_commodity_names_it_itself() -> None:
    found = commodities(f'[units]\ncommodity = "maize"\n{MAIZE}')
    assert found == Commodities(commodity="maize", test_weights={"maize": 56.0})


WRONG = {
    MAIZE: "units: either commodity_column or commodity must be given",
    f'[units]\ncommodity = "maize"\ncommodity_column = "crop"\n{MAIZE}': (
        "units: either commodity_column or commodity must be given"
    ),
    f'[units]\ncommodity = "rye"\n{MAIZE}': "units.commodity: 'rye' is not among the commodities",
    f'[units]\ncommodity_column = "rain"\n{MAIZE}': (
        "units.commodity_column: 'rain' is not one column of BYTES, one value a row"
    ),
    f'[units]\ncommodity_column = "crops"\n{MAIZE}': (
        "units.commodity_column: 'crops' is not one column of BYTES, one value a row"
    ),
    f'[units]\ncommodity_column = "only"\n{MAIZE}': (
        "units.commodity_column: 'only' is not one column of BYTES, one value a row"
    ),
    f'[units]\ncommodity_column = "crop"\n{MAIZE.replace("maize", "rye")}': (
        "units.commodities.rye: 'rye' is not among the categories of 'crop'"
    ),
    f'[units]\ncommodity_column = "crop"\n{MAIZE.replace("56", "0")}': (
        "units.commodities.maize.test_weight_lb_per_bushel: 0 is not positive"
    ),
    f'[units]\ncommodity_column = "crop"\n{MAIZE.replace("56", "inf")}': (
        "units.commodities.maize.test_weight_lb_per_bushel: inf is not positive"
    ),
}


@pytest.mark.parametrize(("units", "message"), WRONG.items())
def test_a_wrong_section_is_refused_by_its_key(units: str, message: str) -> None:
    with pytest.raises(DeclarationError) as raised:
        commodities(units)
    assert str(raised.value) == message
