"""The same rows online and in a job: the same bits from runs of one size, else within rounding."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import pytest_asyncio

from bridge.client.async_client import AsyncClient
from bridge.jobs.score import score
from tests.sample_models import example_tensors
from tests.system import SAMPLE_MODELS, System, running_system

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROWS = 8
MODELS = sorted(
    folder.name for folder in SAMPLE_MODELS.iterdir() if (folder / "1" / "example.json").exists()
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served() -> AsyncIterator[System]:
    async with running_system() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(served: System) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(served.url) as opened:
        yield opened


def different_rows(model: str) -> dict[str, Any]:
    """The example's row, and rows that differ from it a little in each floating value."""
    random = np.random.default_rng(1)
    inputs: dict[str, Any] = {}
    for name, array in example_tensors(model).items():
        rows = np.repeat(array, ROWS, axis=0)
        if rows.dtype.kind == "f":
            scale = 1 - 0.02 * random.random(rows.shape)
            scale[0] = 1.0
            rows = (rows * scale).astype(rows.dtype)
        inputs[name] = rows
    return inputs


def as_table(inputs: dict[str, Any]) -> pa.Table:
    """Inputs as a table: lists where a row has several values."""
    return pa.table(
        {
            name: pa.array(array.tolist() if array.ndim == 1 else list(array.reshape(ROWS, -1)))
            for name, array in inputs.items()
        }
    )


def of_job(served: System, model: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """The columns that a job answers with, by name."""
    (chunk,) = score(as_table(inputs), model, redis_url=served.queue_url)
    assert chunk.rejected == ()
    return {name: chunk.batch.column(name) for name in chunk.batch.schema.names}


def columns_of(name: str, array: Any, names: Any) -> list[str]:
    """The columns of a job's answer that hold an output, in the order of its last axis."""
    return [name] if name in names else [one for one in names if one.startswith(f"{name}.")]


def bits(columns: dict[str, Any], name: str, like: Any) -> Any:
    """An output of a job in the shape of the online one."""
    parts = [
        np.array(columns[column].to_pylist(), dtype=like.dtype)
        for column in columns_of(name, like, columns)
    ]
    return (parts[0] if len(parts) == 1 else np.stack(parts, axis=1)).reshape(like.shape)


@pytest.mark.parametrize("model", MODELS)
async def test_a_job_and_an_online_request_of_as_many_rows_answer_the_same_bits(
    served: System, client: AsyncClient, model: str
) -> None:
    inputs = different_rows(model)
    online = await client.infer(model, inputs, timeout_s=30.0)
    scored = await asyncio.to_thread(of_job, served, model, inputs)
    for name, array in online.items():
        np.testing.assert_array_equal(bits(scored, name, array), array, strict=True)


@pytest.mark.parametrize("model", MODELS)
async def test_a_job_and_single_online_rows_answer_the_same_within_rounding(
    served: System, client: AsyncClient, model: str
) -> None:
    inputs = different_rows(model)
    scored = await asyncio.to_thread(of_job, served, model, inputs)
    for row in range(ROWS):
        one = {name: array[row : row + 1] for name, array in inputs.items()}
        online = await client.infer(model, one, timeout_s=30.0)
        for name, array in online.items():
            given = bits(scored, name, np.repeat(array, ROWS, axis=0))[row : row + 1]
            if array.dtype == object:
                assert given.tolist() == array.tolist()
            else:
                np.testing.assert_allclose(given, array, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("model", MODELS)
async def test_rows_scored_over_a_gateway_are_those_of_an_online_request(
    client: AsyncClient, model: str
) -> None:
    inputs = different_rows(model)
    online = await client.infer(model, inputs, timeout_s=30.0)
    (scored,) = [part async for part in client.score(model, inputs)]
    assert scored.rejected == ()
    for name, array in online.items():
        if array.dtype == object:
            assert scored.outputs[name].tolist() == array.tolist()
        else:
            np.testing.assert_allclose(scored.outputs[name], array, rtol=1e-5, atol=1e-7)
