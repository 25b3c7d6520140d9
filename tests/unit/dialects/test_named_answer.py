"""The answers to named rows."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import orjson
import pytest

from bridge.contract.model import Decision
from bridge.gateway.dialects.call import OutputMismatch
from bridge.gateway.dialects.named_answer import NamedAnswers
from tests.unit.dialects.named import FIELDS, ROW, named_contract, read, row

OUTPUTS = {
    "yield": np.array([10_000.0, np.nan]),
    "share": np.array([[0.1, 0.9], [0.25, 0.75]], np.float32),
    "name": np.array([["first"], [b"\xff"]], object),
}
TWO = [row(crop="maize"), row(crop="wheat")]


def answer(given: Any = OUTPUTS, **request: Any) -> dict[str, Any]:
    body = FIELDS.answer(read({"rows": TWO, **request}), given)
    assert (body.content_type, body.headers) == ("application/json", ())
    document: dict[str, Any] = orjson.loads(body.data)
    return document


def test_rows_are_answered_with_rows() -> None:
    assert answer(id="a") == {
        "model_name": "fields",
        "model_version": "2",
        "id": "a",
        "rows": [
            {"yield": 10_000.0, "share.low": 0.1, "share.high": 0.9, "name": "first"},
            {"yield": None, "share.low": 0.25, "share.high": 0.75, "name": "\\xff"},
        ],
        "units": {"yield": "kg/ha"},
        "non_finite": {"yield": 1},
        "not_utf8": {"name": 1},
    }


def test_columns_are_answered_with_columns() -> None:
    columns = {name: [one[name] for one in TWO] for name in ROW}
    body = FIELDS.answer(read({"columns": columns}), OUTPUTS)
    assert orjson.loads(body.data)["columns"] == {
        "yield": [10_000.0, None],
        "share.low": [0.1, 0.25],
        "share.high": [0.9, 0.75],
        "name": ["first", "\\xff"],
    }


def test_only_the_wanted_outputs_are_given() -> None:
    found = answer(outputs=["share"])
    assert (found["rows"][1], "units" in found) == ({"share.low": 0.25, "share.high": 0.75}, False)


def test_an_output_is_given_in_the_unit_that_was_asked_for() -> None:
    found = answer(outputs=["yield"], output_units={"yield": "t/ha"})
    assert (found["rows"][0], found["units"]) == ({"yield": 10.0}, {"yield": "t/ha"})


def test_bushels_depend_on_the_rows_commodity() -> None:
    outputs = {**OUTPUTS, "yield": np.array([10_000.0, 10_000.0])}
    found = answer(outputs, output_units={"yield": "bushel/acre"})
    assert [round(one["yield"], 3) for one in found["rows"]] == [159.318, 148.697]


def test_the_version_of_a_threshold_travels_with_the_decision() -> None:
    decision = Decision(
        output="share",
        place=1,
        column="high",
        positive="high",
        threshold=0.5,
        threshold_version="7",
    )
    contract = msgspec.structs.replace(named_contract(), decision=decision)
    body = NamedAnswers(contract).write(read({"rows": TWO}), OUTPUTS)
    assert orjson.loads(body.data)["parameters"] == {"threshold_version": "7"}


@pytest.mark.parametrize("values", [np.zeros((2, 3), np.float32), np.zeros(2, np.float32)])
def test_an_output_of_another_shape_is_the_workers_fault(values: Any) -> None:
    with pytest.raises(OutputMismatch):
        FIELDS.answer(read({"rows": TWO}), {**OUTPUTS, "share": values})
