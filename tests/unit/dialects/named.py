"""A model of named inputs of each kind, and what its door makes of named rows."""

from __future__ import annotations

from typing import Any

import orjson

from bridge.contract.invalid import InvalidCode, InvalidInput
from bridge.contract.model import Commodities, ModelContract, TensorSpec, ValueRules
from bridge.contract.units import Units
from bridge.gateway.dialects.call import InputLimits
from bridge.gateway.dialects.door import Door
from bridge.gateway.dialects.named_call import NamedCall
from tests.unit.dialects.doors import spec

# One for all tests: loading what units mean takes a second.
UNITS = Units()

CROP = spec(
    "crop", "BYTES", -1, rules=ValueRules(categories=("maize", "wheat", "rice"), default="maize")
)
RAIN = spec("rain", "FP64", -1, rules=ValueRules(range=(0, 4000), unit="mm", nulls="allow"))
HEAT = spec("heat", "FP64", -1, rules=ValueRules(range=(-5, 100), unit="°C", nulls="refuse"))
DAY = spec("day", "INT64", -1, 1, rules=ValueRules(range=(1, 366), unit="day"))
WET = spec("wet", "BOOL", -1)
SOIL = spec(
    "soil",
    "FP32",
    -1,
    2,
    columns=("ph", "clay"),
    column_rules={
        "ph": ValueRules(range=(3, 10), unit="pH", nulls="default", default=6.5),
        "clay": ValueRules(range=(0, 100), unit="%"),
    },
)
IMAGE = spec("image", "UINT8", -1, 2, 2)
BEFORE = spec("before", "FP64", -1, rules=ValueRules(unit="kg/ha", default=0.0))
INPUTS = (RAIN, HEAT, DAY, WET, SOIL, IMAGE, BEFORE, CROP)
OUTPUTS = (
    spec("yield", "FP64", -1, rules=ValueRules(unit="kg/ha")),
    spec("share", "FP32", -1, 2, columns=("low", "high")),
    spec("name", "BYTES", -1, 1),
)
GRAIN = Commodities(column="crop", test_weights={"maize": 56.0, "wheat": 60.0})

ROW: dict[str, Any] = {
    "crop": "wheat",
    "rain": 600,
    "heat": 21.5,
    "day": 110,
    "wet": True,
    "ph": 6.4,
    "clay": 20,
    "image": [[1, 2], [3, 4]],
    "before": 5000.0,
}


def named_contract(
    *inputs: TensorSpec, commodities: Commodities | None = GRAIN, **more: Any
) -> ModelContract:
    return ModelContract(
        name="fields",
        version="2",
        platform="python",
        inputs=inputs or INPUTS,
        outputs=more.pop("outputs", OUTPUTS),
        commodities=commodities,
    )


def named_door(*inputs: TensorSpec, **more: Any) -> Door:
    return Door(named_contract(*inputs, **more), InputLimits(rows_max=100), UNITS)


FIELDS = named_door()


def read(document: Any, at: Door = FIELDS) -> NamedCall:
    """The call that a request is read as; bytes are sent as they are."""
    body = document if isinstance(document, bytes) else orjson.dumps(document)
    call = at.parse_named("application/json", body)
    assert isinstance(call, NamedCall)
    return call


def row(**changed: Any) -> dict[str, Any]:
    """A row of `FIELDS`; what is changed to `...` is left out."""
    return {name: value for name, value in {**ROW, **changed}.items() if value is not ...}


def refused(document: Any, at: Door = FIELDS) -> tuple[InvalidCode, str]:
    """The code and message by which a request is refused."""
    try:
        call = read(document, at)
    except InvalidInput as error:
        return error.code, error.message
    raise AssertionError(f"accepted as {call}")
