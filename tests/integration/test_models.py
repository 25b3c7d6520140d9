"""Model repositories as people write them: bare graphs, contracts, pipelines, versions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import numpy as np
import pytest
import pytest_asyncio

from tests.conftest import FindServer
from tests.system import System, post, running_system
from tests.tiny_models import (
    PATIENT,
    RECORDING_PIPELINE,
    Recording,
    affine,
    infer_body,
    row_sum,
    same_text,
    tensors,
    write_version,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIELDS_CONTRACT = """
[inputs.x]
columns = ["rain", "slope", "day"]
nulls = "refuse"
[inputs.x.column.rain]
range = [0, 4000]
unit = "mm"
[inputs.x.column.slope]
range = [-1, 1]
nulls = "allow"
"""

CROP_PIPELINE = """
import numpy as np


def predict(inputs):
    return {"y": np.array([[text.upper()] for text in inputs["crop"][:, 0]], dtype=object)}
"""
CROP_CONTRACT = """
[inputs.crop]
datatype = "BYTES"
shape = [-1, 1]
categories = ["maize", "wheat"]
[outputs.y]
datatype = "BYTES"
shape = [-1, 1]
"""

# A batch script that works in place on whole columns, as such scripts do.
CELSIUS_PIPELINE = """
import numpy as np


def preprocess(inputs):
    kelvin = inputs["kelvin"]
    kelvin -= 273.0
    return {"x": kelvin}


def postprocess(outputs, inputs):
    return {"y": np.rint(outputs["y"]).astype(np.int64), "rows_of_script": len(outputs["y"])
            * np.ones(len(outputs["y"]), np.int64)}
"""
CELSIUS_CONTRACT = """
[serving]
on_row_dependence = "allow"
[inputs.kelvin]
datatype = "FP64"
shape = [-1, 1]
[outputs.y]
datatype = "INT64"
shape = [-1, 1]
[outputs.rows_of_script]
datatype = "INT64"
"""


def write_models(root: Path) -> None:
    write_version(root, "bare", graph=affine(3, 1))
    for version in (1, 2, 10):
        write_version(root, "versioned", version, graph=affine(1, version))
    write_version(root, "fields", graph=affine(1, 0, width=3), contract=FIELDS_CONTRACT)
    write_version(root, "crop", pipeline=CROP_PIPELINE, contract=CROP_CONTRACT)
    write_version(
        root,
        "celsius",
        graph=affine(2, 0),
        pipeline=CELSIUS_PIPELINE,
        contract=CELSIUS_CONTRACT,
    )
    write_version(root, "fixed", graph=affine(2, 5, rows=32))
    write_version(root, "any_width", graph=row_sum(), contract=PATIENT)
    write_version(root, "text", graph=same_text())
    shape = tensors().replace("[-1, 1]", "[-1, -1]")
    write_version(root, "shapes", pipeline=RECORDING_PIPELINE, contract=PATIENT + shape)


@pytest.fixture(scope="module")
def models(find_server: FindServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with every kind of model, one for each queue server."""
    root = tmp_path_factory.mktemp("models")
    write_models(root)
    return root


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tiny(find_server: FindServer, models: Path) -> AsyncIterator[System]:
    async with running_system(models, find_server=find_server) as running:
        yield running


async def infer(
    system: System, http: aiohttp.ClientSession, model: str, body: Any
) -> tuple[int, Any]:
    """`model` may name a version: `name/versions/2`."""
    status, answer, _ = await post(http, f"{system.url}/v2/models/{model}/infer", body)
    return status, answer


async def outputs(
    system: System, http: aiohttp.ClientSession, model: str, body: Any
) -> dict[str, list[Any]]:
    status, answer = await infer(system, http, model, body)
    assert status == 200, answer
    return {output["name"]: output["data"] for output in answer["outputs"]}


async def test_a_graph_needs_no_configuration(tiny: System, http: aiohttp.ClientSession) -> None:
    assert await outputs(tiny, http, "bare", infer_body([4.0])) == {"y": [13.0]}


async def test_names_datatypes_and_shapes_come_from_the_graph(
    tiny: System, http: aiohttp.ClientSession
) -> None:
    async with http.get(f"{tiny.url}/v2/models/bare") as response:
        metadata = await response.json()
    assert {key: metadata[key] for key in ("name", "versions", "inputs", "outputs")} == {
        "name": "bare",
        "versions": ["1"],
        "inputs": [{"name": "x", "datatype": "FP64", "shape": [-1, 1]}],
        "outputs": [{"name": "y", "datatype": "FP64", "shape": [-1, 1]}],
    }


async def test_the_highest_version_is_the_default_by_number(
    tiny: System, http: aiohttp.ClientSession
) -> None:
    assert await outputs(tiny, http, "versioned", infer_body([100.0])) == {"y": [110.0]}


@pytest.mark.parametrize("version", [1, 2, 10])
async def test_a_version_can_be_named(
    tiny: System, http: aiohttp.ClientSession, version: int
) -> None:
    got = await outputs(tiny, http, f"versioned/versions/{version}", infer_body([100.0]))
    assert got == {"y": [100.0 + version]}


async def test_versions_are_listed_by_number(tiny: System, http: aiohttp.ClientSession) -> None:
    async with http.get(f"{tiny.url}/v2/models/versioned") as response:
        assert (await response.json())["versions"] == ["1", "2", "10"]


async def test_an_answer_names_the_version_that_gave_it(
    tiny: System, http: aiohttp.ClientSession
) -> None:
    _, answer = await infer(tiny, http, "versioned", infer_body([1.0]))
    assert answer["model_version"] == "10"


async def test_a_version_that_does_not_exist_is_unknown(
    tiny: System, http: aiohttp.ClientSession
) -> None:
    status, answer = await infer(tiny, http, "versioned/versions/3", infer_body([1.0]))
    assert (status, answer["code"]) == (404, "unknown_model")


GOOD_FIELD = [10.0, 0.5, 1.0]


@pytest.mark.parametrize(
    ("row", "code", "message"),
    [
        (
            [4001.0, 0.5, 1.0],
            "value_range",
            "input x, row 2, column rain: 4001.0 is outside [0, 4000] mm",
        ),
        ([10.0, 0.5, None], "wrong_type", "input x, data[2][2] (column day): null is not accepted"),
        ([10.0, -1.5, 1.0], "value_range", "input x, row 2, column slope: -1.5 is outside [-1, 1]"),
    ],
)
async def test_a_value_against_the_contract_is_refused_by_row_and_column(
    tiny: System,
    http: aiohttp.ClientSession,
    row: list[float | None],
    code: str,
    message: str,
) -> None:
    values = [*GOOD_FIELD, *GOOD_FIELD, *row]
    status, answer = await infer(tiny, http, "fields", infer_body(values, width=3))
    assert (status, answer["code"], answer["error"]) == (400, code, message)


async def test_a_nan_where_the_contract_refuses_nulls_is_refused_by_row_and_column(
    tiny: System, http: aiohttp.ClientSession
) -> None:
    rows = np.array([GOOD_FIELD, [10.0, np.nan, np.nan]])
    body = {"inputs": [{"name": "x", "shape": [2, 3], "datatype": "FP64", "data": rows.tobytes()}]}
    headers = {"Content-Type": "application/msgpack"}
    url = f"{tiny.url}/v2/models/fields/infer"
    async with http.post(url, data=msgspec.msgpack.encode(body), headers=headers) as response:
        answer = await response.json()
    assert (response.status, answer["code"], answer["error"]) == (
        400,
        "null_value",
        "input x, row 1, column day: null (NaN) is not accepted",
    )


async def test_a_null_that_the_contract_allows_reaches_the_model_as_nan(
    tiny: System, http: aiohttp.ClientSession
) -> None:
    body = infer_body([10.0, None, 1.0], width=3)
    assert await outputs(tiny, http, "fields", body) == {"y": [10.0, None, 1.0]}


async def test_a_category_is_accepted(tiny: System, http: aiohttp.ClientSession) -> None:
    assert await outputs(tiny, http, "crop", _crops("wheat")) == {"y": ["WHEAT"]}


async def test_a_category_against_the_contract_is_refused_by_row(
    tiny: System, http: aiohttp.ClientSession
) -> None:
    status, answer = await infer(tiny, http, "crop", _crops("maize", "barley"))
    assert (status, answer["code"], answer["error"]) == (
        400,
        "unknown_category",
        "input crop, row 1, element [0]: barley is not one of maize, wheat",
    )


def _crops(*names: str) -> dict[str, Any]:
    tensor = {"name": "crop", "shape": [len(names), 1], "datatype": "BYTES", "data": [*names]}
    return {"inputs": [tensor]}


async def test_the_functions_of_a_batch_script_run_around_the_graph(
    tiny: System, http: aiohttp.ClientSession
) -> None:
    body = infer_body([283.0, 303.0], name="kelvin")
    assert (await outputs(tiny, http, "celsius", body))["y"] == [20, 60]


async def test_a_batch_script_sees_whole_batches(tiny: System, http: aiohttp.ClientSession) -> None:
    body = infer_body([283.0, 303.0, 293.0], name="kelvin")
    assert (await outputs(tiny, http, "celsius", body))["rows_of_script"] == [3, 3, 3]


@pytest.mark.parametrize("rows", [1, 5, 32, 33, 100])
async def test_a_graph_of_exactly_32_rows_answers_any_number(
    tiny: System, http: aiohttp.ClientSession, rows: int
) -> None:
    values = [float(value) for value in range(rows)]
    got = await outputs(tiny, http, "fixed", infer_body(values))
    assert got == {"y": [2 * value + 5 for value in values]}


async def test_single_requests_for_a_graph_of_exactly_32_rows_are_answered_apart(
    tiny: System, http: aiohttp.ClientSession
) -> None:
    values = [float(value) for value in range(20)]
    got = await asyncio.gather(
        *(outputs(tiny, http, "fixed", infer_body([value])) for value in values)
    )
    assert got == [{"y": [2 * value + 5]} for value in values]


async def test_rows_of_different_widths_at_once_get_their_own_sums(
    tiny: System, http: aiohttp.ClientSession
) -> None:
    rng = np.random.default_rng(3)
    widths = rng.integers(1, 9, 60).tolist()
    rows = [rng.integers(0, 1000, width).astype(float).tolist() for width in widths]
    got = await asyncio.gather(
        *(outputs(tiny, http, "any_width", infer_body(row, width=len(row))) for row in rows)
    )
    assert got == [{"total": [sum(row)]} for row in rows]


async def test_rows_of_different_widths_never_share_a_batch(
    tiny: System, http: aiohttp.ClientSession, models: Path
) -> None:
    recording = Recording(models / "shapes" / "1")
    recording.forget()
    widths = [1, 2, 3] * 20
    bodies = [infer_body([float(width)] * width, width=width) for width in widths]
    await asyncio.gather(*(outputs(tiny, http, "shapes", body) for body in bodies))
    # Each row's first value is its width.
    assert {
        (batch["shape"][1], first) for batch in recording.batches() for first in batch["first"]
    } == {(1, 1.0), (2, 2.0), (3, 3.0)}


async def test_text_passes_through_a_graph(tiny: System, http: aiohttp.ClientSession) -> None:
    texts = ["", "Größe", "a\u0000b", "🌾", "x" * 1000, '"\\']
    tensor = {"name": "x", "shape": [3, 2], "datatype": "BYTES", "data": texts}
    assert await outputs(tiny, http, "text", {"inputs": [tensor]}) == {"y": texts}


async def test_a_new_version_appears_without_a_restart(
    find_server: FindServer, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    write_version(tmp_path / "old", "growing", 1, graph=affine(1, 1))
    write_version(tmp_path / "new", "growing", 2, graph=affine(1, 2))
    async with running_system(tmp_path / "old", find_server=find_server) as running:
        await running.start_worker(tmp_path / "new")
        await running.gateways[0].logs.wait_for("model_learned", count=2)
        assert await outputs(running, http, "growing", infer_body([0.0])) == {"y": [2.0]}


async def test_a_model_whose_last_worker_has_left_is_unavailable(
    find_server: FindServer, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    write_version(tmp_path, "short", graph=affine(1, 1))
    async with running_system(tmp_path, find_server=find_server) as running:
        await running.workers[0].terminate()
        await running.gateways[0].logs.wait_for("worker_left")
        status, answer = await infer(running, http, "short", infer_body([0.0]))
    assert (status, answer["code"]) == (503, "no_worker")
