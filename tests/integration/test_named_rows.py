"""Named rows and units through the real system."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.sample_models import read_example
from tests.system import System, post, running_system

pytestmark = pytest.mark.asyncio(loop_scope="module")

SAMPLES = ("breast_cancer", "crop_yield", "digits", "evapotranspiration", "fixed_batch")
FIELD = {
    "crop": "maize",
    "rainfall_mm": 600,
    "mean_temperature_c": 21.5,
    "nitrogen_kg_ha": 120,
    "soil_ph": None,
    "sowing_day": 110,
    "irrigated": False,
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system() -> AsyncIterator[System]:
    async with running_system() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def predict(
    system: System, http: aiohttp.ClientSession, body: Any, model: str = "crop_yield"
) -> tuple[int, Any]:
    status, answer, _ = await post(http, f"{system.url}/v1/models/{model}/predict", body)
    return status, answer


@pytest.mark.parametrize("model", SAMPLES)
async def test_the_example_in_a_models_metadata_is_answered_like_its_tensors(
    system: System, http: aiohttp.ClientSession, model: str
) -> None:
    async with http.get(f"{system.url}/v2/models/{model}") as response:
        named = (await response.json())["parameters"]["named_rows"]
    status, answer, _ = await post(http, f"{system.url}{named['path']}", named["example"])
    assert (status, answer["model_name"], len(answer["rows"])) == (200, model, 1)


async def test_named_rows_get_the_answer_that_tensors_get(
    system: System, http: aiohttp.ClientSession
) -> None:
    example = read_example("crop_yield")
    row = {one["name"]: one["data"][0] for one in example["inputs"]}
    _, tensors, _ = await post(http, f"{system.url}/v2/models/crop_yield/infer", example)
    status, answer = await predict(system, http, {"rows": [row], "id": "a"})
    assert (status, answer) == (
        200,
        {
            "model_name": "crop_yield",
            "model_version": "1",
            "id": "a",
            "rows": [{"yield": tensors["outputs"][0]["data"][0]}],
            "units": {"yield": "kg/ha"},
        },
    )


async def test_units_go_in_and_come_out(system: System, http: aiohttp.ClientSession) -> None:
    plain = {**FIELD, "rainfall_mm": 508.0, "mean_temperature_c": 25.0}
    stated = {**FIELD, "rainfall_mm": {"value": 20, "unit": "inch"}, "mean_temperature_c": 77}
    _, expected = await predict(system, http, {"rows": [plain]})
    status, answer = await predict(
        system,
        http,
        {
            "rows": [stated],
            "units": {"mean_temperature_c": "degF"},
            "output_units": {"yield": "bushel/acre"},
        },
    )
    kg_per_ha = expected["rows"][0]["yield"]
    assert (status, answer["units"]) == (200, {"yield": "bushel/acre"})
    # 56 lb of 0.45359237 kg to a bushel, 0.404687... ha (survey feet) to an acre.
    acre_ha = 66 * 660 * (1200 / 3937) ** 2 / 1e4
    assert answer["rows"][0]["yield"] == pytest.approx(
        kg_per_ha / (56 * 0.45359237) * acre_ha, rel=1e-12
    )


async def test_a_refusal_names_row_column_value_and_what_was_expected(
    system: System, http: aiohttp.ClientSession
) -> None:
    status, answer = await predict(system, http, {"rows": [FIELD, {**FIELD, "sowing_day": "May"}]})
    assert (status, answer["code"], answer["error"]) == (
        400,
        "wrong_type",
        "row 1, column 'sowing_day': 'May', expected a whole number in [1, 366]",
    )


async def test_bushels_of_a_crop_without_test_weight_are_refused(
    system: System, http: aiohttp.ClientSession
) -> None:
    body = {"rows": [{**FIELD, "crop": "rice"}], "output_units": {"yield": "bushel/acre"}}
    status, answer = await predict(system, http, body)
    assert (status, answer["code"]) == (400, "bad_unit")
    assert "'rice'" in answer["error"]


async def test_columns_of_rows_are_answered_in_columns(
    system: System, http: aiohttp.ClientSession
) -> None:
    columns = {name: [value] * 40 for name, value in FIELD.items()}
    status, answer = await predict(system, http, {"columns": columns})
    assert (status, len(set(answer["columns"]["yield"]))) == (200, 1)


@pytest.mark.parametrize("path", ["nobody", "crop_yield/versions/9"])
async def test_an_unknown_model_or_version_is_404(
    system: System, http: aiohttp.ClientSession, path: str
) -> None:
    assert (await predict(system, http, {"rows": [FIELD]}, path))[0] == 404
